/** What the rare calls do: they read the configuration and the state of raft, or ask raft for a change, which it passes on to the leader. */
import { Admin } from "@dkv/protocol"
import { Configuration, RaftNode } from "@dkv/raft"
import type { MemberId, MembershipError, RaftError } from "@dkv/raft"
import { Clock, Effect, Option } from "effect"
import { Admission } from "./Admission.ts"
import * as Limits from "./Limits.ts"
import { MemberInfo } from "./MemberInfo.ts"

type Node = RaftNode.RaftNode["Service"]

export const layer = Admin.group.toLayer(Effect.gen(function*() {
  const node = yield* RaftNode.RaftNode
  const info = yield* MemberInfo
  const admission = yield* Admission
  const list = Effect.map(node.status, listOf)
  return Admin.group.of({
    MemberList: ({ stale, timeoutMillis }) => stale ? list : Effect.andThen(confirm(node, timeoutMillis), list),
    MemberJoin: Effect.fnUntraced(function*(asked) {
      const { clientAddress, id, learnerOnly, name, peerAddress, timeoutMillis } = asked
      yield* checkText({ name, peerAddress, clientAddress })
      const deadline = yield* confirm(node, timeoutMillis)
      const present = (yield* node.status).configuration.members.find((each) =>
        each.name === name && each.peerAddress === peerAddress
      )
      if (present !== undefined) {
        const view = viewOf(yield* node.status, present)
        const contradiction = contradictionOf(asked, view)
        return contradiction === undefined ? view : yield* refuse("Conflict", `${name} is in already, ${contradiction}`)
      }
      const candidate = Option.isSome(id)
        ? { id: yield* checkId(id.value), clientAddress, witness: asked.witness }
        : yield* admission.identify(name, peerAddress)
      if (asked.witness && !candidate.witness) {
        return yield* refuse(
          "Conflict",
          `${name} was not started as a witness: start it with --witness, or join it without`
        )
      }
      const member: Configuration.Member = {
        id: candidate.id,
        name,
        peerAddress,
        clientAddress: clientAddress === "" ? candidate.clientAddress : clientAddress,
        autoPromote: !learnerOnly,
        witness: candidate.witness,
        priority: 0
      }
      const configuration = yield* change(node, { _tag: "Join", member, replaces: Option.none() }, deadline)
      yield* admission.admitted(member, configuration)
      return viewOf(yield* node.status, member)
    }),
    MemberLeave: Effect.fnUntraced(function*({ force, member, timeoutMillis }) {
      const deadline = yield* confirm(node, timeoutMillis)
      const { id } = yield* findOnly(node, member)
      yield* change(node, { _tag: "Leave", id, force }, deadline)
      // the one that left may be this one, and could not confirm anything any more
      const { isJoint, leader, members } = yield* list
      return new Admin.MemberListView({ isJoint, leader, members: members.filter((member) => member.id !== id) })
    }),
    MemberPromote: Effect.fnUntraced(function*({ force, member, timeoutMillis }) {
      const deadline = yield* confirm(node, timeoutMillis)
      const { id } = yield* findStaying(node, member)
      yield* change(node, { _tag: "Promote", id, force }, deadline)
      yield* catchUp(node, deadline)
      return yield* list
    }),
    MemberUpdate: Effect.fnUntraced(function*({ changes, member, timeoutMillis }) {
      const deadline = yield* confirm(node, timeoutMillis)
      const { clientAddress, id, name, peerAddress, witness } = yield* findStaying(node, member)
      if (witness && changes.priority !== undefined) {
        return yield* refuse("NotVoter", `${name} is a witness: it never leads, whatever its priority`)
      }
      yield* change(node, { _tag: "Update", id, peerAddress, clientAddress, ...changes }, deadline)
      yield* catchUp(node, deadline)
      return yield* list
    }),
    LeaderTransfer: Effect.fnUntraced(function*({ timeoutMillis, to }) {
      const deadline = yield* confirm(node, timeoutMillis)
      const target = Option.isSome(to) ? Option.some(yield* find(node, to.value)) : Option.none<MemberId>()
      const leader = yield* Effect.mapError(
        within(deadline, (timeoutMillis) => node.transferLeadership(target, { timeoutMillis })),
        refusedBy
      )
      const status = yield* node.status
      const member = Configuration.find(status.configuration, leader)
      if (member === undefined) return yield* refuse("Unknown", `member ${leader} leads, but is not in the list`)
      return viewOf({ ...status, leader: Option.some(leader) }, member)
    }),
    ClusterSettings: Effect.fnUntraced(function*({ changes, timeoutMillis }) {
      const deadline = yield* confirm(node, timeoutMillis)
      if (Object.keys(changes).length > 0) {
        yield* change(node, { _tag: "Configure", settings: changes }, deadline)
        yield* catchUp(node, deadline)
      }
      return new Admin.SettingsView({ ...(yield* node.status).configuration.settings, ...changes })
    }),
    SessionOpen: ({ timeoutMillis }) =>
      Effect.map(
        Effect.mapError(node.openSession({ timeoutMillis: bounded(timeoutMillis) }), raftRefused),
        (session) => new Admin.SessionView(session)
      ),
    Status: () =>
      Effect.flatMap(node.status, (status) => Effect.map(info.fenced, (fenced) => statusOf(status, info, fenced)))
  })
}))

const bounded = (timeoutMillis: number): number => Math.min(Math.max(timeoutMillis, 1), Limits.rpcTimeoutMillisMax)

/** A moment of the monotonic clock, in milliseconds: whatever a call asks of raft is over then. */
type Deadline = number

const nowMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/** Asks raft with the time that is left. */
const within = <A, E>(deadline: Deadline, ask: (timeoutMillis: number) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(nowMillis, (now) => ask(Math.max(deadline - now, 1)))

/** The configuration that is read next includes every change that was committed by now. Begins a call, and succeeds with its deadline. */
const confirm = Effect.fnUntraced(function*(node: Node, timeoutMillis: number) {
  const deadline: Deadline = (yield* nowMillis) + bounded(timeoutMillis)
  const patience = Math.min(bounded(timeoutMillis), Limits.confirmMillis)
  yield* Effect.mapError(node.configuration({ timeoutMillis: patience }), raftRefused)
  return deadline
})

/**
 * Waits until this member has heard of the change that the leader has just committed, so that the answer shows it. The change is done whether or not that succeeds, so
 * the answer leaves in time either way: a client that gave up before would not know of it.
 */
const catchUp = (node: Node, deadline: Deadline): Effect.Effect<void> =>
  Effect.ignore(within(deadline - Limits.answerMarginMillis, (timeoutMillis) => node.configuration({ timeoutMillis })))

const change = (node: Node, wish: RaftNode.MembershipChange, deadline: Deadline) =>
  Effect.mapError(within(deadline, (timeoutMillis) => node.changeMembership(wish, { timeoutMillis })), refusedBy)

/** What belongs to reads, and to proposals with commands, cannot come here. */
const raftRefused = ({ message, reason }: RaftError): Admin.AdminError =>
  new Admin.AdminError({
    reason: reason === "TooLarge" || reason === "Expired" || reason === "Witness" ? "Invalid" : reason,
    message
  })

const refusedBy = (error: MembershipError): Admin.AdminError =>
  new Admin.AdminError({ reason: error.reason, message: error.message })

const refuse = (reason: Admin.AdminReason, message: string): Effect.Effect<never, Admin.AdminError> =>
  Effect.fail(new Admin.AdminError({ reason, message }))

const checkId = (id: string): Effect.Effect<string, Admin.AdminError> =>
  /^[0-9a-f]{16}$/.test(id) && id !== "0000000000000000"
    ? Effect.succeed(id)
    : refuse("Invalid", `"${id}" is no member id: 16 hex digits, not all zero`)

const checkText = (
  texts: { readonly name: string; readonly peerAddress: string; readonly clientAddress: string }
): Effect.Effect<void, Admin.AdminError> => {
  if (texts.name === "" || texts.peerAddress === "") {
    return refuse("Invalid", "a member needs a name and a peer address")
  }
  for (const [what, text] of Object.entries(texts)) {
    if (new TextEncoder().encode(text).length > Limits.nameBytesMax) {
      return refuse("Invalid", `${what} is longer than ${Limits.nameBytesMax} bytes`)
    }
  }
  return Effect.void
}

/** The member that a name or an id stands for. */
const findMember = Effect.fnUntraced(function*(node: Node, nameOrId: string) {
  const { configuration } = yield* node.status
  const member = configuration.members.find((each) => each.id === nameOrId) ??
    configuration.members.find((each) => each.name === nameOrId)
  if (member !== undefined) return member
  const names = configuration.members.map((each) => each.name).join(", ")
  return yield* refuse("NotFound", `no member is called ${nameOrId}; there are: ${names}`)
})

/** While a member is rebuilt, its name stands for the one that leaves too: what is said of it is meant for the one that comes. */
const findStaying = Effect.fnUntraced(function*(node: Node, nameOrId: string) {
  const found = yield* findMember(node, nameOrId)
  if (found.id === nameOrId) return found
  const { configuration } = yield* node.status
  return configuration.members.find((each) => each.replaces === found.id) ?? found
})

/** Whoever takes a member out while it is rebuilt has to say which: the one that leaves then, or the one that comes, which would bring it back. */
const findOnly = Effect.fnUntraced(function*(node: Node, nameOrId: string) {
  const found = yield* findMember(node, nameOrId)
  const { configuration } = yield* node.status
  const heir = configuration.members.find((each) => each.replaces === found.id)
  if (found.id === nameOrId || heir === undefined) return found
  return yield* refuse(
    "Conflict",
    `${nameOrId} is being rebuilt: ${heir.id} is to replace ${found.id}. Take ${heir.id} out first, by its id, then ${nameOrId}`
  )
})

/** What a member that is in already is, other than asked. What it says of its own client address counts. */
const contradictionOf = (
  asked: { readonly id: Option.Option<string>; readonly learnerOnly: boolean; readonly witness: boolean },
  { autoPromote, id, role }: Admin.MemberView
): string | undefined => {
  if (Option.isSome(asked.id) && asked.id.value !== id) return `under the id ${id}`
  if (asked.witness && role === "voter") return "and holds data: it is no witness"
  if (asked.learnerOnly && role !== "learner") return `as a ${role}: a voter does not become a learner again`
  if (asked.learnerOnly && autoPromote) return "as a learner that becomes a voter by itself: take it out first"
  return undefined
}

const find = (node: Node, nameOrId: string): Effect.Effect<MemberId, Admin.AdminError> =>
  Effect.map(findMember(node, nameOrId), ({ id }) => id)

const viewOf = (status: RaftNode.Status, member: Configuration.Member): Admin.MemberView =>
  new Admin.MemberView({
    id: member.id,
    name: member.name,
    peerAddress: member.peerAddress,
    clientAddress: member.clientAddress,
    role: !Configuration.isVoter(status.configuration, member.id) ? "learner" : member.witness ? "witness" : "voter",
    autoPromote: member.autoPromote,
    priority: member.priority,
    isLeader: Option.getOrUndefined(status.leader) === member.id
  })

const listOf = (status: RaftNode.Status): Admin.MemberListView =>
  new Admin.MemberListView({
    members: status.configuration.members.map((member) => viewOf(status, member)),
    leader: status.leader,
    isJoint: Configuration.isJoint(status.configuration)
  })

const statusOf = (
  status: RaftNode.Status,
  info: MemberInfo["Service"],
  fenced: Option.Option<string>
): Admin.StatusView => {
  const { configuration } = status
  const nameOf = (id: MemberId) => Configuration.find(configuration, id)?.name ?? ""
  return new Admin.StatusView({
    id: status.id,
    name: info.name,
    version: info.version,
    clientAddress: info.clientAddress,
    peerAddress: info.peerAddress,
    role: status.role,
    term: status.term,
    leader: status.leader,
    leaderName: Option.match(status.leader, { onNone: () => "", onSome: nameOf }),
    commitIndex: status.commitIndex,
    appliedIndex: status.appliedIndex,
    lastIndex: status.lastIndex,
    previousIndex: status.previousIndex,
    members: configuration.members.length,
    voters: configuration.voters.length,
    copies: status.copies,
    peers: status.peers.map((peer) => new Admin.PeerView({ ...peer, name: nameOf(peer.id) })),
    fenced
  })
}
