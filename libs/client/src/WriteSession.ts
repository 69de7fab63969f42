/**
 * The session that the writes of a client belong to: each gets a sequence number when it is first sent, and keeps it however often it is sent again, so that it takes
 * effect once. Says with every batch which answers the client has, or wants no more.
 *
 * Mutable; owned by `Calls`. Source: dissertation §6.3.
 */
import { Limits as WireLimits } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import type { Call } from "./Call.ts"
import * as Limits from "./Limits.ts"

export class WriteSession {
  /** Undefined while there is none. */
  id: Operation.SessionId | undefined
  private nextSequence = 1
  /** What was sent and may still wait for an answer, by sequence number. */
  private sent: Array<Call> = []
  private head = 0

  open(id: Operation.SessionId): void {
    this.id = id
    this.nextSequence = 1
    this.sent = []
    this.head = 0
  }

  /** The cluster does not know `id` any more. */
  expired(id: Operation.SessionId): void {
    if (this.id === id) this.id = undefined
  }

  /** Whether a batch of new writes may be sent. */
  get hasRoom(): boolean {
    return this.id !== undefined &&
      this.nextSequence + Limits.batchOperationsMax <= this.lowestUnanswered + Limits.sessionWindowMax
  }

  /** Whether the call has a number of this session: it may be sent again without room for it. */
  has(call: Call): boolean {
    return this.id !== undefined && call.session === this.id
  }

  /** Takes a call into the session, if it is not in it. False if it was in another one and may have taken effect there. */
  admit(call: Call): boolean {
    if (call.session === this.id) return true
    if (call.isDoubtful) return false
    call.session = this.id
    call.sequence = this.nextSequence++
    this.sent.push(call)
    return true
  }

  /** The stamp of a batch of calls that were admitted. */
  stamp(calls: ReadonlyArray<Call>): Operation.Stamp | undefined {
    if (this.id === undefined) return undefined
    const runs: Array<{ sequence: number; count: number }> = []
    for (const { sequence } of calls) {
      const last = runs.at(-1)
      if (last !== undefined && last.sequence + last.count === sequence) last.count++
      else runs.push({ sequence, count: 1 })
    }
    return { session: this.id, lowestUnanswered: this.lowestUnanswered, runs }
  }

  private get lowestUnanswered(): number {
    while (this.head < this.sent.length && this.sent[this.head]!.state === "done") this.head++
    if (this.head === this.sent.length) {
      this.sent = []
      this.head = 0
      return this.nextSequence
    }
    if (this.head * 2 > this.sent.length) {
      this.sent = this.sent.slice(this.head)
      this.head = 0
    }
    return this.sent[this.head]!.sequence
  }
}

/** Counts the runs that calls in this order make, as far as a batch may have them. */
export class RunCount {
  private runs = 0
  private next = -1

  /** Whether `sequence` still fits, and takes it in if so. */
  take(sequence: number): boolean {
    if (sequence !== this.next && this.runs === WireLimits.runsPerBatchMax) return false
    if (sequence !== this.next) this.runs++
    this.next = sequence + 1
    return true
  }
}
