/**
 * Operations of several batches that go to the key-value service together, and the way of their results back to the batches. A batch with writes and reads takes
 * part in two groups.
 */
import type { Operation } from "@dkv/protocol"
import { Limits as RaftLimits } from "@dkv/raft"
import * as Limits from "./Limits.ts"

/** A batch that is being worked on. */
export interface Pending {
  readonly id: number
  readonly operations: ReadonlyArray<Operation.Operation>
  readonly consistency: Operation.Consistency
  readonly stamp: Operation.Stamp | undefined
  /** What it takes in memory: more than its commands do in the log. */
  readonly bytes: number
  readonly writes: number
  readonly results: Array<Operation.Result>
  /** Groups that still owe it results. */
  groups: number
}

/** Reads by how much staleness they accept: none, some, any. */
export type ReadKind = "linearizable" | "bounded" | "stale"
export type Kind = "write" | ReadKind

export const kindOf = (consistency: Operation.Consistency): ReadKind =>
  typeof consistency === "string" ? consistency : "bounded"

/** Mutable until it is started. */
export class Group {
  readonly kind: Kind
  readonly batches: Array<Pending> = []
  operations = 0
  timeoutMillis = 0
  /** Its answer may be large: it waits until there is room for one. */
  isHeavy = false
  /** Bytes that were set aside for its answer, if it did not wait. */
  allowance = 0
  private bytes = 0
  private readonly runs: Array<Operation.Run> = []
  private maxStalenessMillis = Infinity

  constructor(kind: Kind) {
    this.kind = kind
  }

  /** Whether the group stays within what raft takes as one, with `count` operations of `pending`. A batch alone always does. */
  fits(pending: Pending, count: number): boolean {
    return (this.kind !== "write" || isOfOne(this.batches[0]?.stamp, pending.stamp)) &&
      this.operations + count <= RaftLimits.groupCommandsMax &&
      this.bytes + pending.bytes <= RaftLimits.groupBytesMax
  }

  join(pending: Pending, count: number, wantedMillis: number): void {
    const timeoutMillis = Math.min(wantedMillis, Limits.batchTimeoutMillisMax)
    this.batches.push(pending)
    this.operations += count
    this.bytes += pending.bytes
    if (timeoutMillis > this.timeoutMillis) this.timeoutMillis = timeoutMillis
    if (this.kind === "write") { for (const run of pending.stamp?.runs ?? []) this.runs.push(run) }
    else if (typeof pending.consistency !== "string") {
      this.maxStalenessMillis = Math.min(this.maxStalenessMillis, pending.consistency.maxStalenessMillis)
    }
  }

  /** Of the writes. What one batch says is answered holds for the batches behind it. */
  get stamp(): Operation.Stamp | undefined {
    const stamp = this.batches[0]?.stamp
    return stamp === undefined ? undefined : { ...stamp, runs: this.runs }
  }

  /** Of the reads: what suffices for all of them. */
  get consistency(): Operation.Consistency {
    return this.kind === "stale" || this.kind === "linearizable"
      ? this.kind
      : { maxStalenessMillis: this.maxStalenessMillis }
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
   * together: batches that came too short because of those before them, or for want of room when it was not waited for, are returned as a heavy group to be asked
   * again, which makes progress because the first batch of a heavy group is always answered.
   */
  settle(
    results: ReadonlyArray<Operation.Result>,
    reply: (pending: Pending, results: ReadonlyArray<Operation.Result>) => void
  ): Group | undefined {
    let again: Group | undefined
    let at = 0
    for (const pending of this.batches) {
      const own = this.kind === "write" ? pending.writes : pending.operations.length - pending.writes
      if ((at > 0 || !this.isHeavy) && this.kind !== "write" && cameShort(results, at, own)) {
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

/** Whether two batches are of one client session, or both of none. */
const isOfOne = (one: Operation.Stamp | undefined, other: Operation.Stamp | undefined): boolean =>
  one?.session.index === other?.session.index && one?.session.term === other?.session.term

const cameShort = (results: ReadonlyArray<Operation.Result>, from: number, count: number): boolean => {
  for (let i = from; i < from + count; i++) {
    const result = results[i]!
    if (result._tag === "Invalid" && result.reason === "AnswerTooLarge") return true
  }
  return false
}
