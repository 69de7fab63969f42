/** Dissertation §3.10. */
import { assert, describe, it } from "vitest"
import { idOf, memberOf } from "../support/Cluster.ts"
import { amidJointChange, join, Script } from "../support/Script.ts"

const three = () => new Script({ voters: [1, 2, 3] })

describe("transfer of leadership", () => {
  it("leadership goes to the member asked for, within a round and without a timeout", () => {
    const script = three()
    script.elect(1)
    const now = script.now
    const id = script.transfer(1, 2)
    script.run()
    assert.strictEqual(script.core(2).role, "Leader")
    assert.strictEqual(script.core(1).role, "Follower")
    assert.strictEqual(script.now, now)
    assert.deepStrictEqual(script.node(1).settled, [{ id, refusal: undefined, leader: idOf(2) }])
  })

  it("the target's candidacy is not held up by members that still hear the old leader", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    script.transfer(1, 2)
    script.run()
    assert.strictEqual(script.core(2).role, "Leader", "the old leader's own vote was needed")
  })

  it("the target is brought up to date first", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a")
    script.take("Append", { to: 2 })
    script.transfer(1, 2)
    assert.strictEqual(script.take("TimeoutNow").length, 0)
    script.pass(500)
    assert.strictEqual(script.core(2).role, "Leader")
    assert.include(script.node(2).trace, "a@2")
  })

  it("proposals are refused meanwhile", () => {
    const script = three()
    const node = script.elect(1)
    script.transfer(1, 2)
    const group = script.propose(1, "a")
    assert.deepStrictEqual(node.refusals, [{ group, reason: "Refused" }])
  })

  it("changes of membership, and other transfers, are refused meanwhile", () => {
    const script = three()
    script.elect(1)
    script.transfer(1, 2)
    assert.strictEqual(script.outcome(1, script.transfer(1, 3)), "Pending")
    assert.strictEqual(script.outcome(1, script.change(1, join(4))), "Pending")
  })

  it("no learner is promoted meanwhile: the target could not win with a log that ends earlier", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4, true)] })
    script.isolated.add(4)
    script.elect(1)
    script.isolated.add(2)
    script.transfer(1, 2)
    script.isolated.delete(4)
    script.pass(900)
    assert.isAbove(script.core(1).progress.get(idOf(4))!.match, 1, "the learner is ready")
    assert.strictEqual(script.core(1).configuration.voters.length, 3)
    script.pass(500)
    assert.include([...script.core(1).configuration.voters], idOf(4))
  })

  it("a transfer is given up after an election timeout, and the leader takes proposals again", () => {
    const script = three()
    const node = script.elect(1)
    script.isolated.add(2)
    const id = script.transfer(1, 2)
    script.pass(900)
    assert.isUndefined(script.outcome(1, id))
    script.pass(200)
    assert.strictEqual(script.outcome(1, id), "Timeout")
    assert.strictEqual(node.core.role, "Leader")
    script.propose(1, "a")
    script.run()
    assert.strictEqual(node.core.commitIndex, 3)
  })

  it("only voters may lead: learners and strangers are refused", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4)] })
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.transfer(1, 4)), "NotVoter")
    assert.strictEqual(script.outcome(1, script.transfer(1, 9)), "NotFound")
  })

  it("a voter that is on its way out may not lead: it counts in the former half of a joint configuration only", () => {
    const script = amidJointChange()
    assert.strictEqual(script.outcome(1, script.transfer(1, 2)), "NotVoter")
  })

  it("without a wish the most up-to-date voter that answers is chosen", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(2)
    script.propose(1, "a")
    script.run()
    script.transfer(1, 0)
    script.run()
    assert.strictEqual(script.core(3).role, "Leader")
  })

  it("a leader that is alone has nobody to hand over to", () => {
    const script = new Script({ voters: [1], learners: [memberOf(2)] })
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.transfer(1, 0)), "NotVoter")
  })

  it("leadership that is where it should be stays there", () => {
    const script = three()
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.transfer(1, 1)), "done")
    assert.strictEqual(script.core(1).role, "Leader")
  })

  it("a member that does not lead says so", () => {
    const script = three()
    assert.strictEqual(script.outcome(2, script.transfer(2, 1)), "NoLeader")
  })

  it("a request to stand counts only from the present leader, in its term, and for a voter", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4)] })
    script.elect(1)
    script.send(3, 2, { _tag: "TimeoutNow", term: 2 })
    script.send(1, 2, { _tag: "TimeoutNow", term: 1 })
    script.send(1, 4, { _tag: "TimeoutNow", term: 2 })
    assert.strictEqual(script.core(2).role, "Follower")
    assert.strictEqual(script.core(4).role, "Learner")
    script.send(1, 2, { _tag: "TimeoutNow", term: 2 })
    assert.strictEqual(script.core(2).role, "Candidate")
  })

  it("if another member wins the caller learns which", () => {
    const script = three()
    script.elect(1)
    const id = script.transfer(1, 2)
    script.drop()
    script.send(3, 1, { _tag: "Heartbeat", term: 5, commit: 0, round: 1 })
    assert.deepStrictEqual(script.node(1).settled, [{ id, refusal: undefined, leader: idOf(3) }])
  })

  it("a transfer to a member that leaves meanwhile is given up", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a")
    script.take("Append", { to: 2 })
    const id = script.transfer(1, 2)
    script.core(1).progress.delete(idOf(2))
    script.beat(1)
    assert.strictEqual(script.outcome(1, id), "Timeout")
  })
})
