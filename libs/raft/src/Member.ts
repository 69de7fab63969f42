/**
 * What belongs to a member and not to a role: the core, the mailbox, and the actors that outlive a change of role. The serving loop and the roles
 * get it as their one argument.
 */
import { Cause, Deferred, Effect } from "effect"
import type { Clock, Random } from "effect"
import type { Applier } from "./Applier.ts"
import type { Capacity } from "./Capacity.ts"
import type { Changes } from "./Changes.ts"
import type { Core } from "./core/Core.ts"
import type { MemberId, Term } from "./core/Entry.ts"
import type { Outgoing } from "./core/Output.ts"
import type { EntryCache } from "./EntryCache.ts"
import type { Events } from "./Events.ts"
import type { Forwards } from "./Forwards.ts"
import type { LogStore } from "./LogStore.ts"
import type { LogWriter } from "./LogWriter.ts"
import type { Mailbox } from "./Mailbox.ts"
import type { Completer, Proposals } from "./Proposals.ts"
import { MemberStopped } from "./RaftError.ts"
import type { Readers } from "./Readers.ts"
import type { Encoded, Slot } from "./Replicator.ts"
import type { SnapshotReceiver } from "./SnapshotReceiver.ts"
import type { Transfer } from "./SnapshotSender.ts"
import type { Stages } from "./Stages.ts"
import type { StateMachine } from "./StateMachine.ts"
import type { Transport } from "./Transport.ts"
import type { Wakeup } from "./Wakeup.ts"

/** Keeps the log behind `index`, until too much was appended since. */
export type Pin = Pick<Transfer, "index" | "startedAtBytes" | "bytesUnsafe">

export interface Member {
  readonly core: Core
  /** Fails when the member has to stop. */
  readonly stopped: Deferred.Deferred<never, MemberStopped>
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly mailbox: Mailbox
  readonly cache: EntryCache
  readonly logStore: LogStore["Service"]
  readonly logWriter: LogWriter
  readonly applier: Applier
  readonly proposals: Proposals
  readonly forwards: Forwards
  readonly changeRequests: Forwards
  readonly readers: Readers
  readonly changes: Changes
  readonly completer: Completer
  readonly events: Events
  readonly stages: Stages
  readonly transport: Transport["Service"]
  readonly stateMachine: StateMachine["Service"]
  readonly receiver: SnapshotReceiver
  readonly capacity: Capacity
  /** Messages that wait for a write, in the order of the writes. */
  readonly held: Array<Outgoing>
  readonly makeWakeup: () => Wakeup
  /** Where the replicators of a leader find their permits; a permit may be there before its replicator is. */
  readonly slots: Map<MemberId, Slot>
  readonly encoded: Encoded
  readonly encodedBare: Encoded
  /** Snapshot transfers under way, and the peers that wait for one. */
  readonly transfers: Map<MemberId, Transfer>
  /** Peers that have a snapshot, and not yet what was written since. */
  readonly catchingUp: Map<MemberId, Pin>
  readonly snapshotsWanted: Array<MemberId>
  readonly snapshotsWakeup: Wakeup
  /** Rung when the configuration has changed: for the transport, and for the leader's replicators. */
  readonly peersWakeup: Wakeup
  readonly replicatorsWakeup: Wakeup
  /** Rung when another member leads, or none. */
  readonly leaderWakeup: Wakeup
  /** Rung while a leader has a commit index to tell. */
  readonly commitWakeup: Wakeup
  /** Voters of which there is something to say: silent, or heard again. */
  readonly silences: Map<MemberId, boolean>
  readonly silencesWakeup: Wakeup
  /** Rung when a caller begins to wait: for the actor that looks at deadlines. */
  readonly deadlinesWakeup: Wakeup
  /** Payload bytes appended since the start. */
  appendedBytes: number
  /** As of the last batch, to notice a change. */
  known: { readonly leader: MemberId; readonly term: Term; readonly epoch: number }
  removed: boolean
  /** A peer's messages that made no sense since the last log line. */
  malformed: number
}

/** Monotonic time in milliseconds. */
export const now = (member: { readonly clock: Clock.Clock }): number =>
  Number(member.clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * Who is to be reached: everyone in a configuration that is in force or may still be undone, but not this member; and who left and has yet to
 * be told so, at the address in `known`.
 */
export const peers = (member: Member, known: ReadonlyMap<MemberId, string> = new Map()) => {
  const { configurations, id, progress } = member.core
  const found = new Map<MemberId, string>()
  for (const other of progress.keys()) if (known.has(other)) found.set(other, known.get(other)!)
  for (const { configuration } of configurations) {
    for (const { id: other, peerAddress } of configuration.members) if (other !== id) found.set(other, peerAddress)
  }
  return Array.from(found, ([id, address]) => ({ id, address }))
}

/** An actor of the member: what it fails with stops the member; an interruption is how it ends. */
export const vital = <E extends { readonly message: string }, R>(
  member: { readonly stopped: Deferred.Deferred<never, MemberStopped> },
  effect: Effect.Effect<unknown, E, R>
): Effect.Effect<void, never, R> =>
  Effect.catchCause(effect, (cause) => {
    if (Cause.hasInterruptsOnly(cause)) return Effect.void
    const error = Cause.squash(cause)
    const message = error instanceof Error ? error.message : String(error)
    return Effect.asVoid(Deferred.fail(member.stopped, new MemberStopped({ message, cause: error })))
  })
