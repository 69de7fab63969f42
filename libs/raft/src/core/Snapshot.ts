/**
 * Members that are so far behind that the leader no longer has the entries they need. The protocol side only: the chunks are read, sent and
 * installed by the snapshotter.
 *
 * Source: Raft paper §7.
 */
import type { Core } from "./Core.ts"
import * as Election from "./Election.ts"
import type { Compacted, FromPeer, SnapshotInstalled, SnapshotSent } from "./Input.ts"
import * as Membership from "./Membership.ts"
import type { SnapshotOffer } from "./Message.ts"
import * as Replication from "./Replication.ts"

export const onSnapshotOffer = (core: Core, { from, message }: FromPeer<SnapshotOffer>): void => {
  if (!Replication.heardLeader(core, from, message.term)) return
  if (message.index > core.commitIndex) {
    core.out.offers.push({ from, snapshot: message.snapshot, index: message.index, term: message.indexTerm })
    return
  }
  core.send(
    from,
    { _tag: "AppendReply", term: core.term, success: true, index: core.commitIndex, hintIndex: 0, hintTerm: 0 },
    core.writeNumber
  )
}

/** Delivered or not, find out where the member's log is now; it may long be ahead of what this report says. */
export const onSnapshotSent = (core: Core, { delivered, index, peer }: SnapshotSent): void => {
  const progress = core.progress.get(peer)
  if (progress === undefined || progress.state !== "Snapshot") return
  progress.probe(delivered ? Math.max(progress.match, index) + 1 : progress.match + 1)
}

/** The log is kept if it agrees with the snapshot, and begins anew behind it otherwise. Commit and applied never move back. */
export const onSnapshotInstalled = (core: Core, input: SnapshotInstalled): void => {
  const { configuration, configurationIndex, index, term } = input
  if (index > core.commitIndex) {
    if (core.log.termAt(index) === term) {
      core.commitTo(index)
      if (core.out.configurationChanged) Election.followConfiguration(core)
    } else {
      // Entries up to `index` may be the committed ones; those behind it cannot be, since the logs differ there.
      if (index < core.log.lastIndex) core.out.truncatedFrom = index + 1
      core.log.reset(index, term)
      core.commitIndex = index
      core.pendingAppends.length = 0
      core.unapplied.length = 0
      core.unappliedBytes = 0
      core.durableIndex = index
      core.write({ _tag: "Reset", index, term })
      core.configurations.length = 0
      Membership.adopt(core, configurationIndex, configuration)
      core.noteMembership()
      Election.followConfiguration(core)
    }
  }
  core.appliedIndex = Math.max(core.appliedIndex, index)
  if (core.leader === "" || core.leader === core.id) return
  core.send(
    core.leader,
    { _tag: "AppendReply", term: core.term, success: true, index, hintIndex: 0, hintTerm: 0 },
    core.writeNumber
  )
}

export const onCompacted = (core: Core, { index }: Compacted): void => {
  core.log.compact(Math.min(index, core.appliedIndex))
}
