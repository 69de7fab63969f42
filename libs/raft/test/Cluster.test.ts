import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/Cluster.ts"

const { passing } = Cluster

describe("a cluster of members in one program", () => {
  it.effect("a single member elects itself and answers proposals", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1])
      const leader = yield* cluster.elected
      assert.strictEqual(yield* passing(cluster.propose(leader, "a")), "1")
      assert.deepStrictEqual(leader.register.commands, ["a"])
    }))

  it.effect("three members elect one leader and apply the same commands everywhere", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      for (const value of ["a", "b", "c"]) yield* passing(cluster.propose(leader, value))
      yield* TestClock.adjust(500)
      for (const member of cluster.running.values()) assert.deepStrictEqual(member.register.commands, ["a", "b", "c"])
    }))

  it.effect("a follower forwards proposals and gets the answer", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const follower = [...cluster.running.values()].find((member) => member !== leader)!
      assert.strictEqual(yield* passing(cluster.propose(follower, "a")), "1")
    }))

  it.effect("a read barrier on a follower covers every write acknowledged before it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      for (const member of cluster.running.values()) {
        yield* passing(member.node.readBarrier())
        assert.deepStrictEqual(member.register.commands, ["a"])
      }
    }))

  it.effect("when the leader goes another one takes over and keeps what was acknowledged", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const first = yield* cluster.elected
      yield* passing(cluster.propose(first, "a"))
      yield* first.stop
      const second = yield* cluster.elected
      assert.notStrictEqual(second.id, first.id)
      yield* passing(cluster.propose(second, "b"))
      assert.deepStrictEqual(second.register.commands, ["a", "b"])
    }))

  it.effect("a deposed leader that was cut off does not serve a read, and its proposals are lost or unknown", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const old = yield* cluster.elected
      cluster.network.isolate(old.id)
      const read = yield* Effect.forkChild(Effect.flip(old.node.readBarrier({ timeoutMillis: 3000 })))
      const write = yield* Effect.forkChild(Effect.flip(cluster.propose(old, "lost", 60_000)))
      yield* TestClock.adjust(8000)
      assert.strictEqual((yield* Fiber.join(read)).reason, "NoLeader")
      const others = [...cluster.running.values()].filter((member) => member !== old)
      const fresh = yield* cluster.eventually(Effect.gen(function*() {
        for (const member of others) if ((yield* member.node.status).role === "Leader") return Option.some(member)
        return Option.none()
      }))
      yield* passing(cluster.propose(fresh, "kept"))
      cluster.network.heal()
      const error = yield* passing(Fiber.join(write))
      assert.strictEqual(error.reason, "Lost")
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(old.register.commands, ["kept"])
    }))

  it.effect("a member tells who leads, at once and with each change", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const first = yield* cluster.elected
      const other = [...cluster.running.values()].find((member) => member !== first)!
      const told: Array<Option.Option<string>> = []
      yield* Effect.forkChild(Stream.runForEach(other.node.leader, (leader) => Effect.sync(() => told.push(leader))))
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(told, [Option.some(first.id)])
      yield* first.stop
      const second = yield* cluster.elected
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(told.at(-1), Option.some(second.id))
      assert.deepStrictEqual(yield* Stream.runHead(other.node.leader), Option.some(Option.some(second.id)))
    }))

  it.effect("leadership moves on request, to the member asked for", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const target = [...cluster.running.values()].find((member) => member !== leader)!
      const id = yield* passing(leader.node.transferLeadership(Option.some(target.id)))
      assert.strictEqual(id, target.id)
      assert.strictEqual((yield* target.node.status).role, "Leader")
    }))

  it.effect("a new member joins as a learner, is promoted by itself, and the membership change works from a follower", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      yield* cluster.start(4)
      const follower = [...cluster.running.values()].find((member) => member !== leader)!
      yield* passing(follower.node.changeMembership({
        _tag: "Join",
        member: Cluster.memberOf(4, true),
        replaces: Option.none()
      }))
      yield* cluster.eventually(Effect.gen(function*() {
        const { configuration } = yield* leader.node.status
        return configuration.voters.length === 4 && configuration.outgoing.length === 0
          ? Option.some(true)
          : Option.none()
      }))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(cluster.running.get(4)!.register.commands, ["a"])
    }))

  it.effect("a member far behind is caught up by a snapshot", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 0, compactAfterBytes: 1 })
      const leader = yield* cluster.elected
      const late = [...cluster.running.values()].find((member) => member !== leader)!
      cluster.network.isolate(late.id)
      yield* TestClock.adjust(1500)
      for (let count = 0; count < 50; count++) yield* passing(cluster.propose(leader, `v${count}`))
      yield* TestClock.adjust(1000)
      assert.isAbove((yield* leader.node.status).previousIndex, 40)
      cluster.network.heal()
      yield* cluster.eventually(
        Effect.sync(() => late.register.commands.length === 50 ? Option.some(true) : Option.none())
      )
      yield* passing(cluster.propose(leader, "after"))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
    }))

  it.effect("a member that restarts goes on with its log", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      const numbers = [...cluster.running.keys()]
      const kept = new Map(numbers.map((number) => [number, cluster.running.get(number)!]))
      for (const member of kept.values()) yield* member.stop
      for (const number of numbers) yield* cluster.start(number, kept.get(number)!)
      const again = yield* cluster.elected
      yield* passing(cluster.propose(again, "b"))
      assert.deepStrictEqual(again.register.commands, ["a", "b"])
    }))
})
