/** Whole members under virtual time: disks that stall or fail, and a member whose invariant breaks. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Limits from "../src/Limits.ts"
import { LogStoreError } from "../src/LogStore.ts"
import * as Cluster from "./support/Cluster.ts"
import { followersOf, numberOf } from "./support/Members.ts"
import { Register } from "./support/Register.ts"

const { passing } = Cluster

describe("disks", () => {
  it.effect("a stalled disk on a follower delays nobody but itself", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [slow, other] = followersOf(cluster, leader)
      yield* slow!.log.disk.close
      for (const value of ["a", "b", "c"]) yield* passing(cluster.propose(leader, value), 50)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(other!.register.commands, ["a", "b", "c"])
      assert.deepStrictEqual(slow!.register.commands, [], "it applies nothing that is not in its own durable log")
      yield* slow!.log.disk.open
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(slow!.register.commands, ["a", "b", "c"])
    }))

  it.effect("a follower whose disk hangs for long keeps a bounded number of answers back, and catches up afterwards", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [slow, other] = followersOf(cluster, leader)
      yield* slow!.log.disk.close
      // a term that its disk does not know makes it keep every answer back
      yield* passing(leader.node.transferLeadership(Option.some(other!.id)))
      const held = Effect.map(slow!.node.gauges, (gauges) => gauges.find(({ name }) => name === "heldMessagesMax")!)
      for (let minute = 0; minute < 10; minute++) yield* TestClock.adjust(60_000)
      const { limit, value } = yield* held
      assert.strictEqual(value, limit)
      yield* slow!.log.disk.open
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* held).value, 0)
      yield* passing(cluster.propose(other!, "a"))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(slow!.register.commands, ["a"])
    }))

  it.effect("a follower's disk may be a few windows behind, and that of a leader that was deposed as far as a leader's", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [slow] = followersOf(cluster, leader)
      const pending = ({ node }: Cluster.Running) =>
        Effect.map(node.gauges, (gauges) => gauges.find(({ name }) => name === "pendingAppendsMax")!)
      yield* slow!.log.disk.close
      yield* passing(cluster.propose(leader, "a"))
      const { limit, value } = yield* pending(slow!)
      assert.isAbove(value, 0)
      assert.strictEqual(limit, Limits.leadersAtOnce * Limits.windowMessagesMax)
      yield* slow!.log.disk.open
      yield* leader.log.disk.close
      for (let call = 0; call < 2 * limit; call++) yield* Effect.forkChild(cluster.propose(leader, `b${call}`))
      yield* TestClock.adjust(5000)
      assert.strictEqual((yield* leader.node.status).role, "Follower")
      const deposed = yield* pending(leader)
      assert.isAbove(deposed.value, limit)
      assert.isAtMost(deposed.value, deposed.limit)
    }))

  it.effect("a stalled disk on the only other voter holds up every acknowledgement", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2])
      const leader = yield* cluster.elected
      const [other] = followersOf(cluster, leader)
      yield* other!.log.disk.close
      const call = yield* Effect.forkChild(cluster.propose(leader, "a"))
      yield* TestClock.adjust(1500)
      assert.isUndefined(call.pollUnsafe())
      assert.deepStrictEqual(leader.register.commands, [])
      yield* other!.log.disk.open
      assert.strictEqual(yield* passing(Fiber.join(call)), "1")
    }))

  it.effect("a stalled disk on the leader holds up its answers, and nothing is applied before it is durable there", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* leader.log.disk.close
      const call = yield* Effect.forkChild(cluster.propose(leader, "a"))
      yield* TestClock.adjust(800)
      assert.isUndefined(call.pollUnsafe())
      assert.deepStrictEqual(leader.register.commands, [])
      yield* leader.log.disk.open
      assert.strictEqual(yield* passing(Fiber.join(call)), "1")
    }))

  it.effect("a single member answers nothing before its sync", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1])
      const leader = yield* cluster.elected
      yield* leader.log.disk.close
      const call = yield* Effect.forkChild(cluster.propose(leader, "a"))
      yield* TestClock.adjust(1500)
      assert.isUndefined(call.pollUnsafe())
      yield* leader.log.disk.open
      assert.strictEqual(yield* passing(Fiber.join(call)), "1")
    }))

  it.effect("a write that fails stops the member: it says why, tells its callers, and falls silent", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const stopped = yield* Effect.forkChild(Effect.flip(leader.node.stopped))
      leader.log.failure = new LogStoreError({ reason: "Io", message: "fdatasync: EIO on 00001.log" })
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(leader, "a")))
      yield* TestClock.adjust(50)
      const error = yield* Fiber.join(stopped)
      assert.strictEqual(error._tag, "MemberStopped")
      assert.include(error.message, "fdatasync: EIO on 00001.log")
      assert.strictEqual((yield* Fiber.join(call)).reason, "Unknown")
      assert.strictEqual((yield* Effect.flip(cluster.propose(leader, "b"))).reason, "Stopped")
      assert.strictEqual((yield* Effect.flip(leader.node.readBarrier())).reason, "Stopped")
      assert.strictEqual((yield* Effect.flip(leader.node.transferLeadership(Option.none()))).reason, "Stopped")
      let frames = 0
      cluster.network.filter = (from) => {
        if (from === leader.id) frames++
        return true
      }
      const writes = leader.log.writes
      yield* TestClock.adjust(5000)
      assert.strictEqual(frames, 0, "a leader that cannot write sends no heartbeats")
      assert.strictEqual(leader.log.writes, writes, "and tries nothing again")
      const others = followersOf(cluster, leader)
      const roles = yield* Effect.forEach(others, (member) => member.node.status)
      assert.isTrue(roles.some(({ role }) => role === "Leader"))
    }))

  it.effect("an invariant that breaks stops the member, and the message says which", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      yield* TestClock.adjust(500)
      const victim = followersOf(cluster, leader)[0]!
      yield* victim.stop
      // The disk loses the end of the log and the state with it, as when an old copy is put back.
      victim.log.entries = victim.log.entries.slice(0, 1)
      const register = new Register()
      const again = yield* cluster.start(numberOf(victim), { log: victim.log, register })
      const stopped = yield* Effect.forkChild(Effect.flip(again.node.stopped))
      const error = yield* passing(Fiber.join(stopped))
      assert.include(error.message, "it has lost entries that were acknowledged")
      assert.strictEqual(yield* passing(cluster.propose(leader, "b")), "2", "the others go on")
    }))
})
