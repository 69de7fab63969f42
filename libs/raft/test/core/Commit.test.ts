/** When an entry counts as committed, and who learns of it. Raft paper §5.3, §5.4.2. */
import { assert, describe, it } from "vitest"
import { idOf, memberOf } from "../support/Cluster.ts"
import { append, Script } from "../support/Script.ts"

const three = (settings = {}) => new Script({ voters: [1, 2, 3], settings })

const accepted = (term: number, index: number) =>
  ({ _tag: "AppendReply", term, success: true, index, hintIndex: 0, hintTerm: 0 }) as const

describe("commit", () => {
  it("an entry on a majority is committed, and the others learn of it", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a", "b")
    script.run()
    for (const number of [1, 2, 3]) {
      assert.strictEqual(script.node(number).trace, "C@1 N@2 a@2 b@2")
      assert.strictEqual(script.core(number).commitIndex, 4)
    }
  })

  it("a leader counts its own entry only after its own sync", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    script.stalled.add(1)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).progress.get(idOf(2))!.match, 3, "the other one has it")
    assert.strictEqual(script.core(1).commitIndex, 2)
    script.stalled.clear()
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 3)
  })

  it("a leader's own disk write runs beside replication, and a majority of others commits without it", () => {
    const script = three()
    script.elect(1)
    script.stalled.add(1)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 3)
    assert.strictEqual(script.core(1).applicableIndex, 2, "but it applies nothing that it does not have durably")
  })

  it("a single member acknowledges nothing before its sync", () => {
    const script = new Script({ voters: [1] })
    script.elect(1)
    script.stalled.add(1)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 2)
    script.node(1).sync(script.now)
    assert.strictEqual(script.core(1).commitIndex, 3)
  })

  it("a follower acknowledges only what is durable", () => {
    const script = three()
    script.elect(1)
    script.stalled.add(2)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).progress.get(idOf(2))!.match, 2)
    script.stalled.clear()
    script.run()
    assert.strictEqual(script.core(1).progress.get(idOf(2))!.match, 3)
  })

  it("a heartbeat is answered at once, however slow the disk", () => {
    const script = three()
    script.elect(1)
    script.stalled.add(2)
    script.propose(1, "a")
    script.run()
    script.beat(1)
    script.take("Heartbeat", { to: 3 })
    script.run()
    assert.strictEqual(script.core(1).progress.get(idOf(2))!.heardAt, script.now)
  })

  it("one acknowledgement answers all appends of a batch", () => {
    const script = three()
    script.step(
      2,
      { _tag: "Message", from: idOf(1), message: append(2, 1, 1, ["a@2"]) },
      { _tag: "Message", from: idOf(1), message: append(2, 2, 2, ["b@2"]) }
    )
    script.node(2).sync(0)
    assert.deepStrictEqual(script.take("AppendReply", { from: 2 }).map(({ index }) => index), [3])
  })

  it("entries of older terms are committed only together with one of the leader's own (figure 8)", () => {
    const script = new Script({ voters: [1, 2, 3, 4, 5] })
    script.elect(1)
    script.propose(1, "a")
    script.node(1).sync(script.now)
    script.drop()
    script.crash(1)
    script.electSilently(1)
    script.node(1).sync(script.now)
    assert.strictEqual(script.node(1).trace, "C@1 N@2 a@2 N@3")
    for (const number of [2, 3, 4]) script.send(number, 1, accepted(3, 3))
    assert.strictEqual(script.core(1).commitIndex, 0, "a@2 is on four of five members")
    for (const number of [2, 3]) script.send(number, 1, accepted(3, 4))
    assert.strictEqual(script.core(1).commitIndex, 4)
  })

  it("during a joint change an entry is committed when both halves have it", () => {
    for (const silent of [[2, 3], [4, 5]]) {
      const script = new Script({ voters: [1, 2, 3], outgoing: [1, 4, 5] })
      script.timeout(1)
      script.run(() => script.core(1).role === "Leader")
      for (const number of silent) script.isolated.add(number)
      script.run()
      assert.strictEqual(script.core(1).commitIndex, 0, `without ${silent}`)
      script.isolated.clear()
      script.pass(500)
      assert.isAbove(script.core(1).commitIndex, 0)
    }
  })

  it("a learner's copy does not count", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4), memberOf(5)] })
    script.elect(1)
    script.isolated.add(2)
    script.isolated.add(3)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).progress.get(idOf(4))!.match, 3)
    assert.strictEqual(script.core(1).commitIndex, 2)
  })

  it("a heartbeat never names a commit index that the receiver may not have", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    script.propose(1, "a")
    script.run()
    script.beat(1)
    assert.strictEqual(script.take("Heartbeat", { to: 2 })[0]!.commit, 3)
    assert.strictEqual(script.take("Heartbeat", { to: 3 })[0]!.commit, 2)
  })

  it("a follower in step learns the commit index at once, not with the next heartbeat", () => {
    const script = three()
    script.elect(1)
    const now = script.now
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.now, now)
    assert.strictEqual(script.core(2).commitIndex, 3)
  })

  it("a new commit index waits for an append to carry it, and is told by itself if none does", () => {
    const script = three()
    script.elect(1)
    const { core } = script.node(1)
    const later = { ...core.settings, commitDelayMillis: 5 }
    Object.assign(core, { settings: later })
    script.propose(1, "a")
    script.run()
    assert.strictEqual(core.commitIndex, 3)
    assert.strictEqual(script.core(2).commitIndex, 2)
    script.propose(1, "b")
    script.run()
    assert.strictEqual(script.core(2).commitIndex, 3, "the next append carried it")
    script.now = core.commitDeadline
    script.run()
    assert.strictEqual(script.core(2).commitIndex, 4)
    assert.strictEqual(core.commitDeadline, Infinity)
  })

  it("an append commits at the follower no more than it covers", () => {
    const script = three()
    script.send(3, 2, append(2, 1, 1, ["x@2", "y@2"]))
    script.send(1, 2, append(3, 1, 1, [], 3))
    assert.strictEqual(script.core(2).commitIndex, 1)
  })

  it("what is committed is never replaced: the member stops instead", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a")
    script.run()
    assert.throws(() => script.core(2).truncate(3), /entries up to 3 are committed/)
  })

  it("entries behind the commit index are not looked at again", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a")
    script.run()
    script.send(1, 2, append(2, 1, 1, ["N@2", "wrong@2"]))
    assert.strictEqual(script.node(2).trace, "C@1 N@2 a@2")
  })
})
