/** How a member answers the questions of `ControlMessage`, from before it belongs to a cluster until it stops. */
import { Configuration } from "@dkv/raft"
import type { MembershipError, RaftNode } from "@dkv/raft"
import { Control } from "@dkv/transport"
import { Effect, Option } from "effect"
import type { Scope } from "effect"
import * as ControlMessage from "./ControlMessage.ts"
import type { Answer, Request } from "./ControlMessage.ts"
import * as Limits from "./Limits.ts"
import * as Peers from "./Peers.ts"
import type { Record } from "./MemberRecord.ts"
import { contactsOf, isWitness, listText } from "./Self.ts"
import type { Self } from "./Self.ts"

/** Answers until the scope closes. */
export const serve = Effect.fnUntraced(function*(self: Self): Effect.fn.Return<
  void,
  never,
  Control.Control | Scope.Scope
> {
  const control = yield* Control.Control
  yield* control.serve((bytes) =>
    ControlMessage.decodeRequest(bytes).pipe(
      Effect.matchEffect({
        onFailure: () => Effect.succeed(unsupported),
        onSuccess: (request) => answer(self, request)
      }),
      Effect.map(ControlMessage.encodeAnswer),
      Effect.provideService(Control.Control, control)
    )
  )
})

const unsupported = ControlMessage.refused(
  "Unsupported",
  `this member speaks version ${ControlMessage.version} of the control messages and does not know this one: run the same release everywhere`
)

/** The answer to one request. */
export const answer = Effect.fnUntraced(function*(self: Self, request: Request): Effect.fn.Return<
  Answer,
  never,
  Control.Control
> {
  if (request.version !== ControlMessage.version) return unsupported
  switch (request._tag) {
    case "Probe":
      return yield* introduce(self)
    case "Found":
      if (Configuration.find(request.configuration, self.record().memberId) === undefined) {
        return otherMember(self)
      }
      return yield* adopt(self, request.memberId, request.clusterId, Option.some(request.configuration), [])
    case "Adopt":
      return yield* adopt(self, request.memberId, request.clusterId, Option.none(), contactsOf(request.configuration))
    case "Join":
      return yield* join(self, request)
    case "Fetch":
      return yield* fetch(self, request)
  }
})

const introduce = Effect.fnUntraced(function*(self: Self): Effect.fn.Return<Answer> {
  const { clusterId, formerClusters, founding, memberId } = self.record()
  const { clientAddress, initialCluster, name } = self.options
  const witness = isWitness(self.options)
  if (Option.isNone(clusterId)) {
    return { _tag: "Uninitialised", memberId, name, witness, clientAddress, initialCluster: listText(initialCluster) }
  }
  const status = yield* statusOf(self)
  return {
    _tag: "Initialised",
    memberId,
    name,
    witness,
    clusterId: clusterId.value,
    founding,
    configuration: status?.configuration ?? Option.getOrElse(founding, () => Configuration.empty),
    commitIndex: status?.commitIndex ?? 0,
    term: status?.term ?? 0,
    isLeader: status?.role === "Leader",
    formerClusters
  }
})

const statusOf = (self: Self): Effect.Effect<RaftNode.Status | undefined> =>
  Effect.suspend(() => self.node()?.status ?? Effect.succeed(undefined))

const otherMember = (self: Self): Answer =>
  ControlMessage.refused(
    "OtherMember",
    `this address belongs to member ${self.record().memberId} (${self.options.name}) now`
  )

const adopt = Effect.fnUntraced(function*(
  self: Self,
  memberId: string,
  clusterId: string,
  founding: Option.Option<Configuration.Configuration>,
  contacts: Record["contacts"]
): Effect.fn.Return<Answer> {
  if (memberId !== self.record().memberId) return otherMember(self)
  return yield* self.initialise({ clusterId, founding, pending: [], contacts }).pipe(
    Effect.match({
      onFailure: (error) => ControlMessage.refused("NotReady", error.message),
      onSuccess: (record) =>
        Option.getOrUndefined(record.clusterId) === clusterId
          ? ControlMessage.accepted
          : ControlMessage.refused(
            "OtherCluster",
            `${self.options.name} belongs to cluster ${Option.getOrElse(record.clusterId, () => "none")} already`
          )
    })
  )
})

const notReady = (self: Self): Answer =>
  ControlMessage.refused(
    "NotReady",
    self.fenced() === undefined
      ? `${self.options.name} is not in a cluster yet`
      : `${self.options.name} is fenced: ${self.fenced()}`
  )

/** Committed entries for a member that has lost them; it finds out by the terms whether they are its own. */
const fetch = Effect.fnUntraced(function*(self: Self, { clusterId, from, to }: ControlMessage.Fetch): Effect.fn.Return<
  Answer
> {
  const [node, log] = [self.node(), self.log()]
  if (node === undefined || log === undefined) return notReady(self)
  if (self.record().witness) {
    return ControlMessage.refused(
      "Invalid",
      `${self.options.name} is a witness: its log has entries without their data`
    )
  }
  if (Option.getOrUndefined(self.record().clusterId) !== clusterId) {
    return ControlMessage.refused("OtherCluster", `${self.options.name} belongs to another cluster`)
  }
  const { commitIndex } = yield* node.status
  if (from < 1 || to < from) return ControlMessage.refused("Invalid", `entries ${from} to ${to} make no sense`)
  if (to > commitIndex) return ControlMessage.refused("NotReady", `entry ${to} is not committed here`)
  const last = Math.min(to, from + Limits.fetchEntriesMax - 1)
  return yield* Effect.match(log.read(from, last, Limits.fetchBytesMax), {
    onFailure: ({ message }): Answer =>
      ControlMessage.refused("NotReady", `${self.options.name} cannot read its log: ${message}`),
    onSuccess: (entries): Answer =>
      entries.length === 0 || entries[0]!.bytes > Limits.fetchBytesMax
        ? ControlMessage.refused("Invalid", `entry ${from} is not in the log here, or too large for an answer`)
        : { _tag: "Fetched", entries: entries.map(({ data, index, kind, term }) => ({ data, index, kind, term })) }
  })
})

/**
 * Lets a member that lost its disk back in under its new id. Only the leader can tell whether the former self is silent, so the
 * request goes to it.
 */
const join = Effect.fnUntraced(function*(self: Self, request: ControlMessage.Join): Effect.fn.Return<
  Answer,
  never,
  Control.Control
> {
  const node = self.node()
  if (node === undefined) return notReady(self)
  if (Option.getOrUndefined(self.record().clusterId) !== request.clusterId) {
    return ControlMessage.refused("OtherCluster", `${self.options.name} belongs to another cluster`)
  }
  const status = yield* node.status
  if (status.role === "Leader") return yield* letIn(self, node, status, request.member)
  const leader = Option.flatMapNullishOr(status.leader, (id) => Configuration.find(status.configuration, id))
  if (request.forwarded || Option.isNone(leader)) return ControlMessage.refused("NotReady", "no leader is known")
  return yield* Peers.ask(leader.value.peerAddress, { ...request, forwarded: true }, Limits.joinTimeoutMillis).pipe(
    Effect.catch((silence) =>
      Effect.succeed(ControlMessage.refused("NotReady", `${leader.value.name}, the leader: ${silence.message}`))
    )
  )
})

const letIn = Effect.fnUntraced(function*(
  self: Self,
  node: RaftNode.RaftNode["Service"],
  status: RaftNode.Status,
  member: Configuration.Member
): Effect.fn.Return<Answer> {
  const { configuration } = status
  if (Configuration.find(configuration, member.id) !== undefined) {
    // It may be in by a change that is not committed, and could be undone.
    return yield* Effect.match(node.configuration(), {
      onFailure: ({ message }) => ControlMessage.refused("NotReady", message),
      onSuccess: () => ControlMessage.accepted
    })
  }
  const former = configuration.members.filter((other) => other.name === member.name)
  if (former.length === 0) {
    return ControlMessage.refused("Invalid", `no member of this cluster is called ${member.name}`)
  }
  const heardIn = ({ peers }: RaftNode.Status) =>
    former.find((other) => !peers.some((peer) => peer.id === other.id && !peer.active))
  let alive = heardIn(status)
  if (alive === undefined) {
    // A leader that was just elected has not heard anybody yet.
    yield* Effect.sleep(self.options.electionTimeoutMillis ?? 1000)
    const after = yield* node.status
    if (after.role !== "Leader" || after.term !== status.term) {
      return ControlMessage.refused("NotReady", "another leader is being elected")
    }
    alive = heardIn(after)
  }
  if (alive !== undefined) {
    return ControlMessage.refused(
      "InUse",
      `${member.name} is alive as member ${alive.id}: two members cannot have one name (or wait until that one is known to be down)`
    )
  }
  const voter = former.find((other) => Configuration.isVoter(configuration, other.id))
  const last = voter ?? former[0]!
  if (last.witness !== member.witness) {
    return ControlMessage.refused(
      "Invalid",
      `${member.name} was ${
        last.witness ? "a witness: start it with" : "a full member: start it without"
      } --witness, ` +
        "or take it out by dkvctl member-leave first"
    )
  }
  return yield* Effect.gen(function*() {
    for (const other of former) {
      if (other !== voter) yield* node.changeMembership({ _tag: "Leave", id: other.id, force: false })
    }
    const entry = { ...member, autoPromote: voter !== undefined || last.autoPromote, priority: last.priority }
    yield* node.changeMembership({
      _tag: "Join",
      member: entry,
      replaces: Option.fromNullishOr(voter?.id)
    })
    return ControlMessage.accepted
  }).pipe(
    Effect.catch((error: MembershipError) => Effect.succeed(ControlMessage.refused("NotReady", error.message)))
  )
})
