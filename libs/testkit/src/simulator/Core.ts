/** Which members have to be enough: a random set that holds a majority of every configuration that anybody goes by. */
import type { Configuration, MemberId } from "@dkv/raft"
import type { Prng } from "./Prng.ts"

export const choose = (
  prng: Prng,
  available: ReadonlyArray<MemberId>,
  configurations: ReadonlyArray<Configuration.Configuration>
): ReadonlyArray<MemberId> => {
  const halves = configurations.flatMap(({ outgoing, voters }) => [voters, outgoing]).filter((half) => half.length > 0)
  const isEnough = (core: ReadonlySet<MemberId>) =>
    halves.every((half) => half.filter((id) => core.has(id)).length > half.length / 2)
  const core = new Set(available)
  for (const id of prng.shuffled(available)) {
    core.delete(id)
    if (!isEnough(core)) core.add(id)
  }
  // now and then more than is needed
  for (const id of available) if (prng.chance(0.3)) core.add(id)
  return [...core]
}
