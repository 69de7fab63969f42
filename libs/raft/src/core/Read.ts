/**
 * Linearizable reads without writing to the log: the leader notes its commit index, confirms by a round of heartbeats that it still
 * leads, and only then lets the reads go ahead.
 *
 * Rounds are numbered within a term, and a reply confirms only its own round and earlier ones, so an old acknowledgement can
 * never confirm a newer read (etcd #20418). While the leader has a lease no round is needed. Source: dissertation §6.4.
 */
import type { Core } from "./Core.ts"
import * as Election from "./Election.ts"
import type { LogIndex, MemberId } from "./Entry.ts"
import type { FromPeer, Read } from "./Input.ts"
import * as Lease from "./Lease.ts"
import type { HeartbeatReply, ReadIndex, ReadIndexReply } from "./Message.ts"
import * as Quorum from "./Quorum.ts"
import * as Replication from "./Replication.ts"

interface PendingRead {
  /** Who asked; empty for this member itself. */
  readonly from: MemberId
  readonly id: number
}

export interface Reads {
  /** Not yet covered by a round. */
  waiting: Array<PendingRead>
  /** Covered by round `round`, with the commit index as of its start. */
  confirming: Array<PendingRead>
  round: number
  index: LogIndex
}

export const make = (): Reads => ({ waiting: [], confirming: [], round: 0, index: 0 })

/** Reads, each of one member and all its callers, that a leader lets wait for a round; it sends more away, to ask again. */
export const waitingReadsMax = 65_536

export const onRead = (core: Core, { id }: Read): void => wait(core, { from: "", id })

export const onReadElsewhere = (core: Core, { id }: Read): void => {
  if (core.leader === "") core.out.reads.push({ id, index: -1 })
  else core.send(core.leader, { _tag: "ReadIndex", term: core.term, id })
}

export const onReadIndex = (core: Core, { from, message }: FromPeer<ReadIndex>): void => {
  wait(core, { from, id: message.id })
}

const wait = (core: Core, read: PendingRead): void => {
  if (core.reads.waiting.length < waitingReadsMax) core.reads.waiting.push(read)
  else answer(core, read, -1)
}

export const onReadIndexElsewhere = (core: Core, { from, message }: FromPeer<ReadIndex>): void => {
  core.send(from, { _tag: "ReadIndexReply", term: core.term, id: message.id, index: -1 })
}

/**
 * Only the leader that was asked answers, and what it confirmed stays true in every later term. It also tells what is committed, and as
 * far as this log is the leader's there is no need to hear it twice.
 */
export const onReadIndexReply = (core: Core, { from, message }: FromPeer<ReadIndexReply>): void => {
  if (message.term === core.term && from === core.leader) {
    core.commitTo(Math.min(message.index, core.matchedIndex))
    if (core.out.configurationChanged) Election.followConfiguration(core)
  }
  core.out.reads.push({ id: message.id, index: message.index })
}

export const onHeartbeatReply = (core: Core, input: FromPeer<HeartbeatReply>): void => {
  const progress = Replication.onReply(core, input)
  if (progress === undefined) return
  const { message } = input
  if (message.round > progress.round) {
    progress.round = message.round
    progress.confirmedAt = Lease.sentAt(core, message.round)
  }
  if (core.reads.confirming.length > 0) confirm(core)
  Replication.onHeartbeatReply(core, progress)
}

/**
 * Part of a leader's settling: under a lease reads go ahead at once; else starts a round if reads wait and none is under way.
 *
 * The lease held at `core.now`, after the reads were asked for and before they are answered. At that moment nobody else could have committed anything, so the commit
 * index was that of the cluster, and reading at such a moment is what linearizable means; however long this process is stopped before the answers leave.
 */
export const settle = (core: Core): void => {
  const reads = core.reads
  // those who had to answer may be gone, and nobody be left whose answer would bring this up again
  if (core.out.configurationChanged && reads.confirming.length > 0) confirm(core)
  if (reads.waiting.length > 0 && Lease.holds(core, core.now)) return release(core, reads.waiting, core.commitIndex)
  if (reads.waiting.length === 0 || reads.confirming.length > 0 || core.commitIndex < core.leaderSince) return
  const confirming = reads.waiting
  reads.waiting = reads.confirming
  reads.confirming = confirming
  reads.index = core.commitIndex
  Replication.broadcastHeartbeat(core)
  reads.round = core.round
  confirm(core)
}

/** A leader that steps down lets its readers ask again. */
export const abandon = (core: Core): void => {
  release(core, core.reads.waiting, -1)
  release(core, core.reads.confirming, -1)
}

const confirm = (core: Core): void => {
  const confirmed = Quorum.reachedValue(
    core.configuration,
    (id) => id === core.id ? core.round : core.progress.get(id)?.round ?? 0
  )
  if (confirmed >= core.reads.round) release(core, core.reads.confirming, core.reads.index)
}

const release = (core: Core, reads: Array<PendingRead>, index: LogIndex): void => {
  for (const read of reads) answer(core, read, index)
  reads.length = 0
}

const answer = (core: Core, { from, id }: PendingRead, index: LogIndex): void => {
  if (from === "") core.out.reads.push({ id, index })
  else core.send(from, { _tag: "ReadIndexReply", term: core.term, id, index })
}
