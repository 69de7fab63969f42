/**
 * Which members have to be enough: a random set that holds a majority of every configuration that anybody goes by, and with it somebody who holds data. Where witnesses
 * vote that takes a certain one (`needed`): what only that one and witnesses have is committed, and nobody else can be elected.
 */
import { Configuration } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import type { Prng } from "./Prng.ts"

export const choose = (
  prng: Prng,
  available: ReadonlyArray<MemberId>,
  configurations: ReadonlyArray<Configuration.Configuration>,
  needed: MemberId | undefined
): ReadonlyArray<MemberId> => {
  const halves = configurations.flatMap((configuration) =>
    [configuration.voters, configuration.outgoing].map((voters) => ({ configuration, voters }))
  ).filter(({ voters }) => voters.length > 0)
  const isEnough = (core: ReadonlySet<MemberId>) =>
    halves.every(({ configuration, voters }) => {
      const present = voters.filter((id) => core.has(id))
      return present.length > voters.length / 2 && present.some((id) => !Configuration.isWitness(configuration, id))
    })
  const core = new Set(available)
  for (const id of prng.shuffled(available)) {
    if (id === needed) continue
    core.delete(id)
    if (!isEnough(core)) core.add(id)
  }
  // now and then more than is needed
  for (const id of available) if (prng.chance(0.3)) core.add(id)
  return [...core]
}

/**
 * What a configuration may turn into by changes that were on their way when the core was chosen: the leader may take somebody for answering who was cut off just now. Any
 * of its learners is promoted, and any of `leaving` leaves.
 */
export const successors = (
  configuration: Configuration.Configuration,
  leaving: ReadonlyArray<MemberId>
): ReadonlyArray<Configuration.Configuration> => {
  const learners = configuration.members.filter(({ id }) => !Configuration.isVoter(configuration, id))
  return subsets(learners.map(({ id }) => id)).flatMap((promoted) =>
    subsets(configuration.voters.filter((id) => leaving.includes(id))).map((left) => ({
      ...configuration,
      voters: [...configuration.voters.filter((id) => !left.includes(id)), ...promoted]
    }))
  )
}

/** The empty one first. */
const subsets = <A>([first, ...others]: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> => {
  if (first === undefined) return [[]]
  const without = subsets(others)
  return [...without, ...without.map((subset) => [first, ...subset])]
}
