/** How logs are brought together. Raft paper §5.3; etcd-raft `tracker/`. */
import { assert, describe, it } from "vitest"
import { LogShape } from "../../src/core/LogShape.ts"
import { idOf } from "../support/Cluster.ts"
import { append, Script } from "../support/Script.ts"

const three = (settings = {}) => new Script({ voters: [1, 2, 3], settings })

const accepted = (term: number, index: number) =>
  ({ _tag: "AppendReply", term, success: true, index, hintIndex: 0, hintTerm: 0 }) as const

describe("replication", () => {
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

  it("a second leader in a term stops the member that hears both", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.send(1, 2, append(2, 1, 1, ["a@2"]))
    assert.throws(() => script.send(3, 2, append(2, 1, 1, ["b@2"])), /two leaders in term 2/)
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
