/**
 * Getting the leader's log onto the other members, and deciding what is committed.
 *
 * Sources: Raft paper §5.3, §5.4.2; etcd-raft `tracker/` (probe, replicate, snapshot; windows) and `findConflictByTerm`.
 */
import type * as Configuration from "./Configuration.ts"
import type { Core } from "./Core.ts"
import * as DeadMembers from "./DeadMembers.ts"
import * as Election from "./Election.ts"
import type { LogIndex, MemberId, Term } from "./Entry.ts"
import { overheadBytes } from "./Entry.ts"
import type { Applied, Connected, FromPeer, Propose, Sent, Unreachable, Unsent, Written } from "./Input.ts"
import { invariant } from "./Invariant.ts"
import * as Lease from "./Lease.ts"
import * as Membership from "./Membership.ts"
import type { Append, AppendReply, Heartbeat } from "./Message.ts"
import { Progress } from "./Progress.ts"
import * as Quorum from "./Quorum.ts"
import * as Read from "./Read.ts"
import * as Transfer from "./Transfer.ts"

// The leader's side.

/** How far a leader's state machine may be behind, in committed entries, and in bytes beyond those that may be uncommitted. */
export const unappliedEntriesMax = 500_000
export const unappliedBytesMax = 64 * 1024 * 1024

export const onPropose = (core: Core, { bytes, count, group }: Propose): void => {
  if (core.transfer !== undefined) return void core.out.refusals.push({ group, reason: "Refused" })
  // even empty commands must not pile up without limit
  const cost = bytes + count * overheadBytes
  const isFull = core.uncommittedBytes > 0 && core.uncommittedBytes + cost > core.settings.uncommittedBytesMax
  const isBehind = core.commitIndex - core.appliedIndex >= unappliedEntriesMax ||
    core.unappliedBytes >= core.settings.uncommittedBytesMax + unappliedBytesMax
  if (isFull || isBehind || core.pendingAppends.length >= core.settings.pendingAppendsMax) {
    return void core.out.refusals.push({ group, reason: "Busy" })
  }
  const firstIndex = core.log.lastIndex + 1
  core.log.append(core.term, count)
  core.appended(core.write({ _tag: "Proposed", group, firstIndex, term: core.term, count }))
  core.uncommittedBytes += cost
  core.uncommitted.push({ lastIndex: core.log.lastIndex, bytes: cost })
  core.unappliedBytes += cost
  core.unapplied.push({ lastIndex: core.log.lastIndex, bytes: cost })
}

export const onProposeElsewhere = (core: Core, { group }: Propose): void => {
  if (core.leader === "") core.out.refusals.push({ group, reason: "NoLeader" })
  else core.out.forwards.push(group)
}

/** Appends an entry of the leader's own: a configuration, or a no-op that lets it commit what it inherited. */
export const appendOwn = (core: Core, configuration: Configuration.Configuration | undefined): LogIndex => {
  const index = core.log.lastIndex + 1
  core.log.append(core.term, 1)
  core.appended(core.write({ _tag: "Own", index, term: core.term, configuration }))
  if (configuration !== undefined) Membership.adopt(core, index, configuration)
  return index
}

export const onAppendReply = (core: Core, input: FromPeer<AppendReply>): void => {
  const progress = onReply(core, input)
  if (progress === undefined) return
  const { message } = input
  if (message.success) accepted(core, progress, message.index)
  else refused(core, progress, message)
}

const accepted = (core: Core, progress: Progress, index: LogIndex): void => {
  invariant(index <= core.log.lastIndex, `member ${progress.id} acknowledges entry ${index}, which was never sent`)
  progress.window.free(index, core.now)
  if (index > progress.match) {
    progress.match = index
    progress.next = Math.max(progress.next, index + 1)
    core.matchChanged = true
    Membership.onProgress(core, progress)
  }
  if (progress.state === "Probe" || (progress.state === "Snapshot" && index >= core.log.previousIndex)) {
    progress.replicate()
  }
}

const refused = (core: Core, progress: Progress, message: AppendReply): void => {
  if (message.index <= progress.match) return
  if (progress.state === "Snapshot" || (progress.state === "Probe" && message.index !== progress.next - 1)) return
  progress.probe(core.log.lastWithTermAtMost(Math.min(message.hintIndex, message.index - 1), message.hintTerm) + 1)
}

export const onSent = (core: Core, { bytes, peer, permit, to }: Sent): void => {
  const progress = core.progress.get(peer)
  if (progress === undefined || !progress.permitted || progress.permit !== permit) return
  progress.permitted = false
  if (progress.state === "Probe") {
    progress.probed = true
    progress.probedAt = core.now
  } else {
    progress.next = Math.max(progress.next, to + 1)
    if (to > progress.match) progress.window.add(to, bytes, core.now)
  }
}

/** What is on its way is lost, or was never sent. Where a probe stands stays so: nothing was learnt, and a new leader that began anew at `match` would send everyone a snapshot. */
export const onUnreachable = (core: Core, { peer }: Unreachable | Unsent): void => {
  const progress = core.progress.get(peer)
  if (progress === undefined || progress.state === "Snapshot") return
  progress.probe(progress.state === "Probe" ? progress.next : progress.match + 1)
  progress.probed = true
  progress.probedAt = core.now
}

export const onConnected = (core: Core, { peer }: Connected): void => {
  const progress = core.progress.get(peer)
  if (progress === undefined) return
  if (progress.state === "Probe") progress.probed = false
}

/**
 * A sign of life also shows what was lost: a probe that stays unanswered is sent again, and pipelined messages when none of them is acknowledged any more. As long as some
 * are, the others stand in the queue of a slow disk or link, and to send them once more would make it slower still.
 */
export const onHeartbeatReply = (core: Core, progress: Progress): void => {
  const longAgo = core.now - 2 * core.settings.heartbeatMillis
  if (progress.state === "Probe" && progress.probed && progress.probedAt <= longAgo) progress.probed = false
  if (progress.state === "Replicate" && !progress.window.isEmpty && progress.window.waitingSince <= longAgo) {
    progress.probe(progress.match + 1)
  }
}

/** Rounds of readers do not put it off: what else is done here must happen under any load. */
export const onHeartbeatTimer = (core: Core): void => {
  if (core.now < core.heartbeatDeadline) return
  core.heartbeatDeadline = core.now + core.settings.heartbeatMillis
  broadcastHeartbeat(core)
  Membership.onHeartbeat(core)
  forgetLeavers(core)
}

const forgetLeavers = (core: Core): void => {
  const longAgo = core.now - core.settings.electionTimeoutMillis
  for (const [id, { leavingSince, match, toldCommit }] of core.progress) {
    const knows = leavingSince <= core.now && Math.min(match, toldCommit) >= core.configurationIndex
    if (!knows && leavingSince > longAgo) continue
    core.progress.delete(id)
    core.out.configurationChanged = true
  }
}

/** Check-quorum: a leader that a quorum does not answer steps down, so that nobody waits for it (dissertation §6.2). */
export const onQuorumTimer = (core: Core): void => {
  if (core.now < core.quorumDeadline) return
  const lateMillis = core.now - core.quorumDeadline
  core.quorumDeadline = core.now + core.settings.electionTimeoutMillis
  if (!Quorum.isQuorum(core.configuration, (id) => core.answers(id))) Election.becomeFollower(core, core.term, "")
  else if (isWedged(core)) {
    Transfer.giveWay(core)
    Election.becomeFollower(core, core.term, "")
  } else DeadMembers.onQuorum(core, lateMillis)
}

/**
 * The disk watchdog: a quorum of others has made durable what this leader's own disk has not for an election timeout. It could apply and answer
 * nothing, and as long as it sends heartbeats nobody else would (hashicorp/raft #503). It cannot win again before its disk has taken its vote.
 */
const isWedged = (core: Core): boolean => {
  const oldest = core.pendingAppends[0]
  return oldest !== undefined && core.commitIndex > core.durableIndex &&
    core.now - oldest.at >= core.settings.electionTimeoutMillis
}

export const broadcastHeartbeat = (core: Core): void => {
  core.round++
  Lease.roundSent(core)
  for (const progress of core.progress.values()) sendHeartbeat(core, progress)
}

/** Never names a commit index that the peer might not have (rule 16 of the usual omissions). */
const sendHeartbeat = (core: Core, progress: Progress): void => {
  const commit = Math.min(progress.match, core.commitIndex)
  progress.toldCommit = Math.max(progress.toldCommit, commit)
  core.send(progress.id, { _tag: "Heartbeat", term: core.term, commit, round: core.round })
}

/** Any reply: newer terms depose, older ones are ignored. */
export const onReply = (
  core: Core,
  { from, message }: FromPeer<{ readonly term: Term } & FromPeer["message"]>
): Progress | undefined => {
  if (message.term > core.term) {
    Election.becomeFollower(core, message.term, "")
    return undefined
  }
  if (message.term < core.term || core.role !== "Leader") return undefined
  const progress = core.progress.get(from)
  if (progress !== undefined) progress.heardAt = core.now
  return progress
}

/** What a leader concludes from a whole batch: the commit index first, since everything else depends on it. */
export const settle = (core: Core): void => {
  if (core.matchChanged) advanceCommit(core)
  if (core.role !== "Leader") return
  Membership.settle(core)
  Transfer.settle(core)
  Read.settle(core)
  for (const progress of core.progress.values()) feed(core, progress)
}

/** Up to where a member's log is known to be durable and this leader's. */
const durableIndexOf = (core: Core, id: MemberId): LogIndex =>
  id === core.id ? core.durableIndex : core.progress.get(id)?.match ?? 0

/** An entry is committed when a quorum has it durably and it is of the leader's own term; earlier ones with it (Raft paper §5.4.2). */
const advanceCommit = (core: Core): void => {
  core.matchChanged = false
  const index = Quorum.committedValue(
    core.configuration,
    (id) => durableIndexOf(core, id)
  )
  if (index <= core.commitIndex || core.log.termAt(index) !== core.term) return
  core.commitTo(index)
  let done = 0
  while (done < core.uncommitted.length && core.uncommitted[done]!.lastIndex <= index) {
    core.uncommittedBytes -= core.uncommitted[done]!.bytes
    done++
  }
  if (done > 0) core.uncommitted.splice(0, done)
  Membership.onCommitted(core)
}

/**
 * How far a peer's log may go. A witness gets no entry before enough full voters have it durably (`Quorum.copiedValue`): what only witnesses hold, nobody can
 * lead with, and they would refuse their votes to everyone else.
 */
const sendableIndex = (core: Core, progress: Progress): LogIndex =>
  progress.witness
    ? Math.min(Quorum.copiedValue(core.configuration, (id) => durableIndexOf(core, id)), core.log.lastIndex)
    : core.log.lastIndex

const feed = (core: Core, progress: Progress): void => {
  if (progress.permitted || progress.state === "Snapshot") return
  if (progress.next <= core.log.previousIndex) {
    if (!core.answers(progress.id)) return
    progress.awaitSnapshot()
    core.out.snapshots.push(progress.id)
    return
  }
  const sendable = sendableIndex(core, progress)
  const ready = progress.state === "Probe"
    ? !progress.probed
    : progress.next <= sendable && !progress.window.isFull
  if (ready) {
    progress.permitted = true
    progress.permit = ++core.permitNumber
    progress.toldCommit = core.commitIndex
    core.out.permits.push({
      peer: progress.id,
      permit: progress.permit,
      term: core.term,
      previousIndex: progress.next - 1,
      previousTerm: core.log.termAt(progress.next - 1),
      to: Math.min(sendable, progress.next - 1 + core.settings.messageEntriesMax),
      commit: core.commitIndex,
      bytesMax: Math.min(core.settings.messageBytesMax, core.settings.windowBytesMax - progress.window.bytes)
    })
    return
  }
  if (mustHearCommit(core, progress)) {
    core.commitDeadline = Math.min(core.commitDeadline, core.now + core.settings.commitDelayMillis)
  }
}

const mustHearCommit = (core: Core, progress: Progress): boolean =>
  progress.state === "Replicate" && Math.min(progress.match, core.commitIndex) > progress.toldCommit

/** Tells the commit index to those to whom no append has carried it: under load nearly nobody. */
export const onCommitTimer = (core: Core): void => {
  if (core.now < core.commitDeadline) return
  core.commitDeadline = Infinity
  for (const progress of core.progress.values()) {
    if (mustHearCommit(core, progress)) sendHeartbeat(core, progress)
  }
}

/**
 * Brings the set of followed members in line with the configuration. A member that leaves is followed until it has been told that its removal is
 * committed, for an election timeout at most.
 */
export const followConfiguration = (core: Core): void => {
  const { windowBytesMax, windowMessagesMax } = core.settings
  const kept = new Map<MemberId, Configuration.Member>()
  for (const { configuration } of core.configurations) {
    for (const member of configuration.members) kept.set(member.id, member)
  }
  for (const [id, progress] of core.progress) {
    if (kept.has(id)) progress.leavingSince = Infinity
    else if (progress.leavingSince === Infinity) progress.leavingSince = core.now
  }
  for (const [id, { witness }] of kept) {
    if (id === core.id || core.progress.has(id)) continue
    const progress = new Progress({
      id,
      witness,
      next: core.log.lastIndex + 1,
      now: core.now,
      windowMessagesMax,
      windowBytesMax
    })
    core.progress.set(id, progress)
  }
}

// The follower's side.

/** A follower takes in the whole windows of so many leaders before its disk has written anything. */
export const leadersAtOnce = 4

export const onAppend = (core: Core, { from, message }: FromPeer<Append>): void => {
  if (!heardLeader(core, from, message.term)) return
  const { entries, previousIndex } = message
  if (previousIndex < core.commitIndex) return acknowledge(core, from, core.commitIndex)
  if (core.log.termAt(previousIndex) !== message.previousTerm) {
    invariant(
      previousIndex > core.commitIndex,
      `${from} leads term ${message.term} with another entry ${previousIndex} than the one committed here: somebody has lost entries that were acknowledged`
    )
    const hintIndex = core.log.lastWithTermAtMost(Math.min(previousIndex, core.log.lastIndex), message.previousTerm)
    return core.send(from, {
      _tag: "AppendReply",
      term: core.term,
      success: false,
      index: previousIndex,
      hintIndex,
      hintTerm: Math.max(core.log.termAt(hintIndex), 0)
    })
  }
  const fresh = firstFresh(core, entries)
  if (fresh < entries.length) {
    // a disk that hangs while one leader follows another
    if (core.pendingAppends.length >= leadersAtOnce * core.settings.windowMessagesMax) return
    const first = entries[fresh]!.index
    if (first <= core.log.lastIndex) core.truncate(first)
    const received = fresh === 0 ? entries : entries.slice(fresh)
    for (const entry of received) core.log.append(entry.term, 1)
    core.appended(core.write({ _tag: "Received", entries: received }))
    for (const entry of received) {
      if (entry.configuration !== undefined) Membership.adopt(core, entry.index, entry.configuration)
    }
  }
  const last = previousIndex + entries.length
  core.matchedIndex = Math.max(core.matchedIndex, last)
  core.commitTo(Math.min(message.commit, last))
  if (core.out.configurationChanged) Election.followConfiguration(core)
  acknowledge(core, from, last)
}

/** Position of the first entry that this log does not have, or has differently. */
const firstFresh = (core: Core, entries: Append["entries"]): number => {
  let position = 0
  while (position < entries.length) {
    const entry = entries[position]!
    if (entry.index > core.log.lastIndex || core.log.termAt(entry.index) !== entry.term) return position
    position++
  }
  return position
}

/** One answer for all appends of a batch, once everything ordered so far is durable. */
const acknowledge = (core: Core, to: MemberId, index: LogIndex): void => {
  if (core.ack === undefined || core.ack.to !== to || core.ack.index < index) core.ack = { to, index }
}

export const sendAck = (core: Core): void => {
  const { index, to } = core.ack!
  core.ack = undefined
  core.send(
    to,
    { _tag: "AppendReply", term: core.term, success: true, index, hintIndex: 0, hintTerm: 0 },
    core.writeNumber
  )
}

export const onHeartbeat = (core: Core, { from, message }: FromPeer<Heartbeat>): void => {
  if (!heardLeader(core, from, message.term)) return
  core.commitTo(message.commit)
  if (core.out.configurationChanged) Election.followConfiguration(core)
  core.send(from, { _tag: "HeartbeatReply", term: core.term, round: message.round })
}

/**
 * A word from someone who leads `term`. Restarts the election timer; a leader of the past is told the present term instead, or it would
 * never know (etcd-raft `prevote_checkquorum`).
 */
export const heardLeader = (core: Core, from: MemberId, term: Term): boolean => {
  if (term < core.term) {
    core.send(from, {
      _tag: "AppendReply",
      term: core.term,
      success: false,
      index: 0,
      hintIndex: 0,
      hintTerm: 0
    })
    return false
  }
  invariant(
    term > core.term || core.role !== "Leader",
    `two leaders in term ${term}: this member and ${from}`
  )
  invariant(
    term > core.term || core.leader === "" || core.leader === from,
    `two leaders in term ${term}: ${core.leader} and ${from}`
  )
  if (term > core.term || core.role === "PreCandidate" || core.role === "Candidate") {
    Election.becomeFollower(core, term, from)
  } else if (core.leader !== from) {
    core.leader = from
    Transfer.onLeaderKnown(core)
  }
  core.contactAt = core.now
  core.contactBroken = false
  Election.restartElectionTimer(core)
  return true
}

// Both sides.

/** Durable writes. Truncated entries no longer count, even if their write completes later. */
export const onWritten = (core: Core, { number }: Written): void => {
  if (number <= core.writtenNumber) return
  core.writtenNumber = number
  let done = 0
  while (done < core.pendingAppends.length && core.pendingAppends[done]!.number <= number) {
    core.durableIndex = Math.max(core.durableIndex, core.pendingAppends[done]!.lastIndex)
    done++
  }
  if (done > 0) core.pendingAppends.splice(0, done)
  core.matchChanged = true
}

export const onApplied = (core: Core, { index }: Applied): void => {
  core.appliedIndex = Math.max(core.appliedIndex, index)
  let done = 0
  while (done < core.unapplied.length && core.unapplied[done]!.lastIndex <= index) {
    core.unappliedBytes -= core.unapplied[done]!.bytes
    done++
  }
  if (done > 0) core.unapplied.splice(0, done)
}

export const onLinkLost = (core: Core, { peer }: Unreachable): void => {
  if (peer === core.leader) Election.onLeaderUnreachable(core)
}
