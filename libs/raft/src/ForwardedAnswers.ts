/**
 * The answers to a forwarded group, which go back in one frame. The commands were applied, so answers that do not fit must not make those that do unknown.
 */
import * as Codec from "./codec/PeerMessageCodec.ts"
import * as Limits from "./Limits.ts"
import type { Answer } from "./Proposals.ts"
import { RaftError } from "./RaftError.ts"

const tooLong = new RaftError({
  reason: "Unknown",
  message: "The command was applied, and its answer was too long to be passed on: read what it did."
})
const tooLongBytes = Codec.answerBytes(tooLong)

/** The same answers; from the last one back, as many of them are `Unknown` as it takes to have the others within `bytesMax`. */
export const fit = (
  answers: ReadonlyArray<Answer>,
  bytesMax: number = Limits.forwardedAnswersBytesMax
): ReadonlyArray<Answer> => {
  let bytes = 0
  for (let at = 0; at < answers.length; at++) bytes += Codec.answerBytes(answers[at]!)
  if (bytes <= bytesMax) return answers
  const fitting = answers.slice()
  for (let at = answers.length - 1; at >= 0 && bytes > bytesMax; at--) {
    const saved = Codec.answerBytes(answers[at]!) - tooLongBytes
    if (saved <= 0) continue
    fitting[at] = tooLong
    bytes -= saved
  }
  return fitting
}
