/**
 * Who leads: pre-vote, votes, and what changes with a role.
 *
 * Sources: Raft paper §5.2, §5.4.1; dissertation §4.2.3 (stickiness), §9.6 (pre-vote); etcd-raft `raft.go`. Priorities are our own: they only lengthen timers.
 */
import * as Configuration from "./Configuration.ts"
import type { Core, RoleName } from "./Core.ts"
import type { MemberId, Term } from "./Entry.ts"
import type { FromPeer, Written } from "./Input.ts"
import * as Lease from "./Lease.ts"
import type { TimeoutNow, VoteReply, VoteRequest } from "./Message.ts"
import * as Quorum from "./Quorum.ts"
import * as Read from "./Read.ts"
import * as Replication from "./Replication.ts"
import * as Transfer from "./Transfer.ts"

/** Nobody has been heard for too long: find out whether an election could be won, before disturbing anyone. */
export const onElectionTimer = (core: Core): void => {
  if (core.now < core.electionDeadline) return
  if (Lease.isBound(core)) core.electionDeadline = Lease.boundUntil(core)
  else becomePreCandidate(core)
}

/** A learner or a witness never stands for election; it only stops believing in a leader that is silent. */
export const onContactTimer = (core: Core): void => {
  if (core.now < core.electionDeadline) return
  core.leader = ""
  restartElectionTimer(core)
}

/** The leader asked this member to take over: no poll, since everyone else still hears the leader. */
export const onTimeoutNow = (core: Core, { from, message }: FromPeer<TimeoutNow>): void => {
  if (message.term !== core.term || from !== core.leader) return
  becomeCandidate(core, true)
}

/**
 * Votes that the leader asked for are given in spite of stickiness, and even by a member that has just started: that leader gave up its lease for good before it
 * asked, and whoever answered a later leader has a later term on its disk.
 */
export const onVoteRequest = (core: Core, { from, message }: FromPeer<VoteRequest>): void => {
  const refuse = () => core.send(from, { _tag: "VoteReply", term: core.term, preVote: message.preVote, granted: false })
  if (message.term < core.term) return refuse()
  if (!message.transfer && (hearsLeader(core) || Lease.isBound(core))) return
  if (message.preVote) {
    if (message.term <= core.term || !core.log.isUpToDate(message.lastIndex, message.lastTerm)) return refuse()
    return core.send(from, { _tag: "VoteReply", term: message.term, preVote: true, granted: true })
  }
  if (message.term > core.term) becomeFollower(core, message.term, "")
  const mayVote = core.vote === from || (core.vote === "" && core.leader === "")
  if (!mayVote || !core.log.isUpToDate(message.lastIndex, message.lastTerm)) return refuse()
  if (core.vote !== from) {
    core.vote = from
    core.writeHardState()
  }
  restartElectionTimer(core)
  core.send(from, { _tag: "VoteReply", term: core.term, preVote: false, granted: true })
}

export const onVoteReply = (core: Core, { from, message }: FromPeer<VoteReply>): void => {
  if (!message.granted && message.term > core.term) return becomeFollower(core, message.term, "")
  if (message.preVote !== (core.role === "PreCandidate")) return
  if (message.granted && message.term !== core.term + (message.preVote ? 1 : 0)) return
  if (!message.granted && !message.preVote && message.term < core.term) return
  if (!core.votes.has(from)) core.votes.set(from, message.granted)
  tally(core)
}

/** A reply that comes too late still teaches the term. */
export const onLateVoteReply = (core: Core, { message }: FromPeer<VoteReply>): void => {
  if (!message.granted && message.term > core.term) becomeFollower(core, message.term, "")
}

/** A candidate counts its own vote when that is durable, not before. */
export const onWritten = (core: Core, input: Written): void => {
  Replication.onWritten(core, input)
  if (core.writtenNumber < core.hardStateWrite || core.votes.has(core.id)) return
  core.votes.set(core.id, true)
  tally(core)
}

/** Follower, learner or witness: whatever the member is. Learning of a higher term forgets the vote of the lower one. */
export const becomeFollower = (core: Core, term: Term, leader: MemberId): void => {
  const deposed = core.role === "Leader"
  if (term > core.term) {
    core.term = term
    core.vote = ""
    core.ack = undefined
    core.matchedIndex = 0
    core.writeHardState()
  }
  core.leader = leader
  if (deposed) resign(core)
  enter(core, core.restingRole)
  core.contactBroken = false
  core.electionTimeout = core.settings.electionTimeoutMillis * (1 + core.jitter)
  restartElectionTimer(core)
  Transfer.onLeaderKnown(core)
}

/** A configuration that came or went may have made a voter of a learner, or the reverse. */
export const followConfiguration = (core: Core): void => {
  if (core.role === "Leader" || core.witness) return
  if (core.isElectable === (core.role !== "Learner")) return
  enter(core, core.restingRole)
  restartElectionTimer(core)
}

/** The election timer starts anew; a word from the leader, or a vote given, does this. */
export const restartElectionTimer = (core: Core): void => {
  core.electionDeadline = core.now + core.electionTimeout + core.deferenceMillis
}

/**
 * The link to the leader has broken, which is how a killed process shows first. If no heartbeat comes over a new link soon, do not wait the
 * whole timeout. Members whose own link to the leader holds still refuse, so a lost link disturbs nobody. Not where the leader may have a lease: there a
 * member keeps its word, link or no link.
 */
export const onLeaderUnreachable = (core: Core): void => {
  if (core.contactBroken) return
  core.contactBroken = true
  if (core.configuration.settings.leaderLeases) return
  const { electionTimeoutMillis, heartbeatMillis } = core.settings
  const soon = Math.min(electionTimeoutMillis, 2 * heartbeatMillis + core.jitter * electionTimeoutMillis / 2)
  core.electionDeadline = Math.min(core.electionDeadline, core.now + soon + core.deferenceMillis)
}

/** Leader stickiness: whoever heard the leader within the shortest election timeout helps nobody to replace it. */
const hearsLeader = (core: Core): boolean =>
  core.role === "Leader" ||
  (core.leader !== "" && !core.contactBroken && core.now - core.contactAt < core.settings.electionTimeoutMillis)

const becomePreCandidate = (core: Core): void => {
  core.leader = ""
  core.transferring = false
  enter(core, "PreCandidate")
  core.electionTimeout = core.settings.electionTimeoutMillis * (1 + core.jitter)
  restartElectionTimer(core)
  core.votes.clear()
  core.votes.set(core.id, true)
  requestVotes(core, core.term + 1, true)
  tally(core)
}

const becomeCandidate = (core: Core, transferring: boolean): void => {
  core.leader = ""
  core.term++
  core.vote = core.id
  core.ack = undefined
  core.matchedIndex = 0
  core.writeHardState()
  core.transferring = transferring
  enter(core, "Candidate")
  core.electionTimeout = core.settings.electionTimeoutMillis * (1 + core.jitter)
  restartElectionTimer(core)
  core.votes.clear()
  requestVotes(core, core.term, false)
}

const requestVotes = (core: Core, term: Term, preVote: boolean): void => {
  const message: VoteRequest = {
    _tag: "VoteRequest",
    term,
    lastIndex: core.log.lastIndex,
    lastTerm: core.log.lastTerm,
    preVote,
    transfer: core.transferring
  }
  for (const id of Configuration.voterIds(core.configuration)) {
    if (id !== core.id) core.send(id, message)
  }
}

const tally = (core: Core): void => {
  const outcome = Quorum.voteOutcome(core.configuration, (id) => core.votes.get(id))
  if (outcome === "pending") return
  if (outcome === "lost") return becomeFollower(core, core.term, "")
  if (core.role === "PreCandidate") becomeCandidate(core, false)
  else becomeLeader(core)
}

const becomeLeader = (core: Core): void => {
  enter(core, "Leader")
  core.leader = core.id
  core.electionDeadline = Infinity
  core.heartbeatDeadline = core.now + core.settings.heartbeatMillis
  core.quorumDeadline = core.now + core.settings.electionTimeoutMillis
  core.round = 0
  core.askedToStand = false
  Replication.followConfiguration(core)
  core.leaderSince = core.log.lastIndex + 1
  Replication.appendOwn(core, undefined)
  Transfer.onLeaderKnown(core)
}

/** What a leader leaves behind: callers get an answer, or keep waiting for the log to give it. */
const resign = (core: Core): void => {
  core.heartbeatDeadline = Infinity
  core.quorumDeadline = Infinity
  core.commitDeadline = Infinity
  core.uncommittedBytes = 0
  core.uncommitted.length = 0
  core.progress.clear()
  Read.abandon(core)
  if (core.change !== undefined) {
    core.out.settled.push({ id: core.change.id, refusal: "Unknown", leader: "" })
    core.change = undefined
  }
}

const enter = (core: Core, role: RoleName): void => {
  if (core.role === role) return
  core.role = role
  core.epoch++
}
