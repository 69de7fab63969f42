/** Historic bugs of linearizable reads. Each test is named after the symptom that others had, with its number in the table of `@dkv/testkit`'s README. */
import { assert, describe, it } from "vitest"
import { Script } from "../support/Script.ts"

describe("historic bugs: reads", () => {
  it("#17: a leader that was paused answers a retried read with what confirmed the first one, and the answer is stale (etcd 20418)", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const paused = script.elect(1)
    script.read(1, 7)
    script.run(() => script.wire.filter(({ message }) => message._tag === "HeartbeatReply").length === 2)
    const replies = script.wire.filter(({ message }) => message._tag === "HeartbeatReply")
    script.run()
    assert.deepStrictEqual(paused.reads, [{ id: 7, index: 2 }])
    // The process stands still; the others elect somebody and write.
    script.isolated.add(1)
    script.now += 5000
    script.elect(2)
    script.propose(2, "new")
    script.run()
    assert.strictEqual(script.core(2).commitIndex, 4)
    // It wakes, the question comes again, and the network delivers the answers of before once more.
    script.read(1, 7)
    for (const envelope of replies) paused.receive(envelope, script.now)
    assert.deepStrictEqual(paused.reads, [{ id: 7, index: 2 }], "no second answer")
    script.isolated.clear()
    script.pass(1000)
    assert.deepStrictEqual(paused.reads, [{ id: 7, index: 2 }, { id: 7, index: -1 }], "it is told to ask elsewhere")
  })
})
