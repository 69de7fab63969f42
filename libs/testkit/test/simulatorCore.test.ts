/** Which members are left together at the end of a run. */
import { Configuration } from "@dkv/raft"
import { assert, describe, it } from "vitest"
import * as Core from "../src/simulator/Core.ts"
import { Prng } from "../src/simulator/Prng.ts"

const idOf = (number: number) => number.toString(16).padStart(16, "0")

const configurationOf = (
  voters: ReadonlyArray<string>,
  outgoing: ReadonlyArray<string>,
  ids: ReadonlyArray<string>,
  witnesses: ReadonlyArray<string>
): Configuration.Configuration => ({
  ...Configuration.empty,
  voters,
  outgoing,
  members: ids.map((id) => ({
    id,
    name: id,
    peerAddress: `${id}:2380`,
    clientAddress: "",
    autoPromote: true,
    witness: witnesses.includes(id),
    priority: 0
  }))
})

const isMajority = (core: ReadonlyArray<string>, voters: ReadonlyArray<string>) =>
  voters.length === 0 || voters.filter((id) => core.includes(id)).length > voters.length / 2

describe("the core", () => {
  it("holds a majority of both halves, with data in each, and as a rule nobody else", () => {
    const seen = { outside: 0, learners: 0, witnesses: 0 }
    for (let seed = 1; seed <= 500; seed++) {
      const prng = new Prng(seed)
      const ids = Array.from({ length: 7 }, (_, at) => idOf(at + 1))
      const voters = ids.slice(0, 1 + prng.below(5))
      const outgoing = prng.chance(0.5) ? ids.slice(prng.below(3), 3 + prng.below(3)) : []
      const witnesses = voters.slice(1).filter(() => prng.chance(0.2))
      // somebody with data is in each half
      const kept = outgoing.every((id) => witnesses.includes(id)) ? [] : witnesses
      const configuration = configurationOf(voters, outgoing, ids, kept)
      const needed = prng.chance(0.5) ? prng.pick(voters) : undefined
      const core = Core.choose(prng, ids, configuration, needed)
      const about = `seed ${seed}: ${core.join()} of ${voters.join()} from ${outgoing.join()}`
      assert.isTrue(isMajority(core, voters) && isMajority(core, outgoing), about)
      assert.isTrue(core.some((id) => voters.includes(id) && !kept.includes(id)), about)
      assert.isTrue(needed === undefined || core.includes(needed), about)
      if (voters.some((id) => !core.includes(id))) seen.outside++
      if (ids.slice(5).some((id) => !core.includes(id))) seen.learners++
      if (kept.some((id) => core.includes(id))) seen.witnesses++
    }
    assert.isAbove(seen.outside, 100, "it is no larger than it must be")
    assert.isAbove(seen.learners, 100, "learners need not be in it")
    assert.isAbove(seen.witnesses, 20)
  })

  it("is not enough without data in a half of a joint configuration", () => {
    const ids = [1, 2, 3, 4].map(idOf)
    const [one, two, three, four] = ids as [string, string, string, string]
    const configuration = configurationOf([one, two, three], [two, three, four], ids, [two, three])
    assert.isFalse(Core.isEnough(configuration, new Set([one, two, three])))
    assert.isTrue(Core.isEnough(configuration, new Set([one, two, three, four])))
  })
})
