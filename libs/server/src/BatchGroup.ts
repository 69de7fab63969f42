/**
 * Operations of several batches that go to the key-value service together, and the way of their results back to the batches. A batch with writes and reads takes
 * part in two groups.
 */
import type { Operation } from "@dkv/protocol"
import { Limits as RaftLimits } from "@dkv/raft"

/** A batch that is being worked on. */
export interface Pending {
  readonly id: number
  readonly operations: ReadonlyArray<Operation.Operation>
  /** What it takes in memory: more than its commands do in the log. */
  readonly bytes: number
  readonly writes: number
  readonly results: Array<Operation.Result>
  /** Groups that still owe it results. */
  groups: number
}

export type Kind = "write" | Operation.Consistency

/** Mutable until it is started. */
export class Group {
  readonly kind: Kind
  readonly batches: Array<Pending> = []
  operations = 0
  timeoutMillis = 0
  /** Its answer may be large: it waits until there is room for one. */
  isHeavy = false
  private bytes = 0

  constructor(kind: Kind) {
    this.kind = kind
  }

  /** Whether the group stays within what raft takes as one, with `count` operations of `pending`. A batch alone always does. */
  fits(pending: Pending, count: number): boolean {
    return this.operations + count <= RaftLimits.groupCommandsMax &&
      this.bytes + pending.bytes <= RaftLimits.groupBytesMax
  }

  join(pending: Pending, count: number, timeoutMillis: number): void {
    this.batches.push(pending)
    this.operations += count
    this.bytes += pending.bytes
    if (timeoutMillis > this.timeoutMillis) this.timeoutMillis = timeoutMillis
  }

  get writes(): Array<Operation.Write> {
    const writes: Array<Operation.Write> = []
    for (const { operations } of this.batches) {
      for (let i = 0; i < operations.length; i++) {
        const operation = operations[i]!
        if (operation._tag !== "Range") writes.push(operation)
      }
    }
    return writes
  }

  get ranges(): Array<Operation.Range> {
    const ranges: Array<Operation.Range> = []
    for (const { operations } of this.batches) {
      for (let i = 0; i < operations.length; i++) {
        const operation = operations[i]!
        if (operation._tag === "Range") ranges.push(operation)
      }
    }
    return ranges
  }

  /**
   * Hands out `results`, which are in the order of the operations; `reply` is given each batch that is complete. Answers of one call to the service are limited
   * together: batches that came too short because of those before them are returned as a group to be asked again, which makes progress because the first batch of
   * a group is always answered.
   */
  settle(
    results: ReadonlyArray<Operation.Result>,
    reply: (pending: Pending, results: ReadonlyArray<Operation.Result>) => void
  ): Group | undefined {
    let again: Group | undefined
    let at = 0
    for (const pending of this.batches) {
      const own = this.kind === "write" ? pending.writes : pending.operations.length - pending.writes
      if (at > 0 && this.kind !== "write" && cameShort(results, at, own)) {
        again ??= new Group(this.kind)
        again.isHeavy = true
        again.join(pending, own, this.timeoutMillis)
      } else if (own === pending.operations.length) {
        reply(pending, own === results.length ? results : results.slice(at, at + own))
      } else {
        this.scatter(pending, results, at)
        if (--pending.groups === 0) reply(pending, pending.results)
      }
      at += own
    }
    return again
  }

  /** Puts the results of one kind into the places of their operations, in a batch that has both kinds. */
  private scatter(pending: Pending, results: ReadonlyArray<Operation.Result>, from: number): void {
    const isWrite = this.kind === "write"
    let at = from
    for (let i = 0; i < pending.operations.length; i++) {
      if ((pending.operations[i]!._tag !== "Range") === isWrite) pending.results[i] = results[at++]!
    }
  }
}

const cameShort = (results: ReadonlyArray<Operation.Result>, from: number, count: number): boolean => {
  for (let i = from; i < from + count; i++) {
    const result = results[i]!
    if (result._tag === "Invalid" && result.reason === "AnswerTooLarge") return true
  }
  return false
}
