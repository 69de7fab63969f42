/**
 * Rules 11 and 12 of those that are easily missed, in the form that they have where a configuration is in force from its append on: one that is not
 * committed counts all the same, in an election too (Raft paper §6; dissertation §4.1).
 */
import { assert, describe, it } from "vitest"
import * as Configuration from "../../src/core/Configuration.ts"
import { idOf, memberOf } from "../support/Cluster.ts"
import { append, promote, Script } from "../support/Script.ts"

const voters = (script: Script, number: number) =>
  script.core(number).configuration.voters.map((id) => Number.parseInt(id, 16))

/** The first step of promoting 4 is in the logs of 1, which led and is gone, and of 2, and is not committed. */
const promotionBegun = () => {
  const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4)] })
  script.elect(1)
  script.pass(300)
  script.isolated.add(3).add(4)
  script.change(1, promote(4, true))
  script.node(1).sync(script.now)
  script.run(() => Configuration.isJoint(script.core(2).configuration))
  script.node(2).sync(script.now)
  script.drop()
  script.isolated.clear()
  script.isolated.add(1)
  assert.isBelow(script.core(2).commitIndex, script.core(2).configurationIndex)
  return script
}

describe("standing for election with a configuration that is not committed", () => {
  it("a member with an uncommitted configuration may stand for election, and asks those whom that configuration names", () => {
    const script = promotionBegun()
    script.timeout(2)
    const asked = script.wire.filter(({ message }) => message._tag === "VoteRequest").map(({ to }) => to)
    assert.deepStrictEqual(asked.sort(), [1, 3, 4].map(idOf), "the voter to be is among them")
    // Of the former voters 2 and 3 are enough; of the coming ones it takes a third.
    script.cuts.add("2>4")
    script.run()
    assert.strictEqual(script.core(2).role, "PreCandidate")
    script.cuts.clear()
    script.timeout(2)
    script.run()
    assert.strictEqual(script.core(2).role, "Leader")
    assert.deepStrictEqual([voters(script, 2), script.core(2).configuration.outgoing], [[1, 2, 3, 4], []])
  })

  it("a member whose configuration was undone stands under the former one again", () => {
    const script = promotionBegun()
    // Another leader, who never heard of it, has something else at its place.
    script.send(3, 2, append(9, 2, 2, ["x@9"]))
    script.run()
    script.drop()
    script.timeout(2)
    const asked = script.wire.filter(({ message }) => message._tag === "VoteRequest").map(({ to }) => to)
    assert.deepStrictEqual(asked.sort(), [1, 3].map(idOf))
    script.run()
    assert.strictEqual(script.core(2).role, "Leader")
    assert.deepStrictEqual(voters(script, 2), [1, 2, 3])
  })
})
