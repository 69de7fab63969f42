/**
 * What the state holds of a session: the answers to commands that took effect together, one record of several. Most records are replaced before anybody
 * looks at them, so each is encoded for the first who does.
 *
 * Mutable; owned by `Sessions`.
 */
import * as Codec from "./codec/SessionCodec.ts"
import type * as Session from "./Session.ts"
import type { RecordChange } from "./StateMachine.ts"

export class SessionRecord implements RecordChange {
  readonly key: Uint8Array
  readonly slot: number
  readonly runs: ReadonlyArray<Session.Run>
  /** Behind the highest sequence number. */
  readonly end: number
  readonly bytes: number
  private content: Uint8Array | (() => Uint8Array)
  private offsets: Uint32Array | undefined

  constructor(
    key: Uint8Array,
    slot: number,
    runs: ReadonlyArray<Session.Run>,
    bytes: number,
    content: Uint8Array | (() => Uint8Array)
  ) {
    this.key = key
    this.slot = slot
    this.runs = runs
    this.end = endOf(runs)
    this.bytes = bytes
    this.content = content
  }

  get value(): Uint8Array {
    return typeof this.content === "function" ? this.content = this.content() : this.content
  }

  /** The answer at a position; undefined if it was not kept. Whoever asks for one asks for many. */
  answerAt(position: number): Uint8Array | undefined {
    this.offsets ??= Codec.answerOffsets(this.value)
    return Codec.answerAt(this.value, this.offsets[position]!)
  }
}

const endOf = (runs: ReadonlyArray<Session.Run>): number => {
  let end = 0
  for (const { count, sequence } of runs) end = Math.max(end, sequence + count)
  return end
}
