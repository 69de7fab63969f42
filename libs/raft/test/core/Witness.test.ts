/** Members that vote and hold no data: dissertation §11.7.2; etcd #20696; tikv/rfcs #31. */
import { assert, describe, it } from "vitest"
import { configurationOf, idOf, memberOf, witnessOf } from "../support/Cluster.ts"
import { append, join, leave, promote, Script } from "../support/Script.ts"

/** Two that hold data, and member 3. */
const three = () => new Script({ voters: [1, 2, 3], spares: [4, 5], witnesses: [3, 5] })

const voters = (script: Script, number: number) =>
  script.core(number).configuration.voters.map((id) => Number.parseInt(id, 16))

describe("a witness", () => {
  it("never stands for election, however long it hears nobody", () => {
    const script = three()
    assert.strictEqual(script.core(3).role, "Witness")
    script.isolated.add(1)
    script.isolated.add(2)
    script.pass(20_000)
    assert.deepStrictEqual([script.core(3).role, script.core(3).term], ["Witness", 1])
    script.crash(3)
    script.pass(20_000)
    assert.deepStrictEqual([script.core(3).role, script.core(3).term], ["Witness", 1])
  })

  it("does not stand when the leader asks it to", () => {
    const script = three()
    script.elect(1)
    script.send(1, 3, { _tag: "TimeoutNow", term: 2 })
    assert.deepStrictEqual([script.core(3).role, script.core(3).term], ["Witness", 2])
  })

  it("votes, so that one member that holds data is elected with it", () => {
    const script = three()
    script.isolated.add(2)
    script.elect(1)
    assert.strictEqual(script.core(3).vote, idOf(1))
    assert.strictEqual(script.core(3).role, "Witness")
  })

  it("counts for commit: writes go on while the other member that holds data is down", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(2)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 3)
    script.isolated.add(3)
    script.propose(1, "b")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 3)
  })

  it("counts in both halves of a joint change", () => {
    const commits = (...silent: ReadonlyArray<number>) => {
      const script = new Script({ voters: [1, 2, 3], outgoing: [1, 4, 5], witnesses: [3, 5] })
      script.electSilently(1)
      for (const number of silent) script.isolated.add(number)
      script.pass(800)
      return script.core(1).commitIndex > 1
    }
    assert.isTrue(commits(2, 4))
    assert.isFalse(commits(2, 4, 5))
    assert.isFalse(commits(2, 3, 4))
  })

  it("gives its vote to nobody who lacks what it acknowledged", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(2)
    script.propose(1, "a")
    script.run()
    script.isolated.clear()
    script.isolated.add(1)
    script.pass(10_000)
    assert.notStrictEqual(script.core(2).role, "Leader", "entry a is committed, and only member 1 has its data")
    script.isolated.clear()
    script.pass(10_000)
    assert.strictEqual(script.core(1).role, "Leader")
    assert.include(script.node(2).trace, "a@2")
  })

  it("passes proposals and changes on to the leader", () => {
    const script = three()
    script.elect(1)
    script.run()
    assert.strictEqual(script.core(3).leader, idOf(1))
    script.step(3, { _tag: "Propose", group: 7, count: 1, bytes: 10 })
    assert.deepStrictEqual(script.core(3).out.forwards, [7])
    assert.strictEqual(script.outcome(3, script.change(3, leave(2))), "NoLeader")
  })

  it("stays one for life: a configuration that says otherwise stops the member", () => {
    const configured = (configuration: ReturnType<typeof configurationOf>) => {
      const message = append(2, 1, 1, ["C@2"])
      if (message._tag !== "Append") throw new Error("no append")
      return { ...message, entries: message.entries.map((entry) => ({ ...entry, kind: 2 as const, configuration })) }
    }
    const full = configurationOf(1, 2, 3)
    const members = full.members.map(({ id }) =>
      id === idOf(2) ? witnessOf(2) : id === idOf(3) ? witnessOf(3) : memberOf(1)
    )
    assert.throws(() => three().send(1, 3, configured(full)), /has dkv-3 as a full member/)
    assert.throws(() => three().send(1, 2, configured({ ...full, members })), /has dkv-2 as a witness/)
  })
})

describe("what a witness is sent", () => {
  it("no entry that nobody's disk holds with its data: the leader's own sync comes first", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(2)
    script.stalled.add(1)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(3).log.lastIndex, 2)
    script.stalled.clear()
    script.run()
    assert.strictEqual(script.core(3).log.lastIndex, 3)
    assert.strictEqual(script.core(1).commitIndex, 3)
  })

  it("or another member's: one that holds data is as good as the leader", () => {
    const script = three()
    script.elect(1)
    script.stalled.add(1)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(2).log.lastIndex, 3)
    assert.strictEqual(script.core(3).log.lastIndex, 3)
    assert.strictEqual(script.core(1).commitIndex, 3, "two disks of three")
  })

  it("no entry before as many hold it as every majority has of them", () => {
    const script = new Script({ voters: [1, 2, 3, 4], witnesses: [4] })
    script.elect(1)
    script.isolated.add(2)
    script.isolated.add(3)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(4).log.lastIndex, 2)
    script.isolated.delete(2)
    script.pass(500)
    assert.strictEqual(script.core(4).log.lastIndex, 3)
    assert.strictEqual(script.core(1).commitIndex, 3)
  })

  it("so witnesses alone commit nothing, even where they are a majority", () => {
    const script = new Script({ voters: [1, 2, 3], witnesses: [2, 3] })
    script.elect(1)
    script.stalled.add(1)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 2)
    script.drop()
    script.stalled.clear()
    script.crash(1)
    script.pass(5000)
    assert.strictEqual(
      script.core(1).role,
      "Leader",
      "what was lost with member 1's unsynced log is on no witness either"
    )
    assert.notInclude(script.node(2).trace, "a")
  })

  it("nor do they in one half of a joint change that came behind what they were told", () => {
    // simulator, seed 1692: a member that holds data leaves, and the other one lacks the last entries
    const script = new Script({ voters: [1, 2, 3, 4], witnesses: [3, 4] })
    script.elect(1)
    script.isolated.add(2)
    script.stalled.add(3).add(4)
    const before = script.core(1).commitIndex
    script.propose(1, "a")
    script.run()
    const left = script.change(1, leave(1))
    script.run()
    script.stalled.clear()
    script.run()
    assert.strictEqual(script.core(1).progress.get(idOf(3))!.match, before + 1)
    assert.strictEqual(script.core(1).commitIndex, before)
    script.isolated.clear()
    script.pass(1000)
    assert.strictEqual(script.outcome(1, left), "done")
  })

  it("and a probe says where its log ends, even while there is nothing to send", () => {
    const script = new Script({ voters: [1, 2, 3, 4], witnesses: [4] })
    script.elect(1)
    script.isolated.add(2)
    script.isolated.add(3)
    script.crash(1)
    script.isolated.delete(2)
    script.pass(5000)
    const leader = [1, 2].find((number) => script.core(number).role === "Leader")!
    assert.strictEqual(script.core(4).commitIndex, script.core(leader).commitIndex)
  })
})

describe("leadership and witnesses", () => {
  it("a transfer to a witness is refused", () => {
    const script = three()
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.transfer(1, 3)), "NotVoter")
  })

  it("without a wish a member that holds data is chosen, even if the witness is further", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(2)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).progress.get(idOf(3))!.match, 3)
    script.isolated.clear()
    script.transfer(1, 0)
    script.pass(900)
    assert.strictEqual(script.core(2).role, "Leader")
  })

  it("a leader with witnesses only beside it has nobody to hand over to", () => {
    const script = new Script({ voters: [1, 2, 3], witnesses: [2, 3] })
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.transfer(1, 0)), "NotVoter")
  })
})

describe("membership of witnesses", () => {
  it("a witness joins as a learner, and is promoted like one: by itself, or by hand", () => {
    for (const autoPromote of [true, false]) {
      const script = three()
      script.elect(1)
      const joined = script.change(1, join(5, { witness: true, autoPromote }))
      script.pass(3000)
      assert.strictEqual(script.outcome(1, joined), "done")
      assert.deepStrictEqual(voters(script, 1), autoPromote ? [1, 2, 3, 5] : [1, 2, 3])
      const promoted = script.change(1, promote(5))
      script.run()
      assert.strictEqual(script.outcome(1, promoted), "done")
      assert.deepStrictEqual(voters(script, 5), [1, 2, 3, 5])
      assert.strictEqual(script.core(5).role, "Witness")
    }
  })

  it("the last voter that holds data cannot leave, forced or not", () => {
    const script = new Script({ voters: [1, 2, 3], witnesses: [2, 3] })
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.change(1, leave(1))), "LastVoter")
    assert.strictEqual(script.outcome(1, script.change(1, leave(1, true))), "LastVoter")
    const id = script.change(1, leave(2))
    script.run()
    assert.strictEqual(script.outcome(1, id), "done")
  })

  it("a witness cannot take the place of the last voter that holds data", () => {
    const script = new Script({ voters: [1, 2, 3], spares: [5], witnesses: [2, 3, 5] })
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.change(1, join(5, { witness: true, replaces: idOf(1) }))), "LastVoter")
    const later = new Script({
      voters: [1, 2, 3],
      learners: [{ ...witnessOf(4, true), replaces: idOf(1) }, witnessOf(5, true)],
      witnesses: [3, 4, 5]
    })
    later.isolated.add(4)
    later.isolated.add(5)
    later.elect(1)
    later.change(1, leave(2))
    later.run()
    later.isolated.clear()
    later.pass(3000)
    assert.deepStrictEqual(voters(later, 1), [1, 3, 5], "member 4 is not promoted by itself, and holds up nobody")
    assert.strictEqual(later.outcome(1, later.change(1, promote(4))), "LastVoter")
    assert.strictEqual(later.outcome(1, later.change(1, promote(4, true))), "LastVoter")
  })

  it("a member that is there does not join again as the other kind", () => {
    const script = three()
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.change(1, join(3))), "Conflict")
    assert.strictEqual(script.outcome(1, script.change(1, join(2, { witness: true }))), "Conflict")
    assert.strictEqual(script.outcome(1, script.change(1, join(3, { witness: true }))), "done")
  })

  it("a change after which nobody who answers would hold data is refused, though witnesses make a quorum", () => {
    const script = new Script({ voters: [1, 2, 3, 4], witnesses: [3, 4] })
    script.elect(1)
    script.isolated.add(2)
    script.pass(1500)
    assert.strictEqual(script.core(1).role, "Leader")
    assert.strictEqual(script.outcome(1, script.change(1, leave(1))), "NoQuorum")
    script.isolated.clear()
    script.pass(500)
    const id = script.change(1, leave(1))
    script.run()
    assert.strictEqual(script.outcome(1, id), "done")
  })
})
