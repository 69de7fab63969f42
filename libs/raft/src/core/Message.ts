/**
 * What members say to each other about the protocol. Every message carries the sender's term, except that a pre-vote
 * request names the term that the candidate would have.
 */
import type { EntryHead, LogIndex, Term } from "./Entry.ts"

export interface VoteRequest {
  readonly _tag: "VoteRequest"
  readonly term: Term
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
  /** A poll before the candidacy, which changes nobody's term (dissertation §9.6). */
  readonly preVote: boolean
  /** The leader asked for this election: members that still hear the leader vote all the same (dissertation §4.2.3). */
  readonly transfer: boolean
}

/** A refusal carries the voter's own term, so that a candidate that is behind learns it. */
export interface VoteReply {
  readonly _tag: "VoteReply"
  readonly term: Term
  readonly preVote: boolean
  readonly granted: boolean
}

export interface Append {
  readonly _tag: "Append"
  readonly term: Term
  readonly previousIndex: LogIndex
  readonly previousTerm: Term
  readonly commit: LogIndex
  readonly entries: ReadonlyArray<EntryHead>
}

/**
 * On success `index` is the last index that is durable and agrees with the leader's log. On refusal it is the `previousIndex` refused, and the
 * hint is where this log may still agree.
 */
export interface AppendReply {
  readonly _tag: "AppendReply"
  readonly term: Term
  readonly success: boolean
  readonly index: LogIndex
  readonly hintIndex: LogIndex
  readonly hintTerm: Term
}

/** Also confirms reads: `round` grows with each broadcast of a leadership. `commit` never exceeds what the receiver is known to have. */
export interface Heartbeat {
  readonly _tag: "Heartbeat"
  readonly term: Term
  readonly commit: LogIndex
  readonly round: number
}

export interface HeartbeatReply {
  readonly _tag: "HeartbeatReply"
  readonly term: Term
  readonly round: number
}

/** Asks the leader for an index that, once applied, makes a local read linearizable (dissertation §6.4). */
export interface ReadIndex {
  readonly _tag: "ReadIndex"
  readonly term: Term
  readonly id: number
}

/** `index` is -1 when the member asked does not lead. */
export interface ReadIndexReply {
  readonly _tag: "ReadIndexReply"
  readonly term: Term
  readonly id: number
  readonly index: LogIndex
}

/** The leader's wish that the receiver stand for election at once. */
export interface TimeoutNow {
  readonly _tag: "TimeoutNow"
  readonly term: Term
}

/** The leader has a snapshot up to (`index`, `indexTerm`) for a member that is too far behind. The chunks travel apart. */
export interface SnapshotOffer {
  readonly _tag: "SnapshotOffer"
  readonly term: Term
  readonly snapshot: number
  readonly index: LogIndex
  readonly indexTerm: Term
}

export type Message =
  | VoteRequest
  | VoteReply
  | Append
  | AppendReply
  | Heartbeat
  | HeartbeatReply
  | ReadIndex
  | ReadIndexReply
  | TimeoutNow
  | SnapshotOffer
