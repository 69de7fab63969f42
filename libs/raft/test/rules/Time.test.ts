/** Rule 18 of those that are easily missed: which clock counts, and what a pause takes away. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "../support/Cluster.ts"
import { followersOf } from "../support/Members.ts"
import { Script } from "../support/Script.ts"

const { passing } = Cluster

describe("time", () => {
  it.effect("only the monotonic clock counts: a wall clock that jumps by an hour, to and fro, moves neither terms nor deadlines", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let offset = 0
      const jumping: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + offset,
        currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() + offset),
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n,
        currentTimeNanos: Effect.sync(() => clock.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n)
      }
      const cluster = yield* Cluster.make([1, 2, 3]).pipe(Effect.provideService(Clock.Clock, jumping))
      const leader = yield* cluster.elected
      const { term } = yield* leader.node.status
      for (let jumps = 0; jumps < 60; jumps++) {
        offset = jumps % 2 === 0 ? 3_600_000 : 0
        yield* TestClock.adjust(7 + jumps % 5)
        for (const { id, node } of cluster.running.values()) {
          const status = yield* node.status
          assert.deepStrictEqual([status.term, status.role], [term, id === leader.id ? "Leader" : "Follower"])
        }
      }
      yield* passing(cluster.propose(leader, "a"), 100)
      // An hour back, while two wait for a leader that is cut off: they must not wait an hour longer.
      cluster.network.isolate(leader.id)
      yield* TestClock.adjust(300)
      offset = -3_600_000
      const next = yield* cluster.eventually(Effect.gen(function*() {
        for (const member of followersOf(cluster, leader)) {
          if ((yield* member.node.status).role === "Leader") return Option.some(member)
        }
        return Option.none()
      }))
      yield* passing(cluster.propose(next, "b"), 100)
      assert.deepStrictEqual(next.register.commands, ["a", "b"])
    }))

  it("a leader that was paused for longer than its election timeout confirms no read with what it was told before, but by a new round", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const paused = script.elect(1)
    script.beat(1)
    script.run(() => script.wire.filter(({ message }) => message._tag === "HeartbeatReply").length === 2)
    const replies = script.wire.filter(({ message }) => message._tag === "HeartbeatReply")
    script.drop()
    script.now += 5000
    // All that piled up is looked at in one batch, in either order.
    const inputs = replies.map(({ from, message }) => ({ _tag: "Message", from, message }) as const)
    script.step(1, ...inputs, { _tag: "Read", id: 1 }, ...inputs)
    for (const envelope of replies) paused.receive(envelope, script.now)
    assert.deepStrictEqual(paused.reads, [])
    script.run()
    assert.deepStrictEqual(
      paused.reads,
      [{ id: 1, index: 2 }],
      "nobody has been elected meanwhile, and the new round says so"
    )
  })
})
