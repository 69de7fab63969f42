/** Raft paper §5.3, §5.4.2; etcd-raft `tracker/`. */
import { assert, describe, it } from "vitest"
import { LogShape } from "../../src/core/LogShape.ts"
import { idOf, memberOf } from "../support/Cluster.ts"
import { append, Script } from "../support/Script.ts"

const three = (settings = {}) => new Script({ voters: [1, 2, 3], settings })

const accepted = (term: number, index: number) =>
  ({ _tag: "AppendReply", term, success: true, index, hintIndex: 0, hintTerm: 0 }) as const

describe("replication and commit", () => {
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

  it("a write that completes late does not make durable what has been replaced meanwhile", () => {
    const script = three()
    const node = script.node(2)
    script.send(1, 2, append(2, 1, 1, ["a@2"]))
    script.send(3, 2, append(3, 1, 1, ["b@3"]))
    node.sync(0, 1)
    node.sync(0, 1)
    assert.strictEqual(node.core.durableIndex, 1)
    assert.strictEqual(script.take("AppendReply", { from: 2 }).length, 0)
    node.sync(0)
    assert.strictEqual(node.core.durableIndex, 2)
    assert.deepStrictEqual(script.take("AppendReply", { from: 2, to: 3 }).map(({ index }) => index), [2])
  })

  it("completions are matched by write, not by index and term: the same entry may be written twice (ABA)", () => {
    const script = three()
    const node = script.node(2)
    script.send(1, 2, append(2, 1, 1, ["a@2"]))
    const first = node.core.writeNumber
    script.send(3, 2, append(3, 1, 1, ["b@3"]))
    script.send(1, 2, append(4, 1, 1, ["a@2"]))
    assert.strictEqual(node.trace, "C@1 a@2")
    script.step(2, { _tag: "Written", number: first })
    assert.strictEqual(node.core.durableIndex, 1)
    assert.strictEqual(script.take("AppendReply", { from: 2 }).length, 0)
    node.sync(0)
    assert.strictEqual(node.core.durableIndex, 2)
  })

  it("a conflict is found with one probe per term and not per entry", () => {
    const script = three()
    script.send(3, 2, append(2, 1, 1, Array.from({ length: 300 }, (_, count) => `x${count}@2`)))
    script.send(3, 2, append(3, 301, 2, Array.from({ length: 300 }, (_, count) => `y${count}@3`)))
    script.send(1, 1, append(4, 1, 1, Array.from({ length: 300 }, (_, count) => `z${count}@4`)))
    script.node(1).sync(0)
    script.node(2).sync(0)
    script.drop()
    script.timeout(1)
    script.run(() => script.core(1).role === "Leader")
    let probes = 0
    for (let turns = 0; script.core(2).log.lastTerm !== 5 && turns < 1000; turns++) {
      const before = script.wire.length
      script.run(() => script.wire.some(({ message, to }) => message._tag === "Append" && to === idOf(2)))
      const appends = script.wire.filter(({ message, to }) => message._tag === "Append" && to === idOf(2))
      if (appends.length > 0 && script.core(1).progress.get(idOf(2))!.state === "Probe") probes += appends.length
      script.run(() => script.wire.length < before)
      const envelope = script.wire.find(({ message, to }) => message._tag === "Append" && to === idOf(2))
      if (envelope === undefined) continue
      script.wire.splice(script.wire.indexOf(envelope), 1)
      script.node(2).receive(envelope, script.now)
      script.node(2).sync(script.now)
    }
    script.run()
    assert.isAtMost(probes, 4, "terms 2 and 3 of the follower, term 4 of the leader, and the place itself")
    assert.strictEqual(script.node(2).trace, script.node(1).trace)
  })

  it("any two logs are brought together, and nothing committed is touched", () => {
    let state = 12345
    const next = (bound: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % bound
    }
    for (let run = 0; run < 200; run++) {
      const script = three()
      for (const number of [1, 2, 3]) {
        let term = 1
        let index = 1
        for (let part = 0, parts = next(4); part < parts; part++) {
          const previousTerm = term
          // A term belongs to one member: logs that have it in common agree up to there.
          term = 1 + 3 * (part + 1 + next(2) * parts) + number
          if (term <= previousTerm) break
          const entries = Array.from({ length: 1 + next(5) }, () => `t${term}@${term}`)
          script.send(9, number, append(term, index, previousTerm, entries))
          index += entries.length
        }
      }
      script.run()
      script.drop()
      script.pass(20_000)
      const leader = [1, 2, 3].find((number) => script.core(number).role === "Leader")!
      script.propose(leader, "end")
      script.pass(1000)
      for (const number of [1, 2, 3]) {
        assert.strictEqual(script.node(number).trace, script.node(leader).trace, `run ${run}`)
        assert.strictEqual(script.core(number).commitIndex, script.core(leader).log.lastIndex, `run ${run}`)
      }
    }
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

  it("a refusal or an acknowledgement that comes late does not take back what is known", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a", "b", "c")
    script.run()
    const progress = script.core(1).progress.get(idOf(2))!
    const before = { match: progress.match, next: progress.next, state: progress.state }
    script.send(2, 1, { _tag: "AppendReply", term: 2, success: false, index: 4, hintIndex: 1, hintTerm: 1 })
    script.send(2, 1, accepted(2, 2))
    assert.deepStrictEqual({ match: progress.match, next: progress.next, state: progress.state }, before)
  })

  it("a refusal is believed only as an answer to the probe that is out", () => {
    const script = three()
    script.electSilently(1)
    const progress = script.core(1).progress.get(idOf(2))!
    assert.strictEqual(progress.next, 2)
    script.send(2, 1, { _tag: "AppendReply", term: 2, success: false, index: 77, hintIndex: 0, hintTerm: 0 })
    assert.strictEqual(progress.next, 2)
    assert.isTrue(progress.probed)
  })

  it("a lost append is sent again when a heartbeat's answer shows the silence", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a")
    assert.strictEqual(script.take("Append", { to: 2 }).length, 1)
    script.pass(500)
    assert.strictEqual(script.core(1).progress.get(idOf(2))!.match, 3)
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

  it("a follower that lost acknowledged entries stops and says so, and the leader goes on", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a", "b")
    script.run()
    script.isolated.add(2)
    script.node(2).disk.entries.length = 2
    script.crash(2)
    script.isolated.clear()
    script.beat(1)
    const heartbeat = script.take("Heartbeat", { to: 2 })[0]!
    assert.throws(() => script.send(1, 2, heartbeat), /it has lost entries that were acknowledged/)
    script.isolated.add(2)
    script.propose(1, "c")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 5)
  })

  it("the leader survives the refusals of a follower that lost acknowledged entries", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a", "b")
    script.run()
    script.send(2, 1, { _tag: "AppendReply", term: 2, success: false, index: 4, hintIndex: 2, hintTerm: 2 })
    script.propose(1, "c")
    script.run()
    assert.strictEqual(script.core(1).role, "Leader")
    assert.strictEqual(script.core(1).commitIndex, 5)
  })

  it("appends and heartbeats of a former leader change nothing", () => {
    const script = three()
    script.send(9, 2, { _tag: "Heartbeat", term: 5, commit: 0, round: 1 })
    script.send(1, 2, append(4, 1, 1, ["a@4"]))
    script.send(1, 2, { _tag: "Heartbeat", term: 4, commit: 1, round: 1 })
    assert.strictEqual(script.node(2).trace, "C@1")
    assert.strictEqual(script.core(2).commitIndex, 0)
    assert.strictEqual(script.core(2).leader, idOf(9))
  })

  it("acknowledgements of a former term count for nothing", () => {
    const script = three()
    script.electSilently(1)
    script.node(1).sync(script.now)
    script.send(2, 1, accepted(1, 2))
    assert.strictEqual(script.core(1).commitIndex, 0)
  })

  it("an append that is sent twice changes nothing the second time", () => {
    const script = three()
    script.send(1, 2, append(2, 1, 1, ["a@2", "b@2"]))
    script.send(1, 2, append(2, 1, 1, ["a@2"]))
    assert.strictEqual(script.node(2).trace, "C@1 a@2 b@2")
  })

  it("the log's shape follows every truncation", () => {
    const script = three()
    script.send(1, 2, append(2, 1, 1, ["a@2", "b@2", "c@2"]))
    script.send(3, 2, append(3, 2, 2, ["d@3"]))
    const { log } = script.core(2)
    assert.instanceOf(log, LogShape)
    assert.deepStrictEqual([log.lastIndex, log.lastTerm, log.termAt(2)], [3, 3, 2])
  })
})
