/** Historic bugs of snapshots. Each test is named after the symptom that others had, with its number in the table of `@dkv/testkit`'s README. */
import { assert, describe, it } from "vitest"
import { configurationOf, idOf } from "../support/Cluster.ts"
import { Script } from "../support/Script.ts"

describe("historic bugs: snapshots", () => {
  it("#19: a follower that was cut off twice gets two snapshots in a short time, and panics (etcd 18055)", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const leader = script.elect(1)
    /** 3 is cut off while so much is written and compacted that it needs a snapshot. */
    const blackhole = (label: string) => {
      script.isolated.add(3)
      script.drop()
      for (let count = 0; count < 10; count++) {
        script.propose(1, `${label}${count}`)
        script.run()
      }
      leader.compact(leader.applied.length, script.now)
      script.isolated.clear()
    }
    /** Takes the offer of a snapshot off the wire: its chunks are under way. */
    const offered = () => {
      const offer = () => script.wire.find(({ message }) => message._tag === "SnapshotOffer")
      for (let beats = 0; beats < 5 && offer() === undefined; beats++) {
        script.beat(1)
        script.run(() => offer() !== undefined)
      }
      const found = offer()!
      script.wire = script.wire.filter((envelope) => envelope !== found)
      return found
    }
    blackhole("a")
    const first = offered()
    blackhole("b")
    leader.snapshotSent(idOf(3), false, script.now)
    const second = offered()
    const { core } = script.node(3)
    const positions = () => [core.log.previousIndex, core.log.lastIndex, core.commitIndex, core.appliedIndex]
    script.node(3).receive(second, script.now)
    script.run()
    assert.deepStrictEqual(positions(), [22, 22, 22, 22])
    // The first one is reported as installed late, and its offer comes once more.
    script.step(3, {
      _tag: "SnapshotInstalled",
      index: 12,
      term: 2,
      configuration: configurationOf(1, 2, 3),
      configurationIndex: 1
    })
    assert.deepStrictEqual(positions(), [22, 22, 22, 22])
    script.run()
    script.node(3).receive(first, script.now)
    assert.deepStrictEqual(script.take("AppendReply", { from: 3 }).map(({ index }) => index), [22], "it has it already")
    leader.snapshotSent(idOf(3), true, script.now)
    script.propose(1, "after")
    script.pass(1000)
    assert.strictEqual(core.commitIndex, 23)
    assert.deepStrictEqual(script.node(3).applied, leader.applied)
  })
})
