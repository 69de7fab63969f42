/**
 * Going on alone after a quorum was lost for good: one survivor is made the only voter of what is, from then on, another cluster. An operator's decision, because nobody
 * can know what the others had acknowledged.
 *
 * First the decision is written down, then log and state are made so, then the member's record; whoever starts next completes what a crash has cut off. The others are
 * refused by the new cluster id, should they ever be started again.
 */
import { Configuration, Offline } from "@dkv/raft"
import type { LogStore, MembershipError, StateMachine } from "@dkv/raft"
import { Effect, Layer, Option, Schema } from "effect"
import * as Damage from "./Damage.ts"
import * as Limits from "./Limits.ts"
import * as MemberId from "./MemberId.ts"
import { MemberRecord } from "./MemberRecord.ts"
import type { MemberRecordError, Record } from "./MemberRecord.ts"
import type { Parts } from "./Parts.ts"

/** The data cannot be the beginning of a cluster; nothing was changed. The message says why, and what would help. */
export class TakeOverError extends Schema.TaggedError<TakeOverError>()("TakeOverError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

/** What was found, before anything is changed. */
export interface Survivor {
  readonly name: string
  readonly memberId: string
  readonly clusterId: string
  readonly inspection: Offline.Inspection
  /** The decision was made already, and a crash has cut off what follows from it. */
  readonly isDecided: boolean
}

type Data<E, R> = Pick<Parts<E, R>, "log" | "state">

const refused = (message: string, cause?: unknown) =>
  Effect.fail(new TakeOverError({ message, ...cause === undefined ? {} : { cause } }))

/** Looks at log and state, which a plain start would do in the same way, and refuses what cannot go on alone. `MemberRecord` keeps others out meanwhile. */
export const inspect = Effect.fnUntraced(function*<E, R>(parts: Data<E, R>) {
  const records = yield* MemberRecord
  const record = Option.getOrUndefined(yield* records.load)
  if (record === undefined || Option.isNone(record.clusterId)) {
    return yield* refused(
      "there is no member of a cluster here that could go on: name the data directory of a survivor"
    )
  }
  if (Option.isSome(record.rebuild)) {
    return yield* refused(
      `the data of ${record.name} is damaged (${record.rebuild.value.reason}) and the member was being rebuilt: take the data directory of another survivor`
    )
  }
  if (!record.hasLog) {
    return yield* refused(
      `${record.name} has never taken part in its cluster: take the data directory of another survivor`
    )
  }
  // its state is none that could be opened
  if (record.witness) {
    return yield* refused(`${record.name} is a witness, which has no data: take the data directory of another survivor`)
  }
  const inspection = yield* Effect.catchIf(
    withData(parts, record, Offline.inspect),
    (error) => Damage.of(error) !== undefined,
    (error) =>
      refused(
        `the data of ${record.name} is damaged: ${
          Damage.of(error)!.message
        }. Take the data directory of another survivor, or bring this one back from a backup`,
        error
      )
  )
  const member = Configuration.find(inspection.configuration, record.memberId)
  if (member === undefined) {
    return yield* refused(`${record.name} is not in the cluster any more: take the data directory of another survivor`)
  }
  return {
    name: record.name,
    memberId: record.memberId,
    clusterId: record.clusterId.value,
    inspection,
    isDecided: Option.isSome(record.takeOver)
  } satisfies Survivor
})

/** Makes the survivor the only member of a new cluster, and succeeds with the id of that. Nobody has its data open. */
export const run = Effect.fnUntraced(function*<E, R>(parts: Data<E, R>, survivor: Survivor) {
  const records = yield* MemberRecord
  if (!survivor.isDecided) {
    const record = Option.getOrThrow(yield* records.load)
    yield* records.save({ ...record, takeOver: Option.some(yield* MemberId.make) })
  }
  const record = yield* settle(parts)
  return Option.getOrElse(record === undefined ? Option.none() : record.clusterId, () => survivor.clusterId)
})

/** Completes what was decided, if something was. To be run before anything else is done with the data. */
export const settle = Effect.fnUntraced(function*<E, R>(parts: Data<E, R>): Effect.fn.Return<
  Record | undefined,
  E | MemberRecordError | LogStore.LogStoreError | StateMachine.StateMachineError | MembershipError,
  R | MemberRecord
> {
  const records = yield* MemberRecord
  const record = Option.getOrUndefined(yield* records.load)
  if (record === undefined || Option.isNone(record.takeOver)) return record
  yield* withData(parts, record, Offline.takeOver(record.memberId))
  const taken: Record = {
    ...record,
    clusterId: record.takeOver,
    founding: Option.none(),
    pending: [],
    contacts: [],
    takeOver: Option.none(),
    formerClusters: [...record.formerClusters, ...Option.toArray(record.clusterId)].slice(-Limits.formerClustersMax)
  }
  yield* records.save(taken)
  yield* Effect.logWarning(
    `${record.name} goes on alone, as cluster ${record.takeOver.value}: what only the others had is given up`
  )
  return taken
})

const withData = <A, E, R, E2>(
  parts: Data<E, R>,
  record: Record,
  use: Effect.Effect<A, E2, LogStore.LogStore | StateMachine.StateMachine>
) => Effect.scoped(Effect.provide(use, Layer.fresh(Layer.merge(parts.log(record), parts.state))))
