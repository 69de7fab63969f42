/** Raft paper §7; etcd issue 18055. */
import { assert, describe, it } from "vitest"
import type { Configuration } from "../../src/core/Configuration.ts"
import { EntryKind } from "../../src/core/Entry.ts"
import { configurationOf, idOf } from "../support/Cluster.ts"
import { append, Script } from "../support/Script.ts"

const three = () => new Script({ voters: [1, 2, 3] })

const installed = (index: number, term: number, configuration: Configuration = configurationOf(1, 2, 3)) =>
  ({ _tag: "SnapshotInstalled", index, term, configuration, configurationIndex: 1 }) as const

/** Member 1 leads and has compacted all but the last entry of ten; 3 has none of them. */
const behind = () => {
  const script = three()
  script.elect(1)
  script.isolated.add(3)
  for (let count = 0; count < 10; count++) script.propose(1, `v${count}`)
  script.run()
  script.node(1).compact(11, script.now)
  return script
}

describe("snapshots", () => {
  it("a member whose next entries are compacted away gets a snapshot, and then the entries behind it", () => {
    const script = behind()
    script.isolated.clear()
    script.pass(1000)
    assert.strictEqual(script.node(3).previousIndex, 12, "the log begins anew behind the snapshot")
    script.propose(1, "after")
    script.run()
    assert.deepStrictEqual(
      script.node(3).applied.map(({ label }) => label),
      script.node(1).applied.map(({ label }) => label)
    )
  })

  it("a snapshot is made only for a member that answers", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    for (let count = 0; count < 10; count++) script.propose(1, `v${count}`)
    script.pass(1500)
    script.node(1).compact(11, script.now)
    script.pass(1500)
    assert.deepStrictEqual(script.node(1).transfers, [])
    script.isolated.clear()
    script.pass(500)
    assert.strictEqual(script.node(3).previousIndex, 12)
  })

  it("nothing is sent to a member while a snapshot is on its way, and one is enough", () => {
    const script = behind()
    script.isolated.clear()
    script.pass(150)
    script.run(() => script.wire.some(({ message }) => message._tag === "SnapshotOffer"))
    const offers = script.take("SnapshotOffer").length
    script.propose(1, "x")
    script.beat(1)
    assert.isAtMost(script.take("Append", { to: 3 }).length + script.take("SnapshotOffer").length + offers, 1)
  })

  it("a lost link does not give up a snapshot that is on its way", () => {
    const script = behind()
    const progress = script.core(1).progress.get(idOf(3))!
    progress.awaitSnapshot()
    script.step(1, { _tag: "Unreachable", peer: idOf(3) })
    assert.strictEqual(progress.state, "Snapshot")
  })

  it("a snapshot that was not delivered is offered again", () => {
    const script = behind()
    const node = script.node(1)
    script.drop()
    node.transfers.length = 0
    const progress = node.core.progress.get(idOf(3))!
    progress.heardAt = script.now
    progress.awaitSnapshot()
    script.step(1, { _tag: "SnapshotSent", peer: idOf(3), index: 12, delivered: false })
    assert.strictEqual(script.take("SnapshotOffer", { to: 3 }).length, 1)
  })

  it("a report on a snapshot that comes late does not take back what is known since", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a", "b")
    script.run()
    const progress = script.core(1).progress.get(idOf(2))!
    const before = { match: progress.match, next: progress.next, state: progress.state }
    for (const delivered of [true, false]) {
      script.step(1, { _tag: "SnapshotSent", peer: idOf(2), index: 1, delivered })
      assert.deepStrictEqual({ match: progress.match, next: progress.next, state: progress.state }, before)
    }
  })

  it("an acknowledgement of what the snapshot would bring ends the wait for it", () => {
    const script = behind()
    const progress = script.core(1).progress.get(idOf(3))!
    progress.awaitSnapshot()
    script.send(3, 1, { _tag: "AppendReply", term: 2, success: true, index: 10, hintIndex: 0, hintTerm: 0 })
    assert.strictEqual(progress.state, "Snapshot", "entries from 11 on are compacted away")
    script.send(3, 1, { _tag: "AppendReply", term: 2, success: true, index: 11, hintIndex: 0, hintTerm: 0 })
    assert.strictEqual(progress.state, "Replicate")
    assert.isTrue(progress.next > 11)
  })

  it("a log that contains the snapshot's last entry is kept", () => {
    const script = three()
    script.send(1, 2, append(2, 1, 1, ["a@2", "b@2", "c@2"]))
    script.run()
    script.step(2, installed(3, 2))
    assert.strictEqual(script.node(2).trace, "C@1 a@2 b@2 c@2")
    assert.strictEqual(script.core(2).commitIndex, 3)
    assert.strictEqual(script.core(2).log.lastIndex, 4)
  })

  it("a member whose log is kept learns all the same that it has left", () => {
    const script = three()
    const configuration = configurationOf(1, 3)
    const message = append(2, 1, 1, ["C@2"])
    if (message._tag !== "Append") throw new Error("no append")
    script.send(1, 2, {
      ...message,
      entries: message.entries.map((entry) => ({ ...entry, kind: EntryKind.Configuration, configuration }))
    })
    script.run()
    script.step(2, { ...installed(2, 2, configuration), configurationIndex: 2 })
    assert.strictEqual(script.core(2).commitIndex, 2)
    assert.strictEqual(script.core(2).role, "Learner")
  })

  it("a log that has another entry there, or none, begins anew behind the snapshot", () => {
    for (const entries of [["a@2"], ["a@2", "b@2", "c@2"]]) {
      const script = three()
      script.send(1, 2, append(2, 1, 1, entries))
      script.run()
      script.step(2, installed(3, 3))
      const { core } = script.node(2)
      assert.deepStrictEqual(
        [core.log.previousIndex, core.log.previousTerm, core.log.lastIndex, core.commitIndex, core.appliedIndex],
        [3, 3, 3, 3, 3]
      )
    }
  })

  it("only what lies behind the snapshot is certainly lost with the log: the rest may be what was committed", () => {
    const script = three()
    script.send(1, 2, append(2, 1, 1, ["a@2", "b@2", "c@2", "d@2"]))
    script.run()
    const { core } = script.node(2)
    core.begin(script.now, 0)
    core.step(installed(3, 3))
    assert.strictEqual(core.settle().truncatedFrom, 4)
  })

  it("an installed snapshot is acknowledged only when the log's reset is durable", () => {
    const script = three()
    script.send(1, 2, { _tag: "Heartbeat", term: 2, commit: 0, round: 1 })
    script.run()
    script.drop()
    script.stalled.add(2)
    script.step(2, installed(9, 2))
    assert.strictEqual(script.take("AppendReply").length, 0)
    script.node(2).sync(script.now)
    assert.deepStrictEqual(script.take("AppendReply", { to: 1 }).map(({ index }) => index), [9])
    assert.strictEqual(script.node(2).disk.previousIndex, 9)
  })

  it("commit and applied never move back", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a", "b")
    script.run()
    script.step(2, { _tag: "Applied", index: 4 })
    script.step(2, installed(2, 2))
    assert.strictEqual(script.core(2).commitIndex, 4)
    assert.strictEqual(script.core(2).appliedIndex, 4)
    assert.strictEqual(script.node(2).trace, "C@1 N@2 a@2 b@2")
  })

  it("two snapshots in a short time: the older one that comes last changes nothing", () => {
    const script = three()
    script.send(1, 2, { _tag: "Heartbeat", term: 2, commit: 0, round: 1 })
    script.run()
    script.step(2, installed(9, 2))
    script.step(2, installed(5, 2))
    script.run()
    const { core } = script.node(2)
    assert.deepStrictEqual([core.log.lastIndex, core.commitIndex, core.appliedIndex], [9, 9, 9])
    script.send(1, 2, append(2, 9, 2, ["x@2"]))
    script.run()
    assert.strictEqual(core.log.lastIndex, 10)
  })

  it("two snapshots in a short time: the newer one replaces the older one", () => {
    const script = three()
    script.send(1, 2, { _tag: "Heartbeat", term: 2, commit: 0, round: 1 })
    script.run()
    script.step(2, installed(5, 2), installed(9, 2))
    script.run()
    assert.deepStrictEqual([script.core(2).log.lastIndex, script.node(2).disk.previousIndex], [9, 9])
  })

  it("a snapshot of what is committed here already is not taken but acknowledged", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a")
    script.run()
    const { core } = script.node(2)
    core.begin(script.now, 0)
    core.step({
      _tag: "Message",
      from: idOf(1),
      message: { _tag: "SnapshotOffer", term: 2, snapshot: 1, index: 2, indexTerm: 2 }
    })
    const out = core.settle()
    assert.deepStrictEqual(out.offers, [])
    assert.deepStrictEqual(
      out.messages.map(({ message }) => message._tag === "AppendReply" && message.index),
      [3]
    )
  })

  it("a snapshot of a former leader is not taken", () => {
    const script = three()
    script.send(9, 2, { _tag: "Heartbeat", term: 5, commit: 0, round: 1 })
    const { core } = script.node(2)
    core.begin(script.now, 0)
    core.step({
      _tag: "Message",
      from: idOf(1),
      message: { _tag: "SnapshotOffer", term: 4, snapshot: 1, index: 9, indexTerm: 4 }
    })
    assert.deepStrictEqual(core.settle().offers, [])
  })

  it("an offer is a sign of life from the leader", () => {
    const script = three()
    script.send(1, 2, { _tag: "Heartbeat", term: 2, commit: 0, round: 1 })
    script.now += 900
    script.send(1, 2, { _tag: "SnapshotOffer", term: 2, snapshot: 1, index: 9, indexTerm: 2 })
    assert.isAbove(script.core(2).electionDeadline, script.now + 999)
  })

  it("the configuration comes from the snapshot", () => {
    const script = new Script({ voters: [1], spares: [4] })
    assert.strictEqual(script.core(4).role, "Learner")
    script.step(4, installed(9, 2, configurationOf(1, 2, 4)))
    assert.deepStrictEqual([...script.core(4).configuration.voters], [1, 2, 4].map(idOf))
    assert.strictEqual(script.core(4).role, "Follower")
  })

  it("writes that were ordered before the reset do not count as durable entries behind it", () => {
    const script = three()
    const node = script.node(2)
    script.send(1, 2, append(2, 1, 1, Array.from({ length: 10 }, () => "x@2")))
    script.step(2, installed(5, 3))
    script.send(3, 2, append(3, 5, 3, ["y@3"]))
    node.sync(0, 1)
    node.sync(0, 1)
    assert.strictEqual(node.core.durableIndex, 5)
    node.sync(0)
    assert.strictEqual(node.core.durableIndex, 6)
  })

  it("a crash between the state and the log's reset is completed on the way up", () => {
    for (const entries of [["a@2"], ["a@2", "b@2", "c@2"]]) {
      const script = behind()
      script.send(1, 3, append(2, 2, 2, entries.map((entry) => entry)))
      script.node(3).disk.state = script.node(1).state()
      script.crash(3)
      assert.deepStrictEqual([script.core(3).log.previousIndex, script.core(3).log.previousTerm], [12, 2])
    }
  })

  it("what is compacted was applied", () => {
    const script = three()
    script.elect(1)
    script.propose(1, "a", "b")
    script.run()
    script.step(1, { _tag: "Applied", index: 3 }, { _tag: "Compacted", index: 4 })
    assert.strictEqual(script.core(1).log.previousIndex, 3)
  })

  it("a compacted log still answers for the entry before its first", () => {
    const script = behind()
    script.isolated.clear()
    const { log } = script.core(1)
    assert.strictEqual(log.previousIndex, 11)
    assert.strictEqual(log.termAt(11), 2)
    assert.strictEqual(log.termAt(10), -1)
  })
})
