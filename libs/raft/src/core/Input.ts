/** What can happen to a member, as far as the protocol is concerned. */
import type * as ClusterSettings from "./ClusterSettings.ts"
import type { Configuration, Member } from "./Configuration.ts"
import type { LogIndex, MemberId, Term } from "./Entry.ts"
import type { Message } from "./Message.ts"

/** A message from a peer. */
export interface FromPeer<M extends Message = Message> {
  readonly _tag: "Message"
  readonly from: MemberId
  readonly message: M
}

/** `count` commands of `bytes` in all, to be appended in order as one group. */
export interface Propose {
  readonly _tag: "Propose"
  readonly group: number
  readonly count: number
  readonly bytes: number
}

/** Callers here want to read. */
export interface Read {
  readonly _tag: "Read"
  readonly id: number
}

/** All writes up to `number` are durable. */
export interface Written {
  readonly _tag: "Written"
  readonly number: number
}

/** The state machine has everything up to `index`. */
export interface Applied {
  readonly _tag: "Applied"
  readonly index: LogIndex
}

/** The replicator used its permit: entries up to `to` are on their way. */
export interface Sent {
  readonly _tag: "Sent"
  readonly peer: MemberId
  readonly permit: number
  readonly to: LogIndex
  readonly bytes: number
}

/** The replicator could not use its permit: the link takes no more for now, or the entries have just been compacted away. */
export interface Unsent {
  readonly _tag: "Unsent"
  readonly peer: MemberId
}

/** The link to a peer has broken: what was on its way may be lost. */
export interface Unreachable {
  readonly _tag: "Unreachable"
  readonly peer: MemberId
}

/** The link to a peer has come up. */
export interface Connected {
  readonly _tag: "Connected"
  readonly peer: MemberId
}

export interface ElectionTimer {
  readonly _tag: "ElectionTimer"
}

export interface HeartbeatTimer {
  readonly _tag: "HeartbeatTimer"
}

export interface QuorumTimer {
  readonly _tag: "QuorumTimer"
}

export interface CommitTimer {
  readonly _tag: "CommitTimer"
}

/** A wish to change the membership; see `RaftNode.MembershipChange`. */
export type Change =
  | { readonly _tag: "Join"; readonly member: Member }
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

export interface ChangeMembership {
  readonly _tag: "ChangeMembership"
  readonly id: number
  readonly change: Change
}

/** Hand leadership to `to`, or to the most up-to-date voter if that is empty. */
export interface Transfer {
  readonly _tag: "Transfer"
  readonly id: number
  readonly to: MemberId
}

/** The snapshot for `peer` has been delivered whole, or given up. */
export interface SnapshotSent {
  readonly _tag: "SnapshotSent"
  readonly peer: MemberId
  readonly index: LogIndex
  readonly delivered: boolean
}

/** The state machine was replaced, durably, by a snapshot up to (`index`, `term`). */
export interface SnapshotInstalled {
  readonly _tag: "SnapshotInstalled"
  readonly index: LogIndex
  readonly term: Term
  readonly configuration: Configuration
  readonly configurationIndex: LogIndex
}

/** The log no longer holds entries up to `index`. */
export interface Compacted {
  readonly _tag: "Compacted"
  readonly index: LogIndex
}

export type Input =
  | FromPeer
  | Propose
  | Read
  | Written
  | Applied
  | Sent
  | Unsent
  | Unreachable
  | Connected
  | ElectionTimer
  | HeartbeatTimer
  | QuorumTimer
  | CommitTimer
  | ChangeMembership
  | Transfer
  | SnapshotSent
  | SnapshotInstalled
  | Compacted
