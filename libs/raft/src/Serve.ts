/**
 * The only loop over a member's mailbox: take everything, step the core through it, carry out what follows, once. It ends when the role has changed,
 * after the whole batch, and never waits for another actor.
 */
import { Effect } from "effect"
import type { RoleName } from "./core/Core.ts"
import type { MemberId } from "./core/Entry.ts"
import type { Outputs } from "./core/Output.ts"
import * as Limits from "./Limits.ts"
import type { Member } from "./Member.ts"
import { now } from "./Member.ts"
import type { ChangeWish } from "./PeerMessage.ts"
import * as Observing from "./Observing.ts"
import * as Ordering from "./Ordering.ts"
import * as Receiving from "./Receiving.ts"
import * as Replicator from "./Replicator.ts"
import * as Sending from "./Sending.ts"

/** Serves the present role until it is over, and tells the next one. */
export const serve = (member: Member): Effect.Effect<RoleName> =>
  Effect.suspend(() => {
    const { core, mailbox } = member
    const epoch = core.epoch
    return Effect.map(
      Effect.whileLoop({
        while: () => core.epoch === epoch,
        body: () => Effect.andThen(mailbox.wakeup.wait, Effect.sync(() => turn(member))),
        step: () => {}
      }),
      () => core.role
    )
  })

const turn = (member: Member): void => {
  const { changes, core, mailbox, proposals, readers } = member
  const time = now(member)
  core.begin(time, member.random.nextDoubleUnsafe())
  for (const input of mailbox.takeCompletions()) {
    if (input._tag === "Unreachable") linkLost(member, input.peer)
    else if (input._tag === "Applied" || input._tag === "SnapshotInstalled") readers.applied(input.index)
    Observing.completed(member, input, time)
    core.step(input)
  }
  for (const { bytes, from } of mailbox.takeFrames()) Receiving.receive(member, from, bytes, time)
  for (const group of proposals.take()) {
    core.step({ _tag: "Propose", group: group.id, count: group.commands.length, bytes: group.bytes })
  }
  const read = readers.take(time)
  if (read !== 0) core.step({ _tag: "Read", id: read })
  for (const change of changes.take()) stepChange(member, change.id, change.wish)
  carryOut(member, core.settle(), time)
}

const stepChange = (member: Member, id: number, wish: ChangeWish): void => {
  const change = member.changes.get(id)
  if (change !== undefined) change.underWay = member.core.role === "Leader"
  if (wish._tag === "Transfer") member.core.step({ _tag: "Transfer", id, to: wish.to })
  else member.core.step({ _tag: "ChangeMembership", id, change: wish })
}

const linkLost = (member: Member, peer: MemberId): void => {
  member.proposals.linkLost(peer)
  member.changes.linkLost(peer)
}

const carryOut = (member: Member, out: Outputs, time: number): void => {
  const { applier, core, readers } = member
  if (out.truncatedFrom > 0) {
    member.cache.truncate(out.truncatedFrom)
    member.proposals.truncated(out.truncatedFrom)
    member.stages.truncated(out.truncatedFrom)
  }
  if (out.writes.length > 0) {
    Ordering.orderWrites(member, out, time)
    member.cache.evict(core.durableIndex, Limits.cacheBacklogBytesMax, Limits.cacheBacklogEntriesMax)
  }
  member.cache.evict(core.releasableIndex, 0, 0)
  Sending.sendMessages(member, out)
  for (const permit of out.permits) Replicator.handOver(slotOf(member, permit.peer), permit)
  if (core.commitDeadline !== Infinity) member.commitWakeup.ringUnsafe()
  applier.advanceUnsafe(core.applicableIndex)
  for (const { group, reason } of out.refusals) {
    if (reason === "NoLeader") member.proposals.park(group, time)
    else refuse(member, group, reason)
  }
  for (const group of out.forwards) Sending.forward(member, group, time)
  for (const { id, index } of out.reads) readers.answered(id, index, applier.head().index, time)
  for (const { id, leader, refusal } of out.settled) Sending.settleChange(member, id, refusal, leader, time)
  for (const offer of out.offers) member.receiver.offeredUnsafe(offer)
  if (out.snapshots.length > 0) {
    member.snapshotsWanted.push(...out.snapshots)
    member.snapshotsWakeup.ringUnsafe()
  }
  if (out.configurationChanged) {
    member.peersWakeup.ringUnsafe()
    member.replicatorsWakeup.ringUnsafe()
  }
  if (out.silent.length + out.heardAgain.length > 0) {
    for (const id of out.silent) member.silences.set(id, true)
    for (const id of out.heardAgain) member.silences.set(id, false)
    member.silencesWakeup.ringUnsafe()
  }
  Observing.settled(member, out, time)
  if (out.removed) member.removed = true
  const { epoch, leader, term } = core
  const { known } = member
  if (leader !== known.leader || term !== known.term || epoch !== known.epoch) member.known = { leader, term, epoch }
  if (leader !== known.leader) {
    member.leaderWakeup.ringUnsafe()
    const hasLeader = leader !== ""
    member.proposals.unpark(time, hasLeader)
    readers.unpark(time, hasLeader)
    member.changes.unpark(time, hasLeader)
  }
}

/** The place for a peer's permits; the replicator takes it up when it starts. */
export const slotOf = (member: Member, peer: MemberId): Replicator.Slot => {
  let slot = member.slots.get(peer)
  if (slot === undefined) member.slots.set(peer, slot = Replicator.makeSlot(member.makeWakeup()))
  return slot
}

const refuse = (member: Member, id: number, reason: "Busy" | "Refused"): void => {
  const group = member.proposals.get(id)
  if (group === undefined) return
  member.proposals.fail(
    group,
    reason,
    reason === "Busy"
      ? "The leader has too much that is not committed or not applied yet; try again later."
      : "The leader is handing leadership over; try again."
  )
}
