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
