/** What a running member does about membership besides raft: notices its own removal, announces new addresses, lets in the founders who came late. */
import { Configuration, MemberStopped } from "@dkv/raft"
import type { RaftNode } from "@dkv/raft"
import * as Quorum from "@dkv/raft/core/Quorum"
import type { Control } from "@dkv/transport"
import { Clock, Effect, Option } from "effect"
import * as Bootstrap from "./Bootstrap.ts"
import * as ControlMessage from "./ControlMessage.ts"
import * as Limits from "./Limits.ts"
import type { MemberRecordError } from "./MemberRecord.ts"
import * as Peers from "./Peers.ts"
import * as Rounds from "./Rounds.ts"
import { configurationEntry } from "./Self.ts"
import type { Self } from "./Self.ts"

type Node = RaftNode.RaftNode["Service"]

/**
 * Fails once this member is known to have been removed, or to have the data of a cluster that is not the one around it. Raft tells neither of them anything, so it asks when
 * it hears no leader.
 *
 * One leader's word is not enough: it may be deposed without knowing, with a configuration from before this member came. A leader that says so
 * twice in one term, more than two election timeouts apart, had a quorum in between (check-quorum), so its first word counted. The others are asked twice too: what answers may
 * be what happens to be up.
 */
export const watchRemoval = Effect.fnUntraced(function*(
  self: Self,
  node: Node,
  electionTimeoutMillis: number
): Effect.fn.Return<never, MemberStopped, Control.Control> {
  let first: { readonly what: string; readonly at: number } | undefined
  while (true) {
    yield* Effect.sleep(Limits.removalCheckMillis)
    const status = yield* node.status
    if (status.removed) return yield* removed(self)
    const isOutside = Configuration.find(status.configuration, node.id) === undefined
    if (Option.isSome(status.leader) && !isOutside) {
      first = undefined
      continue
    }
    const now = Number(yield* Clock.monotonicTimeNanos) / 1e6
    const denial = yield* findDenial(self, node, status)
    if (denial === undefined) first = undefined
    else if (first?.what !== denial.what) first = { what: denial.what, at: now }
    else if (now - first.at > 2 * electionTimeoutMillis) return yield* denial.reason
  }
})

const removed = ({ options: { name, peerAddress }, record }: Self): MemberStopped =>
  new MemberStopped({
    message: `${name} (member ${record().memberId}) was removed from the cluster and stays out. To let it in again, ` +
      `remove its data directory, start it with --initial-cluster-state=existing, and run: dkvctl member-join ${name} ${peerAddress}`
  })

const givenUp = ({ options: { name, peerAddress }, record }: Self, by: string, clusterId: string): MemberStopped =>
  new MemberStopped({
    message:
      `${name} (member ${record().memberId}) was given up: ${by} has taken its cluster over as ${clusterId}, after the loss of the quorum. ` +
      `To let it in there, remove its data directory, start it again, and run: dkvctl member-join ${name} ${peerAddress}`
  })

const misplaced = ({ options: { name }, record }: Self, clusterId: string): MemberStopped =>
  new MemberStopped({
    message: `${name} (member ${record().memberId}) has the data of cluster ${
      Option.getOrElse(record().clusterId, () => "")
    }, and all other members that it knows belong to cluster ` +
      `${clusterId}: start it on the data directory of that cluster, or on an empty one, or with the addresses of its own cluster`
  })

interface Denial {
  /** Who denies what; the same twice counts. */
  readonly what: string
  readonly reason: MemberStopped
}

/** A member that finds a quorum of its own cluster is not told by others that this was given up. */
const findDenial = Effect.fnUntraced(function*(self: Self, node: Node, status: RaftNode.Status): Effect.fn.Return<
  Denial | undefined,
  never,
  Control.Control
> {
  const { clusterId, memberId } = self.record()
  const request = { _tag: "Probe", version: ControlMessage.version, name: self.options.name, memberId } as const
  const addresses = new Set([
    ...status.configuration.members.filter((member) => member.id !== node.id).map((member) => member.peerAddress),
    ...self.options.initialCluster.filter((listed) => listed.name !== self.options.name).map((listed) =>
      listed.peerAddress
    )
  ])
  const answers = yield* Effect.forEach(
    addresses,
    (address) => Effect.option(Peers.ask(address, request, Limits.probeTimeoutMillis)),
    { concurrency: "unbounded" }
  )
  const others = answers.flatMap((answer) =>
    Option.isSome(answer) && answer.value._tag === "Initialised" ? [answer.value] : []
  )
  for (const { clusterId: theirs, configuration, isLeader, memberId: leader, term } of others) {
    if (!isLeader || theirs !== Option.getOrUndefined(clusterId)) continue
    if (configuration.members.length > 0 && Configuration.find(configuration, memberId) === undefined) {
      return { what: `${leader} ${term}`, reason: removed(self) }
    }
  }
  const own = new Set(
    others.filter((other) => other.clusterId === Option.getOrUndefined(clusterId)).map((each) => each.memberId)
  )
  if (Option.isNone(clusterId) || Quorum.isQuorum(status.configuration, (id) => id === node.id || own.has(id))) {
    return undefined
  }
  const heir = others.find(({ formerClusters }) => formerClusters?.includes(clusterId.value) === true)
  if (heir !== undefined) return { what: heir.clusterId, reason: givenUp(self, heir.name, heir.clusterId) }
  const [only, ...more] = new Set(others.map((other) => other.clusterId))
  const isElsewhere = others.length === answers.length && only !== undefined && only !== clusterId.value &&
    more.length === 0
  return isElsewhere ? { what: only, reason: misplaced(self, only) } : undefined
})

/** Writes this member's addresses into the configuration when they are not those it was started with. Addresses that it was not told stay. Logs why it cannot. */
export const announce = Effect.fnUntraced(function*(self: Self, node: Node) {
  const { clientAddress, initialCluster, name, peerAddress } = self.options
  const report = yield* Bootstrap.makeReporter
  const isListed = initialCluster.some((listed) => listed.name === name)
  yield* Rounds.until(Effect.gen(function*() {
    const { configuration, leader } = yield* node.status
    const entry = Configuration.find(configuration, node.id)
    if (entry === undefined || Option.isNone(leader)) return false
    const wanted = {
      peerAddress: isListed ? peerAddress : entry.peerAddress,
      clientAddress: clientAddress === "" ? entry.clientAddress : clientAddress
    }
    if (entry.peerAddress === wanted.peerAddress && entry.clientAddress === wanted.clientAddress) return true
    return yield* node.changeMembership({ _tag: "Update", id: node.id, ...wanted }).pipe(
      Effect.as(true),
      Effect.catch((error) => {
        const message =
          `${name} cannot announce its addresses (peers ${wanted.peerAddress}, clients ${wanted.clientAddress}): ${error.message}`
        // Another change, or no leader, passes by itself; these do not.
        const isFinal = error.reason === "Conflict" || error.reason === "Invalid"
        return Effect.as(isFinal ? report(message) : Effect.logDebug(message), false)
      })
    )
  }))
})

/** Adds `candidate` as a learner that is promoted by itself, and tells it so. */
export const letIn = Effect.fnUntraced(function*(
  self: Self,
  node: Node,
  candidate: { readonly peerAddress: string; readonly answer: ControlMessage.Uninitialised }
) {
  const { answer, peerAddress } = candidate
  const clusterId = Option.getOrElse(self.record().clusterId, () => "")
  const configuration = yield* node.changeMembership({
    _tag: "Join",
    member: {
      ...configurationEntry(self, answer.memberId, true),
      name: answer.name,
      witness: answer.witness,
      peerAddress,
      clientAddress: answer.clientAddress
    },
    replaces: Option.none()
  })
  yield* Effect.ignore(tellAdopted(peerAddress, answer.memberId, clusterId, configuration))
})

/** Tells a member that it has been let in. It would find out by itself, if it knows any other member. */
export const tellAdopted = (
  peerAddress: string,
  memberId: string,
  clusterId: string,
  configuration: Configuration.Configuration
) =>
  Peers.ask(
    peerAddress,
    { _tag: "Adopt", version: ControlMessage.version, memberId, clusterId, configuration },
    Limits.probeTimeoutMillis
  )

/** Lets in the listed members that were silent when this one founded the cluster by force, each once. */
export const admitPending = Effect.fnUntraced(function*(self: Self, node: Node): Effect.fn.Return<
  void,
  MemberRecordError,
  Control.Control
> {
  const request = {
    _tag: "Probe",
    version: ControlMessage.version,
    name: self.options.name,
    memberId: node.id
  } as const
  const report = yield* Bootstrap.makeReporter
  yield* Rounds.until(Effect.gen(function*() {
    for (const name of self.record().pending) {
      const { configuration } = yield* node.status
      const listed = self.options.initialCluster.find((each) => each.name === name)
      const isIn = configuration.members.some((member) => member.name === name)
      if (listed !== undefined && !isIn) {
        const answer = yield* Effect.option(Peers.ask(listed.peerAddress, request, Limits.probeTimeoutMillis))
        if (Option.isSome(answer) && answer.value._tag === "Initialised") {
          yield* report(
            `${name} at ${listed.peerAddress} belongs to cluster ${answer.value.clusterId}: --force-new-cluster founded a second one here. Stop one of them, and start its members on empty directories`
          )
        }
        if (Option.isNone(answer) || answer.value._tag !== "Uninitialised" || answer.value.name !== name) continue
        const candidate = { peerAddress: listed.peerAddress, answer: answer.value }
        const done = yield* letIn(self, node, candidate).pipe(
          Effect.as(true),
          Effect.catch((error) => Effect.as(report(`${name} cannot be let in yet: ${error.message}`), false))
        )
        if (!done) continue
        yield* Effect.logInfo(`${name} has come and is let in`)
      }
      yield* self.update((record) => ({ ...record, pending: record.pending.filter((other) => other !== name) }))
    }
    return self.record().pending.length === 0
  }))
})

/** Logs who leads whenever that changes, and when nobody has for longer than an election should take. */
export const reportLeader = Effect.fnUntraced(
  function*(node: Node, electionTimeoutMillis: number): Effect.fn.Return<never> {
    let reported = ""
    let lostAt: number | undefined
    while (true) {
      yield* Effect.sleep(Limits.leaderCheckMillis)
      const { configuration, leader, term } = yield* node.status
      const now = Number(yield* Clock.monotonicTimeNanos) / 1e6
      if (Option.isNone(leader)) {
        lostAt ??= now
        if (reported !== "none" && now - lostAt > Limits.leaderlessElectionTimeouts * electionTimeoutMillis) {
          reported = "none"
          yield* Effect.logWarning(
            `no leader in term ${term}: too few of the ${configuration.voters.length} voters reach each other`
          )
        }
        continue
      }
      lostAt = undefined
      const seen = `${leader.value} ${term}`
      if (seen === reported) continue
      reported = seen
      const name = Configuration.find(configuration, leader.value)?.name ?? "a member not known yet"
      yield* Effect.logInfo(
        leader.value === node.id
          ? `${name} leads in term ${term}`
          : `${name} (member ${leader.value}) leads in term ${term}`
      )
    }
  }
)
