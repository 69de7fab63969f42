/** Which members are left together at the end of a run. */
import { Configuration } from "@dkv/raft"
import { assert, describe, it } from "vitest"
import * as Core from "../src/simulator/Core.ts"
import { Prng } from "../src/simulator/Prng.ts"

const idOf = (number: number) => number.toString(16).padStart(16, "0")

const configurationOf = (voters: ReadonlyArray<string>, learners: ReadonlyArray<string>) => ({
  ...Configuration.empty,
  voters,
  members: [...voters, ...learners].map((id) => ({
    id,
    name: id,
    peerAddress: `${id}:2380`,
    clientAddress: "",
    autoPromote: true,
    witness: false,
    priority: 0
  }))
})

const isMajority = (core: ReadonlyArray<string>, voters: ReadonlyArray<string>) =>
  voters.length === 0 || voters.filter((id) => core.includes(id)).length > voters.length / 2

describe("the core", () => {
  it("stays a majority whatever comes of the changes on their way: a learner outside was promoted (seed 6132)", () => {
    const outside = { learners: 0, voters: 0 }
    for (let seed = 1; seed <= 500; seed++) {
      const prng = new Prng(seed)
      const ids = Array.from({ length: 7 }, (_, at) => idOf(at + 1))
      const voters = ids.slice(0, 1 + prng.below(5))
      const learners = ids.slice(voters.length, voters.length + prng.below(3))
      const leaving = voters.filter(() => prng.chance(0.2))
      const configuration = configurationOf(voters, learners)
      const available = [...voters, ...learners]
      const core = Core.choose(prng, available, Core.successors(configuration, leaving), undefined)
      for (let choice = 0; choice < 2 ** available.length; choice++) {
        const moves = available.filter((_, at) => choice & 1 << at)
        const next = available.filter((id) =>
          voters.includes(id) ? !(leaving.includes(id) && moves.includes(id)) : moves.includes(id)
        )
        assert.isTrue(isMajority(core, next), `seed ${seed}: ${core.join()} of ${next.join()}`)
      }
      if (learners.some((id) => !core.includes(id))) outside.learners++
      if (voters.some((id) => !core.includes(id))) outside.voters++
    }
    assert.isAbove(outside.learners, 20, "learners need not be in it")
    assert.isAbove(outside.voters, 100, "it is no larger than it must be")
  })
})
