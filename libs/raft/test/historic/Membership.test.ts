/** Historic bugs of membership and elections. Each test is named after the symptom that others had, with its number in the table of `@dkv/testkit`'s README. */
import { assert, describe, it } from "vitest"
import * as Configuration from "../../src/core/Configuration.ts"
import type { Change } from "../../src/core/Input.ts"
import { idOf, memberOf } from "../support/Cluster.ts"
import { leave, promote, Script } from "../support/Script.ts"

const voters = (script: Script, number: number) =>
  script.core(number).configuration.voters.map((id) => Number.parseInt(id, 16))

const leaderOf = (script: Script, ...numbers: ReadonlyArray<number>) => {
  const leaders = numbers.filter((number) => script.core(number).role === "Leader")
  return leaders.sort((one, other) => script.core(other).term - script.core(one).term)[0]
}

const onlyHear = (script: Script, ...numbers: ReadonlyArray<number>) => {
  script.drop()
  script.isolated.clear()
  for (const number of script.nodes.keys()) if (!numbers.includes(number)) script.isolated.add(number)
}

describe("historic bugs: membership", () => {
  const schedules: ReadonlyArray<readonly [string, Change, Change, ReadonlyArray<number>]> = [
    ["one adds and one adds", promote(5, true), promote(6, true), [1, 2, 3, 4, 6]],
    ["one adds and one removes", promote(5, true), leave(1, true), [2, 3, 4]],
    ["one removes and one removes", leave(2, true), leave(1, true), [2, 3, 4]]
  ]
  for (const [what, first, second, outcome] of schedules) {
    it(`#2: two leaders change the membership, ${what}, and each has a majority of its own (Ongaro, raft-dev, July 2015)`, () => {
      const script = new Script({ voters: [1, 2, 3, 4], learners: [memberOf(5), memberOf(6)] })
      script.elect(1)
      script.pass(200)
      // The first leader's change reaches nobody who could vote on it.
      onlyHear(script, 1, 5)
      script.change(1, first)
      script.run()
      assert.isAbove(script.core(1).configurationIndex, script.core(1).commitIndex)
      // The second leader has never heard of it, nor has it committed anything that would shut the first one out.
      onlyHear(script, 2, 3, 4, 6)
      script.now += 5000
      script.electSilently(2)
      assert.strictEqual(script.outcome(2, script.change(2, second)), "NotReady")
      onlyHear(script, 2, 3, 4, 6)
      script.pass(200)
      const before = script.core(2).commitIndex
      assert.isAtLeast(before, script.core(2).leaderSince)
      // Once it may begin, half of the former voters still decide nothing, whatever the new ones are.
      onlyHear(script, 2, 3, 6)
      const id = script.change(2, second)
      script.run()
      assert.strictEqual(script.core(2).commitIndex, before)
      assert.isUndefined(script.outcome(2, id))
      // And the first leader cannot come back with its own change.
      onlyHear(script, 1, 4, 5)
      script.now += 5000
      script.crash(1)
      for (let attempt = 0; attempt < 3; attempt++) {
        script.timeout(1)
        script.run()
        assert.notStrictEqual(script.core(1).role, "Leader")
      }
      script.isolated.clear()
      script.pass(10_000)
      const leader = leaderOf(script, ...outcome)!
      if (script.core(leader).configuration.voters.length === 4) script.change(leader, second)
      script.pass(3000)
      for (const number of outcome) {
        assert.deepStrictEqual(voters(script, number), outcome)
        assert.strictEqual(script.node(number).trace, script.node(leader).trace)
      }
    })
  }

  it("#9: a voter that is behind is needed for the majority, and a poll that it refuses teaches nobody its term (openraft 1796)", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4)] })
    script.elect(1)
    script.pass(500)
    // 4 is being promoted: from here on it takes 1, 3 and 4, since 2 is gone for good. 3 has seen a higher term and knows of nothing.
    script.isolated.add(2).add(3)
    script.change(1, promote(4, true))
    script.run()
    assert.deepStrictEqual(voters(script, 4), [1, 2, 3, 4])
    script.send(2, 3, { _tag: "HeartbeatReply", term: 9, round: 0 })
    script.pass(5000)
    assert.deepStrictEqual([script.core(1).role, script.core(1).term], ["PreCandidate", 2])
    script.drop()
    script.isolated.delete(3)
    script.pass(20_000)
    const leader = leaderOf(script, 1, 4)
    assert.isDefined(leader, "somebody leads")
    assert.isAbove(script.core(leader!).term, 9)
    for (const number of [1, 3, 4]) {
      assert.deepStrictEqual(voters(script, number), [1, 2, 3, 4])
      assert.isFalse(Configuration.isJoint(script.core(number).configuration))
    }
  })

  it("#10: a voter that was cut off comes back with a term that it raised alone, and deposes the leader (openraft 1770, etcd 20967)", () => {
    const script = new Script({ voters: [1, 2, 3, 4, 5] })
    script.elect(1)
    script.isolated.add(5)
    script.pass(60_000)
    assert.strictEqual(script.core(5).term, 2)
    // Then it hears everybody but the leader, and its log is as good as any.
    script.isolated.clear()
    script.cuts.add("1>5")
    script.pass(60_000)
    assert.deepStrictEqual([script.core(1).role, script.core(1).term], ["Leader", 2])
    script.cuts.clear()
    script.pass(10_000)
    assert.deepStrictEqual([script.core(1).role, script.core(1).term], ["Leader", 2])
    assert.strictEqual(script.core(5).leader, idOf(1))
  })

  it("#10: a member that was removed unawares stands for election again and again, and nobody leads for long (openraft 1770, etcd 20967)", () => {
    const script = new Script({ voters: [1, 2, 3, 4] })
    script.elect(1)
    script.isolated.add(4)
    script.change(1, leave(4))
    script.pass(2000)
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3])
    // It reaches the others and none of them reaches it, so nobody can tell it either.
    script.isolated.clear()
    for (const number of [1, 2, 3]) script.cuts.add(`${number}>4`)
    script.pass(60_000)
    assert.strictEqual(script.core(4).role, "PreCandidate")
    assert.deepStrictEqual([script.core(1).role, script.core(1).term], ["Leader", 2])
  })

  it("#34: a learner that does not know of its promotion refuses its vote, and nobody can be elected (etcd-raft campaign_learner_must_vote)", () => {
    const script = new Script({ voters: [1, 2], learners: [memberOf(3)] })
    script.elect(1)
    script.pass(500)
    script.isolated.add(3)
    script.change(1, promote(3, true))
    script.pass(300)
    assert.deepStrictEqual([voters(script, 2), voters(script, 3)], [[1, 2, 3], [1, 2]])
    assert.deepStrictEqual([script.core(2).configuration.outgoing, script.core(3).role], [[], "Learner"])
    script.isolated.clear()
    script.isolated.add(1)
    script.drop()
    script.pass(10_000)
    assert.strictEqual(script.core(2).role, "Leader")
    assert.deepStrictEqual([voters(script, 3), script.core(3).role], [[1, 2, 3], "Follower"])
  })

  it("#35: a joint configuration whose leader died is never left (openraft, fuzzer's converge phase)", () => {
    let abandoned = 0
    for (let delivered = 0; delivered < 40; delivered++) {
      const script = new Script({ voters: [1, 2, 3, 4, 5], learners: [memberOf(6)] })
      script.elect(1)
      script.pass(200)
      script.change(1, delivered % 2 === 0 ? leave(5) : promote(6, true))
      let turns = 0
      script.run(() => turns++ >= delivered)
      script.isolated.add(1)
      const joint = [2, 3, 4].filter((number) => Configuration.isJoint(script.core(number).configuration))
      if (joint.length >= 2) abandoned++
      script.pass(10_000)
      const leader = leaderOf(script, 2, 3, 4, 5)
      assert.isDefined(leader, `a leader after ${delivered} steps`)
      const { commitIndex, configuration, configurationIndex } = script.core(leader!)
      assert.deepStrictEqual(configuration.outgoing, [], `after ${delivered} steps`)
      assert.isAtLeast(commitIndex, configurationIndex)
    }
    assert.isAbove(abandoned, 2)
  })
})
