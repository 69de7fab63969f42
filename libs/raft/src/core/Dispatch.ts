/**
 * Which rule answers which input in which role. A row per role, a column per kind of input; nothing else dispatches.
 */
import type { Core, RoleName } from "./Core.ts"
import * as Election from "./Election.ts"
import type { FromPeer, Input } from "./Input.ts"
import * as Membership from "./Membership.ts"
import type { Message } from "./Message.ts"
import * as Read from "./Read.ts"
import * as Replication from "./Replication.ts"
import * as Snapshot from "./Snapshot.ts"
import * as Transfer from "./Transfer.ts"

type Columns =
  & { readonly [M in Message as M["_tag"]]: (core: Core, input: FromPeer<M>) => void }
  & { readonly [I in Exclude<Input, FromPeer> as I["_tag"]]: (core: Core, input: I) => void }

/** An input that means nothing in this role. */
const ignore = () => {}

const everyone = {
  VoteRequest: Election.onVoteRequest,
  Append: Replication.onAppend,
  Heartbeat: Replication.onHeartbeat,
  SnapshotOffer: Snapshot.onSnapshotOffer,
  Written: Replication.onWritten,
  Applied: Replication.onApplied,
  SnapshotInstalled: Snapshot.onSnapshotInstalled,
  Compacted: Snapshot.onCompacted
}

const follower: Columns = {
  ...everyone,
  VoteReply: Election.onLateVoteReply,
  AppendReply: Replication.onReply,
  HeartbeatReply: Replication.onReply,
  ReadIndex: Read.onReadIndexElsewhere,
  ReadIndexReply: Read.onReadIndexReply,
  TimeoutNow: Election.onTimeoutNow,
  Propose: Replication.onProposeElsewhere,
  Read: Read.onReadElsewhere,
  Sent: ignore,
  Unsent: ignore,
  Unreachable: Replication.onLinkLost,
  Connected: ignore,
  ElectionTimer: Election.onElectionTimer,
  HeartbeatTimer: ignore,
  QuorumTimer: ignore,
  CommitTimer: ignore,
  ChangeMembership: Membership.onChangeElsewhere,
  Transfer: Transfer.onTransferElsewhere,
  SnapshotSent: ignore
}

const preCandidate: Columns = {
  ...follower,
  VoteReply: Election.onVoteReply,
  TimeoutNow: ignore
}

const candidate: Columns = {
  ...preCandidate,
  Written: Election.onWritten
}

const leader: Columns = {
  ...everyone,
  VoteReply: Election.onLateVoteReply,
  AppendReply: Replication.onAppendReply,
  HeartbeatReply: Read.onHeartbeatReply,
  ReadIndex: Read.onReadIndex,
  ReadIndexReply: Read.onReadIndexReply,
  TimeoutNow: ignore,
  Propose: Replication.onPropose,
  Read: Read.onRead,
  Sent: Replication.onSent,
  Unsent: Replication.onUnreachable,
  Unreachable: Replication.onUnreachable,
  Connected: Replication.onConnected,
  ElectionTimer: ignore,
  HeartbeatTimer: Replication.onHeartbeatTimer,
  QuorumTimer: Replication.onQuorumTimer,
  CommitTimer: Replication.onCommitTimer,
  ChangeMembership: Membership.onChange,
  Transfer: Transfer.onTransfer,
  SnapshotSent: Snapshot.onSnapshotSent
}

const learner: Columns = {
  ...follower,
  TimeoutNow: ignore,
  ElectionTimer: Election.onContactTimer
}

/** Its answer counts, and that is all: whoever asks it for anything else is sent to the leader. */
const witness: Columns = learner

const table: { readonly [Role in RoleName]: Columns } = {
  Follower: follower,
  PreCandidate: preCandidate,
  Candidate: candidate,
  Leader: leader,
  Learner: learner,
  Witness: witness
}

export const dispatch = (core: Core, input: Input): void => {
  const column = input._tag === "Message" ? input.message._tag : input._tag
  const rule = table[core.role][column] as (core: Core, input: Input) => void
  rule(core, input)
}
