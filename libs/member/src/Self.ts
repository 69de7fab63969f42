/**
 * This member's own part in membership: who it is, what it was told at start, and the one-way step from "belongs to nothing" to "belongs to cluster C".
 * Everything that could take that step (founding, being told, being let in) goes through `initialise`, one at a time.
 */
import type { Configuration, LogStore, RaftNode } from "@dkv/raft"
import { Deferred, Effect, Option, Semaphore } from "effect"
import * as Limits from "./Limits.ts"
import * as MemberId from "./MemberId.ts"
import { fresh, MemberRecord, MemberRecordError } from "./MemberRecord.ts"
import type { Contact, Record } from "./MemberRecord.ts"

/** An entry of the list that a cluster is founded from. */
export interface Listed {
  readonly name: string
  /** `host:port` at which the others reach its peer port. */
  readonly peerAddress: string
}

export interface Options {
  /** Unique in the cluster, and constant for the life of the data directory. */
  readonly name: string
  /** `host:port` at which the others reach this member. */
  readonly peerAddress: string
  /** `host:port` at which clients reach this member; empty when nobody told. */
  readonly clientAddress: string
  /** All founders, in the same order on every one of them: the first founds. */
  readonly initialCluster: ReadonlyArray<Listed>
  /** `existing` never founds. */
  readonly initialClusterState: "new" | "existing"
  /** The first listed founds with those who answer; the ones that have been silent for `Limits.forceAfterMillis` are let in when they come. */
  readonly forceNewCluster: boolean
  /** Of raft, in milliseconds; the same on all members. Default 1000. */
  readonly electionTimeoutMillis?: number
  /** The member votes and holds no data, for the life of the data directory. Default false. */
  readonly witness?: boolean
}

export interface Self {
  readonly options: Options
  /** The present record. */
  readonly record: () => Record
  /** Succeeds once the member belongs to a cluster; fails if that could not be written down. */
  readonly initialised: Deferred.Deferred<Record, MemberRecordError>
  /** Writes down which cluster the member belongs to, unless it belongs to one already. Succeeds with the record either way. */
  readonly initialise: (
    membership: Pick<Record, "founding" | "pending" | "contacts"> & { readonly clusterId: string }
  ) => Effect.Effect<Record, MemberRecordError>
  /** Changes what else the record holds. */
  readonly update: (change: (record: Record) => Record) => Effect.Effect<Record, MemberRecordError>
  /** The running raft node, once there is one. */
  readonly node: () => RaftNode.RaftNode["Service"] | undefined
  /** Its log, for others who have lost a part of theirs. */
  readonly log: () => LogStore.LogStore["Service"] | undefined
  readonly setNode: (node: RaftNode.RaftNode["Service"] | undefined, log?: LogStore.LogStore["Service"]) => void
  /** Why the member takes no part although it is up, if so. */
  readonly fenced: () => string | undefined
  readonly setFenced: (reason: string | undefined) => void
}

/**
 * Loads the record, or makes a new identity and writes it down. Fails if the directory was made for another name, or for a member of the other kind, and if the options
 * are beyond `Limits`.
 */
export const make = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<Self, MemberRecordError, MemberRecord> {
    const excess = excessOf(options)
    if (excess !== undefined) return yield* new MemberRecordError({ message: excess })
    const records = yield* MemberRecord
    const found = yield* records.load
    let record: Record
    if (Option.isSome(found)) {
      record = found.value
      if (record.name !== options.name) {
        return yield* new MemberRecordError({
          message: `the data belongs to member ${record.name}, but this one is called ${options.name}: ` +
            `start it as ${record.name}, or give ${options.name} another data directory`
        })
      }
      if (record.witness !== isWitness(options)) {
        return yield* new MemberRecordError({
          message: record.witness
            ? `the data belongs to ${record.name} as a witness: start it with --witness, or give it another data directory`
            : `the data belongs to ${record.name} as a full member: start it without --witness, or give it another data directory`
        })
      }
    } else {
      record = fresh(yield* MemberId.make, options.name, isWitness(options))
      yield* records.save(record)
    }

    const lock = yield* Semaphore.make(1)
    const initialised = yield* Deferred.make<Record, MemberRecordError>()
    if (Option.isSome(record.clusterId)) yield* Deferred.succeed(initialised, record)
    let node: RaftNode.RaftNode["Service"] | undefined
    let log: LogStore.LogStore["Service"] | undefined
    let fenced: string | undefined

    const save = Effect.fnUntraced(function*(next: Record) {
      yield* records.save(next)
      record = next
      return next
    })

    const initialise: Self["initialise"] = Effect.fnUntraced(
      function*({ clusterId, contacts, founding, pending }) {
        if (Option.isSome(record.clusterId)) return record
        const saved = yield* save({ ...record, clusterId: Option.some(clusterId), founding, pending, contacts }).pipe(
          Effect.tapError((error) => Deferred.fail(initialised, error))
        )
        yield* Deferred.succeed(initialised, saved)
        return saved
      },
      lock.withPermit,
      Effect.uninterruptible
    )

    return {
      options,
      record: () => record,
      initialised,
      initialise,
      update: (change) => Effect.suspend(() => save(change(record))).pipe(lock.withPermit, Effect.uninterruptible),
      node: () => node,
      log: () => log,
      setNode: (next, itsLog) => {
        node = next
        log = itsLog
      },
      fenced: () => fenced,
      setFenced: (reason) => {
        fenced = reason
      }
    }
  }
)

const excessOf = ({ initialCluster, name }: Options): string | undefined => {
  if (new TextEncoder().encode(name).length > Limits.nameBytesMax) {
    return `the name of a member has ${Limits.nameBytesMax} bytes at most, and ${name} has more: choose a shorter one`
  }
  return initialCluster.length > Limits.initialMembersMax
    ? `the initial cluster lists ${initialCluster.length} members, ${Limits.initialMembersMax} are allowed: let the others in when it stands`
    : undefined
}

export const isWitness = ({ witness = false }: Options): boolean => witness

/** `NAME=ADDRESS` per entry, as a person gave it. */
export const listText = (list: ReadonlyArray<Listed>): ReadonlyArray<string> =>
  list.map(({ name, peerAddress }) => `${name}=${peerAddress}`)

/** The members of a configuration as whom to hear first. */
export const contactsOf = ({ members }: Configuration.Configuration): ReadonlyArray<Contact> =>
  members.map(({ id, peerAddress }) => ({ id, peerAddress }))

/** The entry of a cluster's configuration that stands for this member. */
export const configurationEntry = (
  { options }: Self,
  memberId: string,
  autoPromote: boolean
): Configuration.Member => ({
  id: memberId,
  name: options.name,
  peerAddress: options.peerAddress,
  clientAddress: options.clientAddress,
  autoPromote,
  witness: isWitness(options),
  priority: 0
})
