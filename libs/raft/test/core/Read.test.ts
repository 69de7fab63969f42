/** Dissertation §6.4; etcd issue 20418. */
import { assert, describe, it } from "vitest"
import { EntryKind } from "../../src/core/Entry.ts"
import { waitingReadsMax } from "../../src/core/Read.ts"
import { configurationOf, idOf } from "../support/Cluster.ts"
import { amidJointChange, append, leave, Script } from "../support/Script.ts"

const confirmed = (term: number, round: number) => ({ _tag: "HeartbeatReply", term, round }) as const

describe("linearizable reads", () => {
  it("a read goes ahead with the leader's commit index once a majority has answered a round", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.read(1, 7)
    assert.deepStrictEqual(node.reads, [])
    script.run()
    assert.deepStrictEqual(node.reads, [{ id: 7, index: 2 }])
  })

  it("only a round that began after the read confirms it", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.beat(1)
    const earlier = script.take("Heartbeat")[0]!.round
    script.read(1, 7)
    const round = script.take("Heartbeat")[0]!.round
    assert.isAbove(round, earlier)
    script.send(2, 1, confirmed(2, earlier))
    script.send(3, 1, confirmed(2, earlier))
    assert.deepStrictEqual(node.reads, [])
    script.send(3, 1, confirmed(2, round))
    assert.deepStrictEqual(node.reads, [{ id: 7, index: 2 }])
  })

  it("a later round confirms as well, so that a lost heartbeat delays a read by one heartbeat interval", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.read(1, 7)
    script.drop()
    script.beat(1)
    script.run()
    assert.deepStrictEqual(node.reads, [{ id: 7, index: 2 }])
  })

  it("reads that come during a round wait for the next one", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.read(1, 7)
    const [first] = script.take("Heartbeat", { to: 2 })
    script.read(1, 8)
    assert.strictEqual(script.take("Heartbeat", { to: 2 }).length, 0)
    script.send(2, 1, confirmed(2, first!.round))
    assert.deepStrictEqual(node.reads, [{ id: 7, index: 2 }])
    const [second] = script.take("Heartbeat", { to: 2 })
    assert.isAbove(second!.round, first!.round)
    script.send(2, 1, confirmed(2, second!.round))
    assert.deepStrictEqual(node.reads.map(({ id }) => id), [7, 8])
  })

  it("a leader that cannot confirm lets only so many wait, and sends the others away to ask again", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.read(1, 1)
    script.drop()
    script.step(1, ...Array.from({ length: waitingReadsMax + 1 }, (_, id) => ({ _tag: "Read", id: id + 2 }) as const))
    assert.deepStrictEqual(node.reads, [{ id: waitingReadsMax + 2, index: -1 }])
    script.send(2, 1, { _tag: "ReadIndex", term: 2, id: 7 })
    assert.deepStrictEqual(script.take("ReadIndexReply", { to: 2 }).map(({ id, index }) => [id, index]), [[7, -1]])
    script.beat(1)
    script.run()
    assert.strictEqual(node.reads.filter(({ index }) => index === 2).length, waitingReadsMax + 1)
  })

  it("a member that learns with a read index that it has left stands for no election", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const message = append(2, 1, 1, ["C@2"])
    if (message._tag !== "Append") throw new Error("no append")
    const configuration = configurationOf(1, 3)
    script.send(1, 2, {
      ...message,
      entries: message.entries.map((entry) => ({ ...entry, kind: EntryKind.Configuration, configuration }))
    })
    script.run()
    script.send(1, 2, { _tag: "ReadIndexReply", term: 2, id: 7, index: 2 })
    assert.strictEqual(script.core(2).commitIndex, 2)
    assert.strictEqual(script.core(2).role, "Learner")
  })

  it("reads that arrive together share a round", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.step(1, { _tag: "Read", id: 1 }, { _tag: "Read", id: 2 }, { _tag: "Read", id: 3 })
    assert.strictEqual(script.take("Heartbeat", { to: 2 }).length, 1)
    script.send(2, 1, confirmed(2, node.core.round))
    assert.deepStrictEqual(node.reads.map(({ id }) => id), [1, 2, 3])
  })

  it("the index is the commit index when the round began, even if more is committed meanwhile", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.propose(1, "a")
    script.run()
    script.read(1, 7)
    const heartbeats = script.take("Heartbeat")
    script.propose(1, "b")
    script.run()
    assert.strictEqual(node.core.commitIndex, 4)
    script.send(2, 1, confirmed(2, heartbeats[0]!.round))
    assert.deepStrictEqual(node.reads, [{ id: 7, index: 3 }])
  })

  it("a new leader answers no read before it has committed an entry of its own term", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.electSilently(1)
    script.read(1, 7)
    script.send(2, 1, confirmed(2, 9))
    script.send(3, 1, confirmed(2, 9))
    script.run()
    assert.deepStrictEqual(node.reads, [])
    script.pass(500)
    assert.deepStrictEqual(node.reads, [{ id: 7, index: 2 }])
  })

  it("a single member answers at once, but not before its own first entry is durable", () => {
    const script = new Script({ voters: [1] })
    script.timeout(1)
    script.run(() => script.core(1).role === "Leader")
    script.read(1, 7)
    assert.deepStrictEqual(script.node(1).reads, [])
    script.run()
    assert.deepStrictEqual(script.node(1).reads, [{ id: 7, index: 2 }])
    script.read(1, 8)
    assert.deepStrictEqual(script.node(1).reads[1], { id: 8, index: 2 })
  })

  it("a leader that becomes the only voter during a round answers, though nobody is left to confirm it (simulator, seed 10209)", () => {
    const script = new Script({ voters: [1, 2] })
    const node = script.elect(1)
    const isJoint = () => node.core.configuration.outgoing.length > 0
    script.change(1, leave(2))
    script.run(isJoint)
    script.read(1, 7)
    script.take("Heartbeat")
    script.run(() => !isJoint())
    assert.deepStrictEqual(node.core.configuration.voters, [idOf(1)])
    script.isolated.add(2)
    script.pass(3000)
    script.read(1, 8)
    script.run()
    assert.deepStrictEqual(node.reads.map(({ id }) => id), [7, 8])
  })

  it("a leader that is cut off confirms nothing, and sends its readers away when it steps down", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.isolated.add(1)
    script.read(1, 7)
    script.pass(900)
    assert.deepStrictEqual(node.reads, [])
    script.pass(1200)
    assert.deepStrictEqual(node.reads, [{ id: 7, index: -1 }])
  })

  it("a leader of the past does not confirm with answers of its own term that come late", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const node = script.elect(1)
    script.read(1, 7)
    const late = script.take("Heartbeat")[0]!.round
    script.send(2, 1, { _tag: "HeartbeatReply", term: 5, round: 0 })
    script.now += 5000
    script.elect(1)
    script.read(1, 8)
    script.drop()
    script.send(2, 1, confirmed(2, late + 100))
    script.send(3, 1, confirmed(2, late + 100))
    assert.deepStrictEqual(node.reads, [{ id: 7, index: -1 }])
  })

  it("during a joint change a read needs a majority of both halves", () => {
    for (const silent of [[2, 3], [4, 5]]) {
      const script = amidJointChange()
      script.read(1, 7)
      const round = script.take("Heartbeat", { to: 2 }).at(-1)!.round
      for (const number of [2, 3, 4, 5]) {
        if (!silent.includes(number)) script.send(number, 1, confirmed(2, round))
      }
      assert.deepStrictEqual(script.node(1).reads, [], `without ${silent}`)
      for (const number of silent) script.send(number, 1, confirmed(2, round))
      assert.deepStrictEqual(script.node(1).reads.map(({ id }) => id), [7])
    }
  })

  it("a leader that is leaving does not count itself", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    script.pass(200)
    script.change(1, leave(1))
    // The joint step is committed, the final one, without the leader, is not.
    script.run(() => script.core(1).configuration.outgoing.length === 0)
    assert.deepStrictEqual([...script.core(1).configuration.voters], [2, 3].map(idOf))
    assert.strictEqual(script.core(1).role, "Leader")
    script.drop()
    script.read(1, 7)
    const round = script.core(1).round
    script.send(2, 1, confirmed(2, round))
    assert.deepStrictEqual(script.node(1).reads, [], "one of two is no majority")
    script.send(3, 1, confirmed(2, round))
    assert.deepStrictEqual(script.node(1).reads.map(({ id }) => id), [7])
  })

  it("a follower asks the leader, and goes ahead with the leader's index", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    script.propose(1, "a")
    script.run()
    script.read(2, 7)
    script.run()
    assert.deepStrictEqual(script.node(2).reads, [{ id: 7, index: 3 }])
  })

  it("a member that does not lead says so to whoever asks it, and asks nobody if it knows no leader", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.send(1, 2, { _tag: "ReadIndex", term: 1, id: 7 })
    assert.strictEqual(script.take("ReadIndexReply", { from: 2 })[0]!.index, -1)
    script.read(2, 8)
    assert.deepStrictEqual(script.node(2).reads, [{ id: 8, index: -1 }])
  })

  it("a follower's read is sent away too when the leader steps down", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    script.send(2, 1, { _tag: "ReadIndex", term: 2, id: 7 })
    script.drop()
    script.send(3, 1, { _tag: "HeartbeatReply", term: 5, round: 0 })
    script.node(1).sync(script.now)
    assert.deepStrictEqual(script.take("ReadIndexReply", { from: 1, to: 2 }).map(({ index }) => index), [-1])
  })

  it("heartbeats of a round are not held up by the append window", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    script.drop()
    for (let count = 0; count < 10; count++) script.propose(1, `v${count}`)
    assert.isTrue(script.core(1).progress.get(idOf(2))!.window.isFull)
    script.drop()
    script.read(1, 7)
    assert.strictEqual(script.take("Heartbeat").length, 2)
  })
})
