/** What a running member does about membership besides raft: notices its own removal, announces new addresses, lets in the founders who came late. */
import { Configuration, MemberStopped } from "@dkv/raft"
import type { RaftNode } from "@dkv/raft"
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
 * twice in one term, more than two election timeouts apart, had a quorum in between (check-quorum), so its first word counted.
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
    if (denial?._tag === "GivenUp") return yield* givenUp(self, denial.by, denial.clusterId)
    if (denial === undefined) {
      first = undefined
      continue
    }
    const what = denial._tag === "Denied" ? `${denial.leader} ${denial.term}` : denial.clusterId
    if (first?.what !== what) {
      first = { what, at: now }
    } else if (now - first.at > 2 * electionTimeoutMillis) {
      return yield* denial._tag === "Denied" ? removed(self) : misplaced(self, denial.clusterId)
    }
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

const findDenial = Effect.fnUntraced(function*(self: Self, node: Node, status: RaftNode.Status) {
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
  const clusters = new Set(
    answers.map((answer) =>
      Option.isSome(answer) && answer.value._tag === "Initialised" ? answer.value.clusterId : undefined
    )
  )
  const [only] = clusters
  for (const answer of answers) {
    if (Option.isNone(answer) || answer.value._tag !== "Initialised") continue
    const { configuration, isLeader, memberId: leader, term } = answer.value
    if (Option.isSome(clusterId) && answer.value.formerClusters?.includes(clusterId.value) === true) {
      return { _tag: "GivenUp", by: answer.value.name, clusterId: answer.value.clusterId } as const
    }
    if (!isLeader || answer.value.clusterId !== Option.getOrUndefined(clusterId)) continue
    if (configuration.members.length > 0 && Configuration.find(configuration, memberId) === undefined) {
      return { _tag: "Denied", leader, term } as const
    }
  }
  const isElsewhere = clusters.size === 1 && only !== undefined && only !== Option.getOrUndefined(clusterId)
  return isElsewhere ? { _tag: "Elsewhere", clusterId: only } as const : undefined
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
  yield* Rounds.until(Effect.gen(function*() {
    for (const name of self.record().pending) {
      const { configuration } = yield* node.status
      const listed = self.options.initialCluster.find((each) => each.name === name)
      const isIn = configuration.members.some((member) => member.name === name)
      if (listed !== undefined && !isIn) {
        const answer = yield* Effect.option(Peers.ask(listed.peerAddress, request, Limits.probeTimeoutMillis))
        if (Option.isNone(answer) || answer.value._tag !== "Uninitialised" || answer.value.name !== name) continue
        const candidate = { peerAddress: listed.peerAddress, answer: answer.value }
        const done = yield* letIn(self, node, candidate).pipe(
          Effect.as(true),
          Effect.catch((error) => Effect.as(Effect.logInfo(`${name} cannot be let in yet: ${error.message}`), false))
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
