/**
 * Majorities, of one set of voters or of two during a joint change. Every decision that needs a quorum (election, commit, read
 * confirmation, check-quorum) asks here, so that none can forget the second half.
 *
 * Witnesses count like any voter, but hold no data, so this is also where it is said how many voters hold what a quorum has (`copies`).
 *
 * Source: Raft paper §6; etcd-raft `quorum/`.
 */
import type { Configuration } from "./Configuration.ts"
import { isWitness } from "./Configuration.ts"
import type { MemberId } from "./Entry.ts"

export type Outcome = "won" | "lost" | "pending"

/** Size of the smallest majority of `count` voters. */
export const majority = (count: number): number => (count >> 1) + 1

const scratch: Array<number> = []

/** Puts `value` in its place among the first `count` of `scratch`, which ascend. */
const insert = (value: number, count: number): void => {
  let at = count
  for (; at > 0 && scratch[at - 1]! > value; at--) scratch[at] = scratch[at - 1]!
  scratch[at] = value
}

const majorityValue = (voters: ReadonlyArray<MemberId>, valueOf: (id: MemberId) => number): number => {
  if (voters.length === 0) return Number.MAX_SAFE_INTEGER
  let count = 0
  for (const id of voters) insert(valueOf(id), count++)
  return scratch[count - majority(count)]!
}

/** The highest value that a quorum has reached, witnesses and all. 0 when nobody may vote. */
export const reachedValue = (configuration: Configuration, valueOf: (id: MemberId) => number): number =>
  configuration.voters.length === 0
    ? 0
    : Math.min(majorityValue(configuration.voters, valueOf), majorityValue(configuration.outgoing, valueOf))

const majorityOutcome = (
  voters: ReadonlyArray<MemberId>,
  answerOf: (id: MemberId) => boolean | undefined
): Outcome => {
  let yes = 0
  let no = 0
  for (const id of voters) {
    const answer = answerOf(id)
    if (answer === true) yes++
    else if (answer === false) no++
  }
  const needed = majority(voters.length)
  return yes >= needed ? "won" : voters.length - no < needed ? "lost" : "pending"
}

/** The state of a vote in which `answerOf` tells each voter's answer so far. Lost when nobody may vote. */
export const voteOutcome = (
  configuration: Configuration,
  answerOf: (id: MemberId) => boolean | undefined
): Outcome => {
  if (configuration.voters.length === 0) return "lost"
  const incoming = majorityOutcome(configuration.voters, answerOf)
  if (configuration.outgoing.length === 0) return incoming
  const outgoing = majorityOutcome(configuration.outgoing, answerOf)
  if (incoming === "lost" || outgoing === "lost") return "lost"
  return incoming === "won" && outgoing === "won" ? "won" : "pending"
}

/** Whether the members for which `holds` is true form a quorum. */
export const isQuorum = (configuration: Configuration, holds: (id: MemberId) => boolean): boolean =>
  voteOutcome(configuration, holds) === "won"

/**
 * How many of `voters` must hold an entry's data before a witness is told of the entry: as many full voters as the majority with the most witnesses has, and at
 * least one. Then no quorum ever consists of witnesses that acknowledge what nobody holds, and what is on a witness is on so many others too.
 */
const fullNeeded = (configuration: Configuration, voters: ReadonlyArray<MemberId>): number => {
  let needed = majority(voters.length)
  for (const id of voters) if (isWitness(configuration, id)) needed--
  return Math.max(needed, 1)
}

const copiedIn = (
  configuration: Configuration,
  voters: ReadonlyArray<MemberId>,
  valueOf: (id: MemberId) => number
): number => {
  if (voters.length === 0) return Number.MAX_SAFE_INTEGER
  let count = 0
  for (const id of voters) if (!isWitness(configuration, id)) insert(valueOf(id), count++)
  const needed = fullNeeded(configuration, voters)
  return count < needed ? 0 : scratch[count - needed]!
}

/** The highest value that enough full voters have reached for witnesses to be told of it; both halves count in a joint change. */
export const copiedValue = (configuration: Configuration, valueOf: (id: MemberId) => number): number =>
  configuration.voters.length === 0
    ? 0
    : Math.min(
      copiedIn(configuration, configuration.voters, valueOf),
      copiedIn(configuration, configuration.outgoing, valueOf)
    )

/**
 * The commit index, when `valueOf` is a match index: what a quorum has reached, and enough full voters of each half with it. Witnesses may have been told of an entry by
 * a configuration that promised fewer copies.
 */
export const committedValue = (configuration: Configuration, valueOf: (id: MemberId) => number): number => {
  const reached = reachedValue(configuration, valueOf)
  return configuration.members.some(({ witness }) => witness)
    ? Math.min(reached, copiedValue(configuration, valueOf))
    : reached
}

/**
 * How many full voters hold what is committed, at least: the copies of the data that an acknowledgement guarantees. 0 when nobody may vote.
 */
export const copies = (configuration: Configuration): number => {
  const { outgoing, voters } = configuration
  if (voters.length === 0) return 0
  const incoming = fullNeeded(configuration, voters)
  if (outgoing.length === 0) return incoming
  const leaving = fullNeeded(configuration, outgoing)
  const inBoth = voters.filter((id) => outgoing.includes(id) && !isWitness(configuration, id)).length
  return Math.max(incoming, leaving, incoming + leaving - inBoth)
}
