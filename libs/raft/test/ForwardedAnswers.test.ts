import { assert, describe, it } from "vitest"
import * as Codec from "../src/codec/PeerMessageCodec.ts"
import * as ForwardedAnswers from "../src/ForwardedAnswers.ts"
import * as Limits from "../src/Limits.ts"
import type { Answer } from "../src/Proposals.ts"
import { RaftError } from "../src/RaftError.ts"

/** `@dkv/transport` carries no longer frame. */
const frameBytesMax = 8 * 1024 * 1024

const frameOf = (results: ReadonlyArray<Answer>) => Codec.encode({ _tag: "ForwardDone", id: 1, results })

const isKept = (answers: ReadonlyArray<Answer>) => (answer: Answer, at: number) => answer === answers[at]

describe("the answers to a forwarded group", () => {
  it("stay as they are while they fit", () => {
    const answers = [new Uint8Array(100), new RaftError({ reason: "Busy", message: "later" }), new Uint8Array(0)]
    const bytes = frameOf(answers).length - frameOf([]).length
    assert.strictEqual(ForwardedAnswers.fit(answers, bytes), answers)
    assert.notStrictEqual(ForwardedAnswers.fit(answers, bytes - 1), answers)
  })

  it("are unknown from the last one back, and no more of them than must be", () => {
    const answers = Array.from({ length: 10 }, () => new Uint8Array(1000))
    const fitting = ForwardedAnswers.fit(answers, 8000)
    assert.deepStrictEqual(fitting.map(isKept(answers)), answers.map((_, at) => at < 7))
    assert.isAtMost(frameOf(fitting).length - frameOf([]).length, 8000)
    for (const answer of fitting.slice(7)) assert.strictEqual((answer as RaftError).reason, "Unknown")
  })

  it("are not unknown where the word for it is longer than they are: those of writes are short", () => {
    const answers = [new Uint8Array(2000), new Uint8Array(9), new Uint8Array(2000), new Uint8Array(9)]
    assert.deepStrictEqual(ForwardedAnswers.fit(answers, 3000).map(isKept(answers)), [true, true, false, true])
  })

  it("fit into a frame, as many as a group can have and as long as they can be", () => {
    const answers = new Array<Answer>(Limits.groupCommandsMax).fill(new Uint8Array(100_000))
    assert.isAtMost(frameOf(ForwardedAnswers.fit(answers)).length, frameBytesMax)
  })
})
