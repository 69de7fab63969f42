/** Historic bugs of replication. Each test is named after the symptom that others had, with its number in the table of `@dkv/testkit`'s README. */
import { assert, describe, it } from "vitest"
import { idOf } from "../support/Cluster.ts"
import { Script } from "../support/Script.ts"

const three = () => new Script({ voters: [1, 2, 3] })

describe("historic bugs: replication", () => {
  it("#4: logs diverge because an acknowledgement of one leadership is counted in the next (hashicorp/raft 695, 701)", () => {
    const script = new Script({ voters: [1, 2, 3, 4, 5] })
    script.elect(1)
    script.stalled.add(1)
    script.isolated.add(3).add(4).add(5)
    script.propose(1, "a", "b")
    script.run(() => script.wire.some(({ message }) => message._tag === "AppendReply"))
    const late = script.take("AppendReply", { from: 2, to: 1 })
    assert.deepStrictEqual(late.map(({ index, term }) => ({ index, term })), [{ index: 4, term: 2 }])
    // The leader loses them in a crash, another one puts its own entry there, and then the first one leads again.
    script.crash(1)
    script.stalled.clear()
    script.isolated.clear()
    script.isolated.add(2)
    script.drop()
    script.now += 5000
    script.elect(3)
    script.transfer(3, 1)
    script.run(() => script.core(1).role === "Leader")
    script.drop()
    script.node(1).sync(script.now)
    assert.strictEqual(script.node(1).trace, "C@1 N@2 N@3 N@4")
    for (const message of late) script.send(2, 1, message)
    assert.strictEqual(script.core(1).progress.get(idOf(2))!.match, 0, "that was another entry 4")
    script.isolated.clear()
    script.pass(1000)
    for (const number of [1, 2, 3, 4, 5]) assert.strictEqual(script.node(number).trace, "C@1 N@2 N@3 N@4")
  })

  it("#4: logs diverge because a deposed leader's append that was under way goes out in the new term (hashicorp/raft 695, 701)", () => {
    const script = three()
    script.elect(1)
    const old = script.node(1)
    old.keepPermits = true
    script.propose(1, "a")
    script.drop()
    assert.strictEqual(old.permits.length, 2)
    script.isolated.add(1)
    script.now += 5000
    script.elect(2)
    script.propose(2, "b")
    script.run()
    script.isolated.clear()
    // A reply shows the old leader the new term, while what it permitted before is still to be sent.
    script.send(3, 1, { _tag: "HeartbeatReply", term: 3, round: 0 })
    assert.strictEqual(old.core.term, 3)
    for (const permit of old.permits.splice(0)) old.use(permit)
    assert.isTrue(
      script.wire.every(({ from, message }) => from !== idOf(1) || message._tag !== "Append" || message.term === 2)
    )
    old.keepPermits = false
    script.run()
    for (const number of [2, 3]) assert.strictEqual(script.node(number).trace, "C@1 N@2 N@3 b@3")
    script.pass(1000)
    assert.strictEqual(script.node(1).trace, "C@1 N@2 N@3 b@3")
  })

  it("#8: a heartbeat to a follower that restarted amid appends is taken for a lost log (openraft 1500, 1501)", () => {
    const script = three()
    script.elect(1)
    const progress = script.core(1).progress.get(idOf(2))!
    script.stalled.add(2)
    script.propose(1, "a")
    script.run()
    script.propose(1, "b", "c")
    script.run()
    assert.deepStrictEqual([progress.match, script.core(1).commitIndex], [2, 5], "sent and not acknowledged")
    // What was not synced is gone, as it may be: nobody was promised anything.
    script.crash(2)
    script.stalled.clear()
    assert.strictEqual(script.node(2).trace, "C@1 N@2")
    script.beat(1)
    script.run()
    assert.strictEqual(script.core(2).commitIndex, 2, "and it is told of no commit that it has not got")
    script.pass(1000)
    assert.strictEqual(script.node(2).trace, "C@1 N@2 a@2 b@2 c@2")
    assert.strictEqual(script.core(1).role, "Leader")
  })

  it("#20: a follower refuses what it had acknowledged, and the leader panics, forgets its commits or asks without end (etcd 10166, 16220, 20269, 21178)", () => {
    const script = new Script({ voters: [1, 2, 3, 4, 5] })
    script.elect(1)
    script.propose(1, "a", "b")
    script.run()
    const progress = script.core(1).progress.get(idOf(2))!
    // "c" and "d" are acknowledged by 2 only, so nobody has been told that they are committed; then an older disk is put back.
    for (const number of [3, 4, 5]) script.isolated.add(number)
    script.propose(1, "c", "d")
    script.run()
    assert.deepStrictEqual([progress.match, script.core(1).commitIndex], [6, 4])
    script.node(2).disk.entries.length = 4
    script.crash(2)
    let asked = 0
    const counting = () => {
      for (const message of script.take("Append", { from: 1, to: 2 })) {
        asked++
        script.send(1, 2, message)
      }
      return false
    }
    for (let beats = 0; beats < 8; beats++) {
      script.propose(1, `e${beats}`)
      script.run(counting)
      script.beat(1)
      script.run(counting)
    }
    assert.isAtMost(asked, 16, "no more than a question per proposal and per heartbeat")
    assert.deepStrictEqual([script.core(1).role, script.core(1).commitIndex, progress.match], ["Leader", 4, 6])
    // As soon as a commit covers what it had promised, the member says what is wrong with it; the others go on.
    script.isolated.clear()
    const goOn = () => {
      script.beat(1)
      script.run()
      script.pass(1000)
    }
    assert.throws(goOn, /entries up to 6 are committed, but the log ends at 4: it has lost entries/)
    script.isolated.add(2)
    goOn()
    assert.deepStrictEqual([3, 4, 5].map((number) => script.core(number).commitIndex), [14, 14, 14])
    assert.deepStrictEqual([script.core(1).role, script.core(1).term], ["Leader", 2])
  })

  it("#20: history that was rewritten behind a follower's back leaves it hanging, and nobody says why (etcd 10166)", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    script.propose(1, "a")
    script.run()
    script.propose(1, "b")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, 4)
    // An old disk is put back at 2, and 2 and 3 elect somebody who never had the committed entries.
    script.isolated.clear()
    script.isolated.add(1)
    script.node(2).disk.entries.length = 2
    script.crash(2)
    script.now += 5000
    script.elect(3)
    for (const label of ["x", "y", "z"]) {
      script.propose(3, label)
      script.run()
    }
    // Nothing can bring back what was lost; 1, which still has it, must not go on as if nothing had happened.
    script.isolated.clear()
    assert.throws(() => script.pass(5000), /committed/)
  })
})
