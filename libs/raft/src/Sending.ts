/** What the serving loop sends: messages of the core once their write is durable, and what somebody asked of this member and its leader has to do. */
import * as Codec from "./codec/PeerMessageCodec.ts"
import type { MemberId } from "./core/Entry.ts"
import type { Outgoing, Outputs } from "./core/Output.ts"
import * as Limits from "./Limits.ts"
import type { Member } from "./Member.ts"

/** Messages wait for their write; one that outlived its term is dropped, as the network might have done. */
export const sendMessages = (member: Member, out: Outputs): void => {
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

/** Passes a group on to the leader. */
export const forward = (member: Member, id: number, time: number): void => {
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

/** Answers whoever wants a change, or passes it on to the leader. */
export const settleChange = (
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
