/** One member of a Raft cluster, as the rest of a program uses it. */
import { Context, Layer } from "effect"
import type { Effect, Option, Stream } from "effect"
import type { Capacity } from "./Capacity.ts"
import type * as ClusterSettings from "./core/ClusterSettings.ts"
import type { Configuration, Member } from "./core/Configuration.ts"
import type { RoleName } from "./core/Core.ts"
import type { LogIndex, MemberId, Term } from "./core/Entry.ts"
import type { Event } from "./Events.ts"
import type { LogStore, LogStoreError } from "./LogStore.ts"
import * as Node from "./Node.ts"
import type { MembershipError, MemberStopped, RaftError } from "./RaftError.ts"
import type { SessionId, Stamp } from "./Session.ts"
import { Stages } from "./Stages.ts"
import type { Latency } from "./Stages.ts"
import type { StateMachine, StateMachineError } from "./StateMachine.ts"
import type { Transport, TransportError } from "./Transport.ts"

export type { Event, Latency, RoleName, SessionId, Stamp }

export interface Status {
  readonly id: MemberId
  readonly role: RoleName
  readonly term: Term
  /** The leader as far as this member knows. */
  readonly leader: Option.Option<MemberId>
  readonly commitIndex: LogIndex
  readonly appliedIndex: LogIndex
  readonly lastIndex: LogIndex
  /** Last index that was compacted away. */
  readonly previousIndex: LogIndex
  readonly configuration: Configuration
  /** How many members hold the data of what is acknowledged, at least; witnesses hold none. */
  readonly copies: number
  /** On the leader: how far each other member is, and whether it answered within the last election timeout. */
  readonly peers: ReadonlyArray<{ readonly id: MemberId; readonly matchIndex: LogIndex; readonly active: boolean }>
  /** On the leader: it has a lease, and reads go ahead without a round. */
  readonly hasLease: boolean
  /** A committed configuration no longer has this member in it. */
  readonly removed: boolean
}

/** How full a bounded queue or table is. */
export interface Gauge {
  /** What it counts, as `Limits` names it; tables with a row per peer are named after themselves. */
  readonly name: string
  readonly value: number
  readonly limit: number
}

/**
 * A wish to change who takes part, and how.
 *
 * - `Join`: add as a learner, a witness too. The same id and addresses again is no change; `replaces` names a member whose place it takes, in one joint change, once it has caught up.
 * - `Promote`: make a caught-up learner a voter. `Leave`: remove. `Update`: new addresses, or another priority, of a present member.
 * - `Configure`: other settings of the cluster; what is left out stays. `Invalid` if `deadMemberMillis` is less than 10 election timeouts.
 * - `force` skips the check that the new quorum answers now.
 */
export type MembershipChange =
  | { readonly _tag: "Join"; readonly member: Member; readonly replaces: Option.Option<MemberId> }
  | { readonly _tag: "Promote"; readonly id: MemberId; readonly force: boolean }
  | { readonly _tag: "Leave"; readonly id: MemberId; readonly force: boolean }
  | {
    readonly _tag: "Update"
    readonly id: MemberId
    readonly peerAddress: string
    readonly clientAddress: string
    readonly priority?: number
  }
  | { readonly _tag: "Configure"; readonly settings: Partial<ClusterSettings.Settings> }

export interface CallOptions {
  /** After this time the caller gets `Unknown` (or `NoLeader`, if the call never left this member). Default 5000. */
  readonly timeoutMillis?: number
}

export interface ProposeOptions extends CallOptions {
  /** Makes each of the commands take effect at most once, however often it is proposed with the same number. */
  readonly session?: Stamp
}

export interface ReadOptions extends CallOptions {
  /**
   * What was committed so many milliseconds before the call, or earlier, has to be seen; default 0, which is everything. Above 0 the leader is asked at
   * most once in this time, however many read, and not at all while it cannot be reached and the last answer is young enough.
   */
  readonly maxStalenessMillis?: number
}

export class RaftNode extends Context.Service<RaftNode, {
  readonly id: MemberId

  /**
   * Replicates the commands in order, as one unit of waiting, and succeeds with one result each once they are applied on the leader. Works on any member: others forward it once.
   *
   * With a session, commands that took effect before are not carried out again, and have the results that they had: whatever the outcome was said to be, they may be
   * proposed again, in other groups too, with their sequence numbers. If one of the commands is refused for its session's sake, the whole group fails with the
   * reason, and the others may have taken effect.
   */
  readonly propose: (
    commands: ReadonlyArray<Uint8Array>,
    options?: ProposeOptions
  ) => Effect.Effect<ReadonlyArray<Uint8Array>, RaftError>

  /**
   * The same for a caller who wants to know of each command: one that is refused for its session's sake has the reason in place of a result, `Unknown` if it took
   * effect before and its answer is gone, and `Busy` if it is too far ahead. `Unknown` is also one that was applied and whose answer did not fit into what a forwarded
   * group brings back (`Limits.forwardedAnswersBytesMax`). Only `Expired` is the refusal of all of them, and the failure of the call.
   */
  readonly proposeEach: (
    commands: ReadonlyArray<Uint8Array>,
    options?: ProposeOptions
  ) => Effect.Effect<ReadonlyArray<Uint8Array | RaftError>, RaftError>

  /**
   * Opens a client session, on all members. There is room for `Limits.sessionsMax` of them; the one that was not used for longest gives way. Of two attempts one may
   * leave behind a session that nobody uses, which does no harm.
   */
  readonly openSession: (options?: CallOptions) => Effect.Effect<SessionId, RaftError>

  /**
   * Succeeds once this member has applied everything that was committed when it was called: a read of the local state machine is then linearizable
   * (dissertation §6.4). Works on any member but a witness, which has nothing to read and fails with `Witness` at once; concurrent calls share rounds.
   */
  readonly readBarrier: (options?: ReadOptions) => Effect.Effect<LogIndex, RaftError>

  /** Who takes part, with every change that was committed when this was called. Works on any member; concurrent calls share rounds. */
  readonly configuration: (options?: CallOptions) => Effect.Effect<Configuration, RaftError>

  /** Changes membership through the leader; succeeds when the new configuration (both steps of a joint one) is committed. */
  readonly changeMembership: (
    change: MembershipChange,
    options?: CallOptions
  ) => Effect.Effect<Configuration, MembershipError>

  /** Hands leadership to `to`, or to the most up-to-date voter, and succeeds with the new leader's id. */
  readonly transferLeadership: (
    to: Option.Option<MemberId>,
    options?: CallOptions
  ) => Effect.Effect<MemberId, MembershipError>

  readonly status: Effect.Effect<Status>

  /** How full the queues and tables of this member are, each with its limit. */
  readonly gauges: Effect.Effect<ReadonlyArray<Gauge>>

  /** The leader as far as this member knows: at once, and again with each change. Who reads slowly gets the last change only. */
  readonly leader: Stream.Stream<Option.Option<MemberId>>

  /** What happens to this member from now on. Who reads slowly loses the oldest events. */
  readonly events: Stream.Stream<Event>

  /** How long the proposals that this member led took since it started, stage by stage. */
  readonly latency: Effect.Effect<Latency>

  /** Never succeeds; fails when the member has to stop (its disk failed, an invariant broke). */
  readonly stopped: Effect.Effect<never, MemberStopped>
}>()("@dkv/raft/RaftNode") {}

/** Of a member that has led nothing yet. */
export const noLatency: Latency = new Stages().latency

export interface Options {
  readonly id: MemberId
  /**
   * The founding configuration, the same on every founding member; ignored unless log and state are empty. Without it an empty member waits
   * until a leader speaks to it.
   */
  readonly configuration: Option.Option<Configuration>
  /**
   * Default false. A witness votes and acknowledges, holds no data and never leads; its state machine is `WitnessStateMachine.layer`. For the life of the member, and its
   * entry in the configuration says the same, or it stops.
   */
  readonly witness?: boolean
  /** A follower that hears nothing for one to two of these stands for election. Default 1000. Give all members the same: leader leases rest on it. */
  readonly electionTimeoutMillis?: number
  /** Default 100. */
  readonly heartbeatMillis?: number
  /** Entries of one append message; default `Limits.messageEntriesMax`. */
  readonly messageEntriesMax?: number
  /** Applied entries kept in the log; default `Limits.trailingEntries`. */
  readonly trailingEntries?: number
  /** Log bytes after which the log is shortened; default `Limits.compactAfterBytes`. */
  readonly compactAfterBytes?: number
  /** What may wait, or be on its way, at most; each default is the limit of that name in `Limits`. */
  readonly capacity?: Partial<Capacity>
}

/** A running member. Fails with reason `Corrupt` where log and state do not fit together; the message says what to do. */
export const layer = (
  options: Options
): Layer.Layer<
  RaftNode,
  LogStoreError | StateMachineError | TransportError | MemberStopped,
  LogStore | StateMachine | Transport
> => Layer.effect(RaftNode, Node.make(options))
