/**
 * Which members have to be enough: a random set that holds a majority of a configuration, of both halves of a joint one, and in each half somebody who holds data. Where
 * witnesses vote it takes a certain one (`needed`): what only that one and witnesses have is committed, and nobody else can be elected.
 */
import { Configuration } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import type { Prng } from "./Prng.ts"

/** Whether these members can elect a leader among them, and commit. */
export const isEnough = (configuration: Configuration.Configuration, core: ReadonlySet<MemberId>): boolean =>
  [configuration.voters, configuration.outgoing].every((voters) => {
    const present = voters.filter((id) => core.has(id))
    return voters.length === 0 ||
      (present.length > voters.length / 2 && present.some((id) => !Configuration.isWitness(configuration, id)))
  })

export const choose = (
  prng: Prng,
  available: ReadonlyArray<MemberId>,
  configuration: Configuration.Configuration,
  needed: MemberId | undefined
): ReadonlyArray<MemberId> => {
  const core = new Set(available)
  for (const id of prng.shuffled(available)) {
    if (id === needed) continue
    core.delete(id)
    if (!isEnough(configuration, core)) core.add(id)
  }
  // now and then more than is needed
  for (const id of available) if (prng.chance(0.3)) core.add(id)
  return [...core]
}
