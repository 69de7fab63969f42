/**
 * What a member that belongs to no cluster does with what the others answered: found, take part, ask for its old place, or wait. Pure, so that every
 * case can be laid out in a table.
 *
 * The rule behind it: a cluster is founded once. The first listed name founds, and only when all the others have said that they belong to nothing; so a
 * member that lost its disk, the first one included, finds the others in a cluster and asks to be let in again.
 */
import { Configuration } from "@dkv/raft"
import { Option } from "effect"
import type { Answer, Initialised, Uninitialised } from "./ControlMessage.ts"
import { isWitness, listText } from "./Self.ts"
import type { Listed, Options } from "./Self.ts"

/** What the member at a listed address answered in this round; none if it was silent. */
export interface Heard {
  readonly listed: Listed
  readonly answer: Option.Option<Answer>
}

export type Decision =
  | {
    readonly _tag: "Found"
    readonly configuration: Configuration.Configuration
    readonly pending: ReadonlyArray<string>
  }
  | {
    readonly _tag: "Adopt"
    readonly clusterId: string
    readonly founding: Option.Option<Configuration.Configuration>
    readonly configuration: Configuration.Configuration
  }
  /** Ask those at `via`, in turn, for the place of the member of the same name. */
  | {
    readonly _tag: "Rejoin"
    readonly clusterId: string
    readonly via: ReadonlyArray<string>
    readonly configuration: Configuration.Configuration
  }
  | { readonly _tag: "Wait"; readonly reason: string }

const wait = (reason: string): Decision => ({ _tag: "Wait", reason })

export const decide = (memberId: string, options: Options, round: ReadonlyArray<Heard>): Decision => {
  const initialised = round.flatMap(({ answer, listed }) =>
    Option.isSome(answer) && answer.value._tag === "Initialised" ? [{ listed, answer: answer.value }] : []
  )
  if (initialised.length > 0) return takePart(memberId, options, initialised)
  if (options.initialClusterState === "existing") return wait(unknownToCluster(options))
  const first = options.initialCluster[0]!
  if (first.name === options.name) return found(memberId, options, round)
  // By force too: if each founded what the others did not answer to, there would be as many clusters.
  return wait(
    `waiting for ${first.name} at ${first.peerAddress}, the first in --initial-cluster, to found the cluster` +
      (options.forceNewCluster ? ` (--force-new-cluster counts there alone)` : "")
  )
}

/** What a member does with the answers of those that are in a cluster. */
export const takePart = (
  memberId: string,
  options: Options,
  answers: ReadonlyArray<{ readonly listed: Listed; readonly answer: Initialised }>
): Decision => {
  const { clusterId } = answers[0]!.answer
  const stranger = answers.find(({ answer }) => answer.clusterId !== clusterId)
  if (stranger !== undefined) {
    const [one, other] = [answers[0]!.listed.name, stranger.listed.name]
    return wait(
      `${one} belongs to cluster ${clusterId} and ${other} to ${stranger.answer.clusterId}: correct --initial-cluster`
    )
  }
  const { configuration } = newest(answers.map(({ answer }) => answer))
  const founding = answers.map(({ answer }) => answer.founding).find((each) =>
    Option.isSome(each) && Configuration.find(each.value, memberId) !== undefined
  )
  const isKnown = configuration.members.length > 0
  const isIn = Configuration.find(configuration, memberId) !== undefined
  if (founding !== undefined && (isIn || !isKnown)) return { _tag: "Adopt", clusterId, founding, configuration }
  if (isIn) return { _tag: "Adopt", clusterId, founding: Option.none(), configuration }
  if (founding !== undefined) {
    const command = joinCommand(options)
    return wait(
      `this member was removed from cluster ${clusterId} before it took part: remove its data directory, and then ${command}`
    )
  }
  if (!isKnown) return wait(`cluster ${clusterId} is starting`)
  if (configuration.members.some((member) => member.name === options.name)) {
    return { _tag: "Rejoin", clusterId, via: answers.map(({ listed }) => listed.peerAddress), configuration }
  }
  return wait(unknownToCluster(options))
}

/** Whose picture of the cluster is the most recent; of at least one. */
export const newest = (answers: ReadonlyArray<Initialised>): Initialised =>
  answers.reduce((left, right) => isNewer(right, left) ? right : left)

const isNewer = (left: Initialised, right: Initialised): boolean =>
  left.commitIndex !== right.commitIndex ? left.commitIndex > right.commitIndex : left.isLeader && !right.isLeader

const found = (memberId: string, options: Options, round: ReadonlyArray<Heard>): Decision => {
  const own: Array<Configuration.Member> = []
  const pending: Array<string> = []
  const seen = new Map([[memberId, options.name]])
  for (const listed of options.initialCluster) {
    if (listed.name === options.name) {
      own.push(entry(memberId, options.name, options.peerAddress, options.clientAddress, isWitness(options)))
      continue
    }
    const heard = round.find((each) => each.listed.name === listed.name)
    const answer = heard === undefined ? undefined : Option.getOrUndefined(heard.answer)
    if (answer === undefined || answer._tag !== "Uninitialised") {
      if (options.forceNewCluster) {
        pending.push(listed.name)
        continue
      }
      return wait(
        answer === undefined || answer._tag !== "Refused"
          ? `waiting for ${listed.name} at ${listed.peerAddress} to answer: every listed member must, before the cluster is founded`
          : `${listed.name} at ${listed.peerAddress} refuses: ${answer.message}`
      )
    }
    const fault = disagreement(options, listed, answer, seen)
    if (fault !== undefined) return wait(fault)
    seen.set(answer.memberId, listed.name)
    own.push(entry(answer.memberId, listed.name, listed.peerAddress, answer.clientAddress, answer.witness))
  }
  if (own.every((member) => member.witness)) {
    return wait(
      "every member that would found the cluster is a witness, and none would hold data: start at least one without --witness"
    )
  }
  return {
    _tag: "Found",
    configuration: { ...Configuration.empty, members: own, voters: own.map((member) => member.id) },
    pending
  }
}

const disagreement = (
  options: Options,
  listed: Listed,
  answer: Uninitialised,
  seen: ReadonlyMap<string, string>
): string | undefined => {
  if (answer.name !== listed.name) {
    return `${listed.peerAddress} is listed as ${listed.name} but answers as ${answer.name}: correct --initial-cluster`
  }
  const twin = seen.get(answer.memberId)
  if (twin !== undefined) {
    return `${twin} and ${listed.name} have the same member id ${answer.memberId}: ` +
      "one data directory is a copy of the other; empty it"
  }
  const ours = listText(options.initialCluster)
  const theirs = answer.initialCluster
  if (ours[0] !== theirs[0] || [...ours].sort().join() !== [...theirs].sort().join()) {
    return `${listed.name} was started with another --initial-cluster (${theirs.join(",")}): give all members the same`
  }
  return undefined
}

const entry = (
  id: string,
  name: string,
  peerAddress: string,
  clientAddress: string,
  witness: boolean
): Configuration.Member => ({
  id,
  name,
  peerAddress,
  clientAddress,
  autoPromote: true,
  witness,
  priority: 0
})

const joinCommand = ({ name, peerAddress }: Options): string => `run: dkvctl member-join ${name} ${peerAddress}`

const unknownToCluster = (options: Options): string =>
  `${options.name} waits to be let into the cluster; on any member ${joinCommand(options)}`
