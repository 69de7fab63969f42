/**
 * The key-value service of one member: what gateways call. Writes go through raft as one group; reads are served from the local state machine,
 * after a read barrier unless the caller accepts stale data.
 */
import { RaftError, RaftNode, type Session, type StateMachine } from "@dkv/raft"
import { Clock, Context, Effect, Layer, Option, Stream } from "effect"
import * as Checks from "./Checks.ts"
import * as Command from "./Command.ts"
import { KvReader } from "./KvReader.ts"
import * as Limits from "./Limits.ts"
import * as Outcome from "./Outcome.ts"

/** A key with its value and history numbers. Revisions count the changes of the whole store, from 1. */
export interface KeyValue {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** Revision at which the key came into being (again, after a delete). */
  readonly createRevision: number
  /** Revision of the last change. */
  readonly modRevision: number
  /** Number of changes since creation, from 1. */
  readonly version: number
  /** Lease that the key is attached to; 0 for none. */
  readonly lease: number
}

/** A key as a failed comparison found it. */
export interface FoundKey extends Omit<KeyValue, "value"> {
  /** None if it is longer than 1 KiB: read the key. */
  readonly value: Option.Option<Uint8Array>
}

/**
 * - `Put` creates or overwrites.
 * - `Delete` removes the keys in `[key, end)`, or just `key` when `end` is empty; an `end` of one zero byte means "no upper bound".
 *   Deleting nothing uses no revision.
 * - `CompareAndSwap` puts only if the key's mod revision equals `expected` (0: only if there is no such key).
 * - `CompareAndDelete` deletes the one key under the same condition.
 */
export type WriteOp =
  | { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array; readonly end: Uint8Array }
  | { readonly _tag: "CompareAndSwap"; readonly key: Uint8Array; readonly value: Uint8Array; readonly expected: number }
  | { readonly _tag: "CompareAndDelete"; readonly key: Uint8Array; readonly expected: number }

/** `revision` is the store's revision after the operation. */
export type WriteResult =
  | { readonly _tag: "Put"; readonly revision: number }
  | { readonly _tag: "Delete"; readonly revision: number; readonly deleted: number }
  | {
    readonly _tag: "Compared"
    readonly revision: number
    readonly succeeded: boolean
    /** What stood there instead, if the comparison failed. */
    readonly current: Option.Option<FoundKey>
  }
  | Invalid
  | Failed

/**
 * An operation of a client session that has no result of its own, while the others of its group do: after `Unknown` it took effect before, and its answer is gone;
 * after `Busy` it certainly has not, and may be tried again once the client has more answers.
 */
export interface Failed {
  readonly _tag: "Failed"
  readonly reason: RaftError["reason"]
  readonly message: string
}

/** Keys in `[key, end)` in order, or just `key` when `end` is empty. An `end` of one zero byte means "no upper bound", as in etcd. */
export interface RangeOp {
  readonly key: Uint8Array
  readonly end: Uint8Array
  /** At most this many; 0 for as many as one answer may hold. */
  readonly limit: number
  readonly reverse: boolean
}

export type RangeResult =
  | {
    readonly _tag: "Range"
    readonly revision: number
    readonly kvs: ReadonlyArray<KeyValue>
    /** There are more keys in the range than were returned: ask again from behind the last one. */
    readonly more: boolean
  }
  | Invalid

/**
 * An operation that was refused and changed nothing; the others of its batch are not affected.
 *
 * - `KeyEmpty`, `KeyTooLarge`, `ValueTooLarge`, `LimitInvalid`, `RevisionInvalid`: refused before it reached the log; correct it.
 * - `RangeTooLarge`: a delete would remove more keys than one command may; delete smaller ranges.
 * - `AnswerTooLarge`: the reads of one call outgrew what one answer may hold; ask for this one in another call.
 * - `Unsupported`: a member that applied the command does not know it, being of another version; finish the upgrade first.
 */
export interface Invalid {
  readonly _tag: "Invalid"
  readonly reason:
    | "KeyEmpty"
    | "KeyTooLarge"
    | "ValueTooLarge"
    | "LimitInvalid"
    | "RevisionInvalid"
    | "RangeTooLarge"
    | "AnswerTooLarge"
    | "Unsupported"
  readonly message: string
}

/**
 * - `linearizable`: everything acknowledged before the call is seen.
 * - `stale`: whatever this member has applied, however long ago it was cut off.
 * - `maxStalenessMillis`: everything acknowledged so long before the call, or earlier, is seen.
 */
export type Consistency = "linearizable" | "stale" | { readonly maxStalenessMillis: number }

export class Kv extends Context.Service<Kv, {
  /**
   * Replicates the operations in order as one group; one result each. Each operation is its own change with its own revision. With a session, an operation that took
   * effect before is not carried out again and has the result that it had; the stamp has a sequence number for each operation.
   */
  readonly write: (
    ops: ReadonlyArray<WriteOp>,
    options: { readonly timeoutMillis: number; readonly session?: Session.Stamp }
  ) => Effect.Effect<ReadonlyArray<WriteResult>, RaftError>

  /**
   * Serves the ranges from this member, all from the same revision. Ranges that are not read when the time is over are given up as `Busy`. Keys and values of
   * all results have `answerBytesMax` bytes, or less if the limit of an answer is less; those beyond it are `AnswerTooLarge`.
   */
  readonly read: (
    ops: ReadonlyArray<RangeOp>,
    options: {
      readonly consistency: Consistency
      readonly timeoutMillis: number
      readonly answerBytesMax?: number
    }
  ) => Effect.Effect<ReadonlyArray<RangeResult>, RaftError>
}>()("@dkv/kv/Kv") {}

const stopped = (error: StateMachine.StateMachineError): RaftError =>
  new RaftError({ reason: "Stopped", message: `this member cannot read its state: ${error.message}` })

type Raft = RaftNode.RaftNode["Service"]

const writeTo = (raft: Raft, isLed: () => boolean): Kv["Service"]["write"] => (ops, options) =>
  Effect.suspend(() => {
    const { accepted, results } = sift<WriteOp, WriteResult>(ops, Checks.write)
    if (accepted.length === 0) return Effect.succeed(results)
    const session = accepted.length === ops.length ? options.session : stampOf(options.session, results)
    const propose = (timeoutMillis: number) =>
      Effect.map(
        raft.proposeEach(Command.encodeAll(accepted), { timeoutMillis, ...session === undefined ? {} : { session } }),
        (outcomes) => merge(results, outcomes, toResult)
      )
    const { timeoutMillis } = options
    return isLed() || timeoutMillis <= Limits.leaderWaitMillis
      ? propose(timeoutMillis)
      : Effect.flatMap(untilLed(raft, timeoutMillis), propose)
  })

/** Whether the member knows of a leader, to be asked at any time. */
const watchLeader = Effect.fnUntraced(function*(raft: Raft) {
  let isLed = false
  const watch = Stream.runForEach(raft.leader, (leader) =>
    Effect.sync(() => {
      isLed = Option.isSome(leader)
    }))
  yield* Effect.forkScoped(watch)
  return () => isLed
})

/**
 * Waits a while for a leader, and says what is left of the time. A group that is proposed can wait for one too, but then it goes back late, and may be said to be
 * in doubt: a caller could not take it to a member that has a leader.
 */
const untilLed = Effect.fnUntraced(function*(raft: Raft, timeoutMillis: number) {
  const now = yield* monotonicMillis
  const begun = now()
  const led = raft.configuration({ timeoutMillis: Limits.leaderWaitMillis })
  // Whoever is behind has heard of a leader.
  yield* Effect.catchIf(led, ({ reason }) => reason === "Busy", () => Effect.void)
  return Math.max(1, Math.ceil(timeoutMillis - (now() - begun)))
})

const monotonicMillis = Effect.map(Clock.Clock, (clock) => () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)

const toResult = (outcome: Uint8Array | RaftError): WriteResult =>
  outcome instanceof RaftError
    ? { _tag: "Failed", reason: outcome.reason, message: outcome.message }
    : Outcome.decode(outcome)

const make = Effect.gen(function*() {
  const raft = yield* RaftNode.RaftNode
  const reader = yield* KvReader

  const read: Kv["Service"]["read"] = (ops, { answerBytesMax, consistency, timeoutMillis }) =>
    Effect.suspend(() => {
      const { accepted, results } = sift<RangeOp, RangeResult>(ops, Checks.range)
      if (accepted.length === 0) return Effect.succeed(results)
      const local = Effect.map(
        Effect.mapError(reader.read(accepted, answerBytesMax), stopped),
        (answers) => merge(results, answers, (answer) => answer)
      )
      const barrier = consistency === "stale" ? Effect.void : raft.readBarrier({
        timeoutMillis,
        maxStalenessMillis: consistency === "linearizable" ? 0 : consistency.maxStalenessMillis
      })
      return accepted.some(isWalk) ? inTime(barrier, local, timeoutMillis) : Effect.andThen(barrier, local)
    })

  return Kv.of({ write: writeTo(raft, yield* watchLeader(raft)), read })
})

/** Keys are looked up; a range is walked, however many deleted keys lie in it. */
const isWalk = (op: RangeOp): boolean => op.end.length > 0

/** Gives `local` what `barrier` has left of the time. */
const inTime = Effect.fnUntraced(function*<A, B>(
  barrier: Effect.Effect<B, RaftError>,
  local: Effect.Effect<A, RaftError>,
  timeoutMillis: number
) {
  const now = yield* monotonicMillis
  const deadline = now() + timeoutMillis
  yield* barrier
  return yield* Effect.timeoutOrElse(local, {
    duration: Math.max(1, Math.ceil(deadline - now())),
    orElse: () => Effect.fail(tooLate)
  })
})

const tooLate = new RaftError({
  reason: "Busy",
  message: "the range could not be read in the time that was given: give more of it, or ask for a smaller range"
})

const makeWitness = Effect.gen(function*() {
  const raft = yield* RaftNode.RaftNode
  return Kv.of({
    write: writeTo(raft, yield* watchLeader(raft)),
    read: () =>
      Effect.fail(
        new RaftError({
          reason: "Witness",
          message: "this member is a witness: it takes writes and holds no data; read from another one"
        })
      )
  })
})

/** Splits off the operations that `check` refuses; their results stand in their places, the other places are still free. */
const sift = <Op, Result>(
  ops: ReadonlyArray<Op>,
  check: (op: Op) => Invalid | undefined
): { readonly accepted: Array<Op>; readonly results: Array<Result | Invalid> } => {
  const accepted: Array<Op> = []
  const results: Array<Result | Invalid> = new Array(ops.length)
  for (let i = 0; i < ops.length; i++) {
    const invalid = check(ops[i]!)
    if (invalid === undefined) accepted.push(ops[i]!)
    else results[i] = invalid
  }
  return { accepted, results }
}

/** The sequence numbers of the operations whose places are free. */
const stampOf = (
  stamp: Session.Stamp | undefined,
  results: ReadonlyArray<unknown>
): Session.Stamp | undefined => {
  if (stamp === undefined) return undefined
  const runs: Array<{ readonly sequence: number; count: number }> = []
  let position = 0
  for (const run of stamp.runs) {
    for (let offset = 0; offset < run.count; offset++) {
      if (results[position++] !== undefined) continue
      const sequence = run.sequence + offset
      const last = runs.at(-1)
      if (last !== undefined && last.sequence + last.count === sequence) last.count++
      else runs.push({ sequence, count: 1 })
    }
  }
  return { ...stamp, runs }
}

/** Fills the free places in order. */
const merge = <Result, Answer>(
  results: Array<Result>,
  answers: ReadonlyArray<Answer>,
  toResult: (answer: Answer) => Result
): ReadonlyArray<Result> => {
  let next = 0
  for (let i = 0; i < results.length; i++) if (results[i] === undefined) results[i] = toResult(answers[next++]!)
  return results
}

/** `Kv` over a raft node and the state machine that it applies to. */
export const layer: Layer.Layer<Kv, never, RaftNode.RaftNode | KvReader> = Layer.effect(Kv, make)

/** `Kv` of a witness, which has no state: writes go to the leader, and every read fails with `Witness`, stale ones too. */
export const layerWitness: Layer.Layer<Kv, never, RaftNode.RaftNode> = Layer.effect(Kv, makeWitness)
