/**
 * Who takes part, and in which way. A configuration is a value in the log: it takes effect when it is appended and is undone when
 * it is truncated (Raft paper §6; dissertation §4.3).
 */
import * as ClusterSettings from "./ClusterSettings.ts"
import type { MemberId } from "./Entry.ts"

/** Where and how a member is reached. Addresses are names, resolved at each dial. */
export interface Member {
  readonly id: MemberId
  readonly name: string
  /** `host:port` for the other members. */
  readonly peerAddress: string
  /** `host:port` for clients; empty while not known. */
  readonly clientAddress: string
  /** Whether the leader promotes this learner by itself once it has caught up. */
  readonly autoPromote: boolean
  /** The member keeps no data: it votes and acknowledges only. For life: nothing makes a full member of it. */
  readonly witness: boolean
  /** Preference in elections; 0 is normal. A voter gives those of a higher priority one election timeout's start. */
  readonly priority: number
  /** Whose place this learner takes when it is promoted: the member that lost its disk leaves in the same joint change. */
  readonly replaces?: MemberId
}

/**
 * `outgoing` is empty except during a joint change, when elections, commits and read confirmations need
 * a majority of `voters` and a majority of `outgoing`. Members in neither list are learners.
 */
export interface Configuration {
  readonly members: ReadonlyArray<Member>
  readonly voters: ReadonlyArray<MemberId>
  readonly outgoing: ReadonlyArray<MemberId>
  readonly settings: ClusterSettings.Settings
}

/** Of a configuration, learners included; a further one cannot join. An entry with a configuration is whole in one message, whatever its size. */
export const membersMax = 128

export const empty: Configuration = { members: [], voters: [], outgoing: [], settings: ClusterSettings.defaults }

export const isJoint = (configuration: Configuration): boolean => configuration.outgoing.length > 0

export const isVoter = (configuration: Configuration, id: MemberId): boolean =>
  configuration.voters.includes(id) || configuration.outgoing.includes(id)

export const isLearner = (configuration: Configuration, id: MemberId): boolean =>
  !isVoter(configuration, id) && configuration.members.some((member) => member.id === id)

export const isWitness = (configuration: Configuration, id: MemberId): boolean =>
  find(configuration, id)?.witness === true

/** Whether somebody with a vote holds data. Where nobody does, nobody can lead. */
export const hasFullVoter = (configuration: Configuration): boolean =>
  configuration.voters.some((id) => !isWitness(configuration, id))

export const find = (configuration: Configuration, id: MemberId): Member | undefined =>
  configuration.members.find((member) => member.id === id)

/** Whether elections prefer another voter to voter `id`. A witness has no say in it: it never leads. */
export const prefersAnother = (configuration: Configuration, id: MemberId): boolean => {
  const own = find(configuration, id)
  return own !== undefined && isVoter(configuration, id) &&
    configuration.members.some((other) =>
      other.priority > own.priority && !other.witness && configuration.voters.includes(other.id)
    )
}

/** All members with a vote, each once. */
export const voterIds = (configuration: Configuration): ReadonlyArray<MemberId> =>
  configuration.outgoing.length === 0
    ? configuration.voters
    : [...new Set([...configuration.voters, ...configuration.outgoing])]
