/** What the serving loop does with a frame from a peer: messages of the protocol go to the core, the rest to whoever waits for them. */
import * as Codec from "./codec/PeerMessageCodec.ts"
import type { MemberId } from "./core/Entry.ts"
import * as ForwardedAnswers from "./ForwardedAnswers.ts"
import type { Member } from "./Member.ts"
import type { PeerMessage } from "./PeerMessage.ts"
import type { Group } from "./Proposals.ts"
import type { Reason } from "./RaftError.ts"

export const receive = (member: Member, from: MemberId, bytes: Uint8Array, time: number): void => {
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
        const results = ForwardedAnswers.fit(exit.value)
        if (!send({ _tag: "ForwardDone", id, results })) send(failureOf(id, undefined))
      }
      const refused = member.proposals.add(
        message.commands,
        message.purpose,
        time,
        time + message.timeoutMillis,
        answer,
        true
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
      if (!member.changeRequests.isNew(from, id)) return
      member.changes.add(
        message.wish,
        time + message.timeoutMillis,
        (refusal, leader) =>
          void member.transport.sendUnsafe(from, "raft", [Codec.encode({
            _tag: "ChangeAnswer",
            id,
            refusal: refusal === "Busy" ? "Pending" : refusal === "Stopped" ? "NoLeader" : refusal,
            leader
          })]),
        true
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
