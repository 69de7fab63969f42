/**
 * The only loop over a member's mailbox: take everything, step the core through it, carry out what follows, once. It ends when the role has changed,
 * after the whole batch, and never waits for another actor.
 */
import { Effect } from "effect"
import * as ConfigurationCodec from "./codec/ConfigurationCodec.ts"
import * as Codec from "./codec/PeerMessageCodec.ts"
import * as SessionCodec from "./codec/SessionCodec.ts"
import type { RoleName } from "./core/Core.ts"
import { EntryKind } from "./core/Entry.ts"
import type { LogIndex, MemberId, Term } from "./core/Entry.ts"
import type { Outgoing, Outputs } from "./core/Output.ts"
import * as Entry from "./Entry.ts"
import * as Limits from "./Limits.ts"
import type { LogWrite } from "./LogStore.ts"
import type { Member } from "./Member.ts"
import { now } from "./Member.ts"
import type { ChangeWish, PeerMessage } from "./PeerMessage.ts"
import * as Observing from "./Observing.ts"
import type { Group, Purpose } from "./Proposals.ts"
import type { Reason } from "./RaftError.ts"
import * as Replicator from "./Replicator.ts"

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
  for (const { bytes, from } of mailbox.takeFrames()) receive(member, from, bytes, time)
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

// Incoming.

const receive = (member: Member, from: MemberId, bytes: Uint8Array, time: number): void => {
  let message: PeerMessage
  try {
    message = Codec.decode(bytes)
  } catch {
    member.malformed++
    return
  }
  switch (message._tag) {
    case "Forward": {
      const { id } = message
      if (!member.forwards.isNew(from, id)) return
      const send = (reply: Exclude<PeerMessage, { readonly _tag: "Append" }>) =>
        member.transport.sendUnsafe(from, "raft", [Codec.encode(reply)])
      const answer: Group["answer"] = (exit) => {
        if (exit._tag === "Failure") return void send(failureOf(id, exit.cause.reasons[0]))
        if (!send({ _tag: "ForwardDone", id, results: exit.value })) send(failureOf(id, undefined))
      }
      const refused = member.proposals.add(
        message.commands,
        message.purpose,
        time,
        time + message.timeoutMillis,
        answer
      )
      if (refused !== undefined) send({ _tag: "ForwardFailed", id, reason: refused.reason, message: refused.message })
      member.deadlinesWakeup.ringUnsafe()
      return
    }
    case "ForwardDone": {
      const group = member.proposals.get(message.id)
      if (group?.forwardedTo === from) member.proposals.succeed(group, message.results)
      return
    }
    case "ForwardFailed": {
      const group = member.proposals.get(message.id)
      if (group?.forwardedTo !== from) return
      if (message.reason === "NoLeader" || message.reason === "Stopped") member.proposals.park(group.id, time)
      else member.proposals.fail(group, message.reason, message.message)
      return
    }
    case "ChangeRequest": {
      const { id } = message
      member.changes.add(
        message.wish,
        time + message.timeoutMillis,
        (refusal, leader) =>
          void member.transport.sendUnsafe(from, "raft", [Codec.encode({
            _tag: "ChangeAnswer",
            id,
            refusal: refusal === "Busy" ? "Pending" : refusal === "Stopped" ? "NoLeader" : refusal,
            leader
          })])
      )
      member.deadlinesWakeup.ringUnsafe()
      return
    }
    case "ChangeAnswer": {
      const change = member.changes.get(message.id)
      if (change?.forwardedTo !== from) return
      if (message.refusal === "NoLeader") member.changes.park(change, time)
      else member.changes.settle(message.id, message.refusal, message.leader)
      return
    }
    case "SnapshotChunk":
      return member.receiver.chunkUnsafe(from, message)
    case "SnapshotProgress": {
      const transfer = member.transfers.get(from)
      if (transfer?.snapshot === message.snapshot) transfer.progressUnsafe(message)
      return
    }
    default:
      member.core.step({ _tag: "Message", from, message })
  }
}

const failureOf = (id: number, reason: unknown): Exclude<PeerMessage, { readonly _tag: "Append" }> => {
  const failure = reason as { readonly error?: { readonly reason: Reason; readonly message: string } } | undefined
  return {
    _tag: "ForwardFailed",
    id,
    reason: failure?.error?.reason ?? "Unknown",
    message: failure?.error?.message ?? "The leader could not pass its answer on; read before repeating."
  }
}

const linkLost = (member: Member, peer: MemberId): void => {
  member.proposals.linkLost(peer)
  member.changes.linkLost(peer)
}

// Outgoing.

const carryOut = (member: Member, out: Outputs, time: number): void => {
  const { applier, core, readers } = member
  if (out.truncatedFrom > 0) {
    member.cache.truncate(out.truncatedFrom)
    member.proposals.truncated(out.truncatedFrom)
    member.stages.truncated(out.truncatedFrom)
  }
  if (out.writes.length > 0) {
    orderWrites(member, out, time)
    member.cache.evict(core.durableIndex, Limits.cacheBacklogBytesMax, Limits.cacheBacklogEntriesMax)
  }
  member.cache.evict(core.releasableIndex, 0, 0)
  sendMessages(member, out)
  for (const permit of out.permits) Replicator.handOver(slotOf(member, permit.peer), permit)
  if (core.commitDeadline !== Infinity) member.commitWakeup.ringUnsafe()
  applier.advanceUnsafe(core.applicableIndex)
  for (const { group, reason } of out.refusals) {
    if (reason === "NoLeader") member.proposals.park(group, time)
    else refuse(member, group, reason)
  }
  for (const group of out.forwards) forward(member, group, time)
  for (const { id, index } of out.reads) readers.answered(id, index, applier.head().index, time)
  for (const { id, leader, refusal } of out.settled) settleChange(member, id, refusal, leader, time)
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

const orderWrites = (member: Member, out: Outputs, time: number): void => {
  const { cache, core, logWriter, proposals } = member
  const writes: Array<LogWrite> = []
  let fresh: Array<Entry.Entry> = []
  const close = () => {
    if (fresh.length === 0) return
    cache.append(fresh)
    for (const entry of fresh) member.appendedBytes += entry.bytes
    writes.push({ _tag: "Append", entries: fresh })
    fresh = []
  }
  for (const write of out.writes) {
    switch (write._tag) {
      case "Proposed": {
        const { firstIndex, term } = write
        const { arrivedAt, commands, purpose } = proposals.appendedAt(write.group, firstIndex, term)
        member.stages.appended(firstIndex + commands.length - 1, arrivedAt, time)
        fresh.push(firstOf(firstIndex, term, commands[0]!, purpose))
        for (let i = 1; i < commands.length; i++) {
          fresh.push(Entry.make(firstIndex + i, term, EntryKind.Command, commands[i]!))
        }
        break
      }
      case "Own": {
        const { configuration, index, term } = write
        fresh.push(
          configuration === undefined
            ? Entry.make(index, term, EntryKind.Noop, new Uint8Array(0))
            : {
              ...Entry.make(index, term, EntryKind.Configuration, ConfigurationCodec.encode(configuration)),
              configuration
            }
        )
        break
      }
      case "Received": {
        const received = write.entries as ReadonlyArray<Entry.Entry>
        close()
        cache.truncate(received[0]!.index)
        cache.append(received)
        // a witness' log grows by what is left of an entry without its payload
        for (const entry of received) member.appendedBytes += core.witness ? Entry.encodedBytes(entry) : entry.bytes
        writes.push({ _tag: "Append", entries: received })
        break
      }
      case "HardState":
        close()
        writes.push({ _tag: "HardState", hardState: { term: write.term, vote: write.vote } })
        break
      case "Reset":
        close()
        cache.clear()
        proposals.skipped(write.index)
        member.stages.skipped(write.index)
        writes.push(write)
    }
  }
  close()
  logWriter.orderUnsafe(writes, core.writeNumber)
}

/** The first entry of a group says what the group is for. */
const firstOf = (index: LogIndex, term: Term, command: Uint8Array, purpose: Purpose): Entry.Entry => {
  if (purpose === "Commands") return Entry.make(index, term, EntryKind.Command, command)
  if (purpose === "OpenSession") return Entry.make(index, term, EntryKind.SessionOpen, command)
  return Entry.make(index, term, EntryKind.SessionCommand, SessionCodec.encodeFirst(purpose, command))
}

/** Messages wait for their write; one that outlived its term is dropped, as the network might have done. */
const sendMessages = (member: Member, out: Outputs): void => {
  const { core, held } = member
  if (held.length > 0 && held[0]!.after <= core.writtenNumber) {
    let ready = 0
    while (ready < held.length && held[ready]!.after <= core.writtenNumber) {
      const outgoing = held[ready++]!
      if (outgoing.message._tag === "VoteReply" || outgoing.message.term >= core.term) send(member, outgoing)
    }
    held.splice(0, ready)
  }
  for (const outgoing of out.messages) {
    if (outgoing.after <= core.writtenNumber) send(member, outgoing)
    else if (held.length < Limits.heldMessagesMax) insert(held, outgoing)
  }
}

const insert = (held: Array<Outgoing>, outgoing: Outgoing): void => {
  let position = held.length
  while (position > 0 && held[position - 1]!.after > outgoing.after) position--
  held.splice(position, 0, outgoing)
}

const send = (member: Member, { message, to }: Outgoing): void => {
  if (message._tag === "Append") return
  member.transport.sendUnsafe(to, "raft", [Codec.encode(message)])
}

const refuse = (member: Member, id: number, reason: "Busy" | "Refused"): void => {
  const group = member.proposals.get(id)
  if (group === undefined) return
  member.proposals.fail(
    group,
    reason,
    reason === "Busy"
      ? "The leader has too much that is not committed yet; try again later."
      : "The leader is handing leadership over; try again."
  )
}

const forward = (member: Member, id: number, time: number): void => {
  const group = member.proposals.get(id)
  if (group === undefined) return
  const message = Codec.encode({
    _tag: "Forward",
    id,
    timeoutMillis: timeoutMillis(group.deadline - time),
    purpose: group.purpose,
    commands: group.commands
  })
  if (member.transport.sendUnsafe(member.core.leader, "raft", [message])) group.forwardedTo = member.core.leader
  else member.proposals.park(id, time)
}

/** What is left of a deadline, as 32 bits can say it. */
const timeoutMillis = (left: number): number => Math.min(Math.max(1, Math.ceil(left)), 0xffff_ffff)

const settleChange = (
  member: Member,
  id: number,
  refusal: Outputs["settled"][number]["refusal"],
  leader: MemberId,
  time: number
): void => {
  const change = member.changes.get(id)
  if (change === undefined) return
  if (refusal !== "NoLeader") return member.changes.settle(id, refusal, leader)
  const target = member.core.leader
  const sent = target !== "" && target !== member.core.id && member.transport.sendUnsafe(target, "raft", [Codec.encode({
    _tag: "ChangeRequest",
    id,
    timeoutMillis: timeoutMillis(change.deadline - time),
    wish: change.wish
  })])
  if (!sent) return member.changes.park(change, time)
  change.forwardedTo = target
  change.underWay = true
}
