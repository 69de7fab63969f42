/** How much is on its way to whom. etcd-raft `tracker/`. */
import { assert, describe, it } from "vitest"
import { unappliedBytesMax, unappliedEntriesMax } from "../../src/core/Replication.ts"
import { idOf } from "../support/Cluster.ts"
import { Script } from "../support/Script.ts"

const three = (settings = {}) => new Script({ voters: [1, 2, 3], settings })

const accepted = (term: number, index: number) =>
  ({ _tag: "AppendReply", term, success: true, index, hintIndex: 0, hintTerm: 0 }) as const

describe("flow control", () => {
  it("a probe is one message at a time; once the logs agree, messages are pipelined up to the window", () => {
    const script = three()
    script.elect(1)
    script.drop()
    for (let count = 0; count < 10; count++) script.propose(1, `v${count}`)
    assert.strictEqual(script.take("Append", { to: 2 }).length, 4, "the window holds four")
    script.send(2, 1, accepted(2, 3))
    assert.strictEqual(script.take("Append", { to: 2 }).length, 1, "one acknowledged, one more")
    script.step(1, { _tag: "Unreachable", peer: idOf(2) })
    script.step(1, { _tag: "Connected", peer: idOf(2) })
    assert.strictEqual(script.take("Append", { to: 2 }).length, 1)
    script.propose(1, "last")
    assert.strictEqual(script.take("Append", { to: 2 }).length, 0, "no answer to the probe yet")
  })

  it("the window is limited in bytes too", () => {
    const script = three({ windowMessagesMax: 64, windowBytesMax: 30 })
    script.elect(1)
    script.drop()
    for (let count = 0; count < 10; count++) script.propose(1, `v${count}`)
    assert.strictEqual(script.take("Append", { to: 2 }).length, 3)
    assert.isAtMost(script.core(1).progress.get(idOf(2))!.window.bytes, 30)
    script.send(2, 1, accepted(2, 4))
    assert.deepStrictEqual(script.take("Append", { to: 2 }).map(({ entries }) => entries.length), [2])
  })

  it("an acknowledgement frees everything up to it", () => {
    const script = three()
    script.elect(1)
    script.drop()
    for (let count = 0; count < 10; count++) script.propose(1, `v${count}`)
    script.take("Append")
    script.send(2, 1, accepted(2, 5))
    assert.strictEqual(script.core(1).progress.get(idOf(2))!.window.bytes, 70, "one as before, and one with the rest")
  })

  it("entries are kept at hand until they are applied here, and those who are replicated to and answer have them", () => {
    const script = three()
    script.elect(1)
    script.run()
    script.isolated.add(3)
    script.propose(1, "a", "b", "c")
    script.run()
    const core = script.core(1)
    const slow = core.progress.get(idOf(3))!
    script.step(1, { _tag: "Applied", index: core.applicableIndex })
    assert.isBelow(slow.match, core.appliedIndex)
    slow.state = "Replicate"
    assert.strictEqual(core.releasableIndex, slow.match, "it answered a moment ago")
    slow.state = "Probe"
    assert.strictEqual(core.releasableIndex, core.appliedIndex, "it reads the log")
    slow.state = "Replicate"
    slow.heardAt = -Infinity
    assert.strictEqual(core.releasableIndex, core.appliedIndex, "it does not answer")
    core.appliedIndex--
    assert.strictEqual(core.releasableIndex, core.appliedIndex, "still to be applied")
    const follower = script.core(2)
    assert.strictEqual(follower.releasableIndex, Math.min(follower.appliedIndex, follower.durableIndex))
  })

  it("a message carries at most so many bytes, but a larger entry travels alone", () => {
    const script = three({ messageBytesMax: 25 })
    script.elect(1)
    script.drop()
    script.propose(1, "a", "b", "c", "d", "e")
    assert.deepStrictEqual(script.take("Append", { to: 2 }).map(({ entries }) => entries.length), [2, 2, 1])
    const small = three({ messageBytesMax: 5 })
    small.elect(1)
    small.drop()
    small.propose(1, "a", "b")
    assert.deepStrictEqual(small.take("Append", { to: 2 }).map(({ entries }) => entries.length), [1, 1])
  })

  it("a message carries at most so many entries, however small they are", () => {
    const script = three({ messageEntriesMax: 2 })
    script.elect(1)
    script.drop()
    script.propose(1, "a", "b", "c", "d", "e")
    assert.deepStrictEqual(script.take("Append", { to: 2 }).map(({ entries }) => entries.length), [2, 2, 1])
  })

  it("a leader gives one permit per peer at a time, and reports on older permits are ignored", () => {
    const script = three()
    const node = script.elect(1)
    node.keepPermits = true
    script.propose(1, "a")
    script.propose(1, "b")
    const [permit, ...others] = node.permits.filter(({ peer }) => peer === idOf(2))
    assert.strictEqual(others.length, 0)
    script.step(1, { _tag: "Unreachable", peer: idOf(2) })
    script.step(1, { _tag: "Connected", peer: idOf(2) })
    const progress = node.core.progress.get(idOf(2))!
    script.step(1, { _tag: "Sent", peer: idOf(2), permit: permit!.permit, to: 4, bytes: 20 })
    assert.isTrue(progress.permitted, "the permit of the probe is still out")
    assert.isFalse(progress.probed)
    assert.strictEqual(progress.next, 3)
  })

  it("a report that an acknowledgement has overtaken takes nothing back", () => {
    const script = three()
    const node = script.elect(1)
    script.run()
    node.keepPermits = true
    script.propose(1, "a", "b")
    const permit = node.permits.find(({ peer }) => peer === idOf(2))!
    script.send(2, 1, accepted(2, 4))
    const progress = node.core.progress.get(idOf(2))!
    script.step(1, { _tag: "Sent", peer: idOf(2), permit: permit.permit, to: 3, bytes: 10 })
    assert.deepStrictEqual([progress.match, progress.next], [4, 5])
    assert.isTrue(progress.window.isEmpty, "nothing is on its way")
  })

  it("a report on a permit of a former leadership is ignored", () => {
    const script = three()
    const node = script.elect(1)
    node.keepPermits = true
    script.propose(1, "a")
    const permit = node.permits.find(({ peer }) => peer === idOf(2))!
    script.send(3, 1, { _tag: "HeartbeatReply", term: 9, round: 0 })
    script.now += 5000
    script.elect(1)
    const progress = node.core.progress.get(idOf(2))!
    for (let number = 0; number <= permit.permit; number++) {
      script.step(1, { _tag: "Sent", peer: idOf(2), permit: number, to: 3, bytes: 10 })
    }
    assert.isTrue(progress.permitted, "no report on the permit of this leadership has come")
  })

  it("what could not be sent is sent again when the peer answers, and says nothing of the link to a leader", () => {
    const script = three()
    const node = script.elect(1)
    script.run()
    node.keepPermits = true
    script.propose(1, "a")
    script.step(1, { _tag: "Unsent", peer: idOf(2) })
    node.keepPermits = false
    script.pass(500)
    assert.strictEqual(script.node(2).trace, "C@1 N@2 a@2")
    script.step(2, { _tag: "Unsent", peer: idOf(1) })
    assert.isFalse(script.core(2).contactBroken, "a report of a former leadership")
  })

  it("nothing is sent to a peer whose link is down until it is up again", () => {
    const script = three()
    script.elect(1)
    script.step(1, { _tag: "Unreachable", peer: idOf(2) })
    script.propose(1, "a")
    assert.strictEqual(script.take("Append", { to: 2 }).length, 0)
    script.step(1, { _tag: "Connected", peer: idOf(2) })
    assert.strictEqual(script.take("Append", { to: 2 }).length, 1)
  })

  it("a leader takes no more beyond its commit index than allowed, but one group of any size", () => {
    const script = three({ uncommittedBytesMax: 150 })
    const node = script.elect(1)
    script.stalled.add(1)
    script.isolated.add(2)
    script.isolated.add(3)
    const large = script.propose(1, "a", "b", "c", "d", "e")
    const second = script.propose(1, "f")
    assert.deepStrictEqual(node.refusals, [{ group: second, reason: "Busy" }])
    assert.strictEqual(node.core.log.lastIndex, 7)
    script.isolated.clear()
    script.stalled.clear()
    script.pass(500)
    assert.strictEqual(node.core.uncommittedBytes, 0)
    const third = script.propose(1, "g")
    assert.isTrue(large < second && second < third)
    assert.strictEqual(node.core.log.lastIndex, 8)
  })

  it("a leader that is deposed no longer counts what it had uncommitted", () => {
    const script = three()
    const { core } = script.elect(1)
    script.run()
    script.isolated.add(2).add(3)
    script.propose(1, "a")
    script.run()
    assert.isAbove(core.uncommittedBytes, 0)
    script.send(2, 1, { _tag: "HeartbeatReply", term: 9, round: 0 })
    assert.strictEqual(core.role, "Follower")
    assert.deepStrictEqual([core.uncommittedBytes, core.uncommitted.length], [0, 0])
  })

  it("a leader whose state machine is too far behind takes nothing more until it has caught up", () => {
    const script = new Script({ voters: [1], settings: { uncommittedBytesMax: 1e9 } })
    const { core, refusals } = script.elect(1)
    script.run()
    const propose = (group: number, count: number) => {
      core.begin(script.now, 0)
      core.step({ _tag: "Propose", group, count, bytes: 0 })
      const refused = core.settle().refusals.length > 0
      core.step({ _tag: "Written", number: core.writeNumber })
      core.settle()
      return refused ? "refused" : "taken"
    }
    assert.deepStrictEqual(refusals, [])
    assert.strictEqual(propose(1001, unappliedEntriesMax - core.commitIndex - 1), "taken")
    assert.strictEqual(propose(1002, 1), "taken", "one group may reach the limit")
    assert.strictEqual(core.commitIndex - core.appliedIndex, unappliedEntriesMax)
    assert.strictEqual(propose(1003, 1), "refused")
    core.begin(script.now, 0)
    core.step({ _tag: "Applied", index: 1 })
    core.settle()
    assert.strictEqual(propose(1004, 1), "taken")
  })

  it("the same in bytes; what is truncated counts no more", () => {
    const script = new Script({ voters: [1, 2, 3], settings: { uncommittedBytesMax: 100 } })
    const { core } = script.elect(1)
    script.run()
    const most = unappliedBytesMax + 100
    const propose = (bytes: number) => {
      core.begin(script.now, 0)
      core.step({ _tag: "Propose", group: 0, count: 1, bytes })
      const refused = core.settle().refusals.length > 0
      core.step({ _tag: "Written", number: core.writeNumber })
      script.send(2, 1, accepted(2, core.log.lastIndex))
      return refused ? "refused" : "taken"
    }
    assert.strictEqual(propose(most), "taken")
    assert.strictEqual(propose(1), "refused")
    script.step(1, { _tag: "Applied", index: core.commitIndex })
    assert.strictEqual(core.unappliedBytes, 0)
    assert.strictEqual(propose(1), "taken")
    core.begin(script.now, 0)
    core.step({ _tag: "Propose", group: 0, count: 1, bytes: 50 })
    core.settle()
    const counted = core.unappliedBytes
    core.truncate(core.log.lastIndex)
    assert.isAtMost(core.unappliedBytes, counted - 50)
  })

  it("a leader takes no more than so many groups beyond what its disk has", () => {
    const script = three({ pendingAppendsMax: 3 })
    const node = script.elect(1)
    script.stalled.add(1)
    const groups = ["a", "b", "c", "d"].map((text) => script.propose(1, text))
    assert.deepStrictEqual(node.refusals, [{ group: groups[3], reason: "Busy" }])
    script.stalled.clear()
    script.pass(500)
    script.propose(1, "e")
    assert.strictEqual(node.refusals.length, 1)
    assert.strictEqual(node.core.log.lastIndex, 6)
  })

  it("a follower whose disk hangs takes in what a few leaders may have under way, and the rest when it is sent again", () => {
    const script = three()
    const node = script.elect(1)
    script.stalled.add(2)
    const follower = script.core(2)
    const most = 4 * node.core.settings.windowMessagesMax
    for (let append = 0; append < 2 * most; append++) {
      follower.begin(script.now, 0)
      const previousIndex = 2 + append
      follower.step({
        _tag: "Message",
        from: idOf(1),
        message: {
          _tag: "Append",
          term: node.core.term,
          previousIndex,
          previousTerm: previousIndex === 2 ? follower.log.termAt(2) : node.core.term,
          commit: 2,
          entries: [{ index: previousIndex + 1, term: node.core.term, kind: 1, bytes: 0 }]
        }
      })
      follower.settle()
    }
    assert.strictEqual(follower.pendingAppends.length, most)
    assert.strictEqual(follower.log.lastIndex, 2 + most)
  })

  it("empty commands are not for nothing: each counts with what it costs to keep", () => {
    const script = three({ uncommittedBytesMax: 1000 })
    const node = script.elect(1)
    script.isolated.add(2)
    script.isolated.add(3)
    node.core.begin(script.now, 0)
    for (let group = 1; group <= 1000; group++) node.core.step({ _tag: "Propose", group, count: 1, bytes: 0 })
    assert.isAtMost(node.core.log.lastIndex, 2 + 1000 / 17)
    assert.isAbove(node.core.out.refusals.length, 900)
  })

  it("a member that does not lead hands proposals to the leader that it knows, and refuses them without one", () => {
    const script = three()
    script.step(2, { _tag: "Propose", group: 1, count: 1, bytes: 1 })
    assert.deepStrictEqual(script.node(2).refusals, [{ group: 1, reason: "NoLeader" }])
    script.elect(1)
    const { core } = script.node(2)
    core.begin(script.now, 0)
    core.step({ _tag: "Propose", group: 2, count: 1, bytes: 1 })
    assert.deepStrictEqual(core.settle().forwards, [2])
  })
})
