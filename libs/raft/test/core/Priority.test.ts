/** Preference in elections: it makes a difference while the preferred are there, and none to safety. */
import { assert, describe, it } from "vitest"
import { idOf, memberOf } from "../support/Cluster.ts"
import { Script } from "../support/Script.ts"

const five = [1, 2, 3, 4, 5]

const leaderOf = (script: Script, among: ReadonlyArray<number>): number | undefined =>
  among.find((number) => script.core(number).role === "Leader")

describe("priority in elections", () => {
  it("a voter that knows of a voter of higher priority waits one more election timeout before it stands", () => {
    const script = new Script({ voters: [1, 2, 3], priorities: { 1: -1, 3: 5 } })
    assert.deepStrictEqual([1, 2, 3].map((number) => script.core(number).electionDeadline), [2500, 2500, 1500])
    script.elect(3)
    assert.deepStrictEqual([1, 2].map((number) => script.core(number).electionDeadline - script.now), [2500, 2500])
  })

  it("equal priorities change nothing, whatever they are", () => {
    for (const priority of [-3, 0, 7]) {
      const script = new Script({ voters: [1, 2, 3], priorities: { 1: priority, 2: priority, 3: priority } })
      assert.deepStrictEqual([1, 2, 3].map((number) => script.core(number).electionDeadline), [1500, 1500, 1500])
    }
  })

  it("with everyone alive the voter of the highest priority is elected, at first and when the leader has died", () => {
    for (const preferred of five) {
      for (const second of five) {
        if (second === preferred) continue
        const script = new Script({ voters: five, priorities: { [preferred]: 9, [second]: 4 } })
        script.pass(2500)
        assert.strictEqual(leaderOf(script, five), preferred)
        script.isolated.add(preferred)
        script.pass(6000)
        assert.isDefined(leaderOf(script, five.filter((number) => number !== preferred)))
      }
    }
  })

  it("if the preferred voter is dead, the others elect one of them within six election timeouts", () => {
    for (const preferred of five) {
      const script = new Script({ voters: five, priorities: { [preferred]: 9 } })
      script.isolated.add(preferred)
      script.pass(6000)
      assert.isDefined(leaderOf(script, five.filter((number) => number !== preferred)))
    }
  })

  it("another priority counts from the next word of the leader on", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    const { clientAddress, peerAddress } = memberOf(3)
    script.change(1, { _tag: "Update", id: idOf(3), peerAddress, clientAddress, priority: 1 })
    script.pass(300)
    script.beat(1)
    script.run()
    assert.isAbove(script.core(2).electionDeadline, script.now + 2000)
    assert.isAtMost(script.core(3).electionDeadline, script.now + 2000)
    script.isolated.add(1)
    script.pass(3000)
    assert.strictEqual(leaderOf(script, [2, 3]), 3)
  })

  it("a member whose link to the leader broke waits one more timeout too", () => {
    const script = new Script({ voters: [1, 2, 3], priorities: { 3: 1 } })
    script.elect(1)
    for (const number of [2, 3]) script.step(number, { _tag: "Unreachable", peer: idOf(1) })
    assert.strictEqual(script.core(2).electionDeadline, script.core(3).electionDeadline + 1000)
  })

  it("nobody waits for a member that cannot lead: a learner, a witness, a voter on its way out", () => {
    const learner = { ...memberOf(4), priority: 9 }
    const witness = { ...memberOf(5), priority: 9, witness: true }
    const script = new Script({ voters: [1, 2, 3], outgoing: [6], learners: [learner, witness], priorities: { 6: 9 } })
    assert.strictEqual(script.core(1).electionDeadline, 1500)
    const { configuration } = script.core(1)
    const promoted = { ...configuration, voters: [...configuration.voters, idOf(5)] }
    script.step(1, { _tag: "SnapshotInstalled", index: 9, term: 1, configuration: promoted, configurationIndex: 8 })
    script.send(2, 1, { _tag: "Heartbeat", term: 1, commit: 0, round: 1 })
    assert.strictEqual(script.core(1).electionDeadline, 1500)
  })

  it("a learner stops believing in a silent leader as soon as ever", () => {
    const script = new Script({ voters: [1, 2], learners: [memberOf(3)], priorities: { 1: 1 } })
    assert.strictEqual(script.core(3).electionDeadline, 1500)
  })
})
