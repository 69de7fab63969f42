/** How full the bounded queues and tables of a member are: for whoever watches it, and for tests that nothing grows beyond its limit. */
import type { Core } from "./core/Core.ts"
import * as Limits from "./Limits.ts"
import type { Member } from "./Member.ts"
import type { Gauge } from "./RaftNode.ts"

/** As of now. Of queues per peer, the fullest. */
export const of = (member: Member): ReadonlyArray<Gauge> => {
  const {
    applier,
    cache,
    capacity,
    changeRequests,
    changes,
    core,
    events,
    forwards,
    held,
    mailbox,
    proposals,
    readers
  } = member
  const gauges: Array<Gauge> = []
  const add = (name: string, value: number, limit: number) => void gauges.push({ name, value, limit })
  const frames = mailbox.fullest
  add("peerFramesMax", frames.frames, capacity.peerFramesMax)
  add("peerFrameBytesMax", frames.bytes, Limits.peerFrameBytesMax)
  add("proposalsMax", proposals.size, capacity.proposalsMax)
  add("proposalBytesMax", proposals.sizeBytes, Limits.proposalBytesMax)
  add("readsMax", readers.size, capacity.readsMax)
  add("waitingReadsMax", core.reads.waiting.length, Limits.waitingReadsMax)
  add("changesMax", changes.size, Limits.changesMax)
  add("sessionsMax", applier.sessions(), Limits.sessionsMax)
  add("eventsMax", events.waiting, Limits.eventsMax)
  add("trackedGroupsMax", member.stages.size, Limits.trackedGroupsMax)
  add("heldMessagesMax", held.length, Limits.heldMessagesMax)
  add("pendingAppendsMax", core.pendingAppends.length, pendingAppendsMax(core))
  add("uncommittedBytesMax", core.uncommittedBytes, Limits.uncommittedBytesMax)
  // the last group may go beyond
  const unappliedBytesMax = Limits.uncommittedBytesMax + Limits.unappliedBytesMax + Limits.groupBytesMax * 2
  add("unappliedBytesMax", core.unappliedBytes, unappliedBytesMax)
  // what is not durable stays, beyond what is
  add("cacheBacklogBytesMax", cache.sizeBytes, Limits.cacheBacklogBytesMax + Limits.uncommittedBytesMax)
  let messages = 0
  let bytes = 0
  for (const { window } of core.progress.values()) {
    messages = Math.max(messages, window.messages)
    bytes = Math.max(bytes, window.bytes)
  }
  add("windowMessagesMax", messages, capacity.windowMessagesMax)
  // a single command may be larger than what is left of the window
  add("windowBytesMax", bytes, Limits.windowBytesMax + Limits.commandBytesMax)
  const remembered = Math.max(forwards.size.ids, changeRequests.size.ids)
  add("forwardsRememberedMax", remembered, Limits.forwardsRememberedMax)
  // who left a moment ago may still have a row
  let rowsMax = core.progress.size + Limits.changesMax
  for (const { configuration } of core.configurations) rowsMax += configuration.members.length
  add("forwards", Math.max(forwards.size.members, changeRequests.size.members), rowsMax)
  add("transfers", member.transfers.size, rowsMax)
  add("catchingUp", member.catchingUp.size, rowsMax)
  add("snapshotsWanted", member.snapshotsWanted.length, rowsMax)
  add("slots", member.slots.size, rowsMax)
  return gauges
}

/** A leader's own no-ops and configurations are not refused. One that was deposed takes nothing in before its disk has made room. */
const pendingAppendsMax = ({ pendingAppends, settings }: Core): number =>
  pendingAppends.at(-1)?.own === false
    ? Limits.leadersAtOnce * settings.windowMessagesMax
    : settings.pendingAppendsMax + Limits.changesMax
