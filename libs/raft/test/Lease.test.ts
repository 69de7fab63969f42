/** Whole members under virtual time, with leader leases on. A paused process is in `@dkv/testkit`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/Cluster.ts"
import { followersOf } from "./support/Members.ts"

const { passing } = Cluster

/** First bytes of the frames of a round. */
const heartbeats = [5, 6]

const leased = Effect.gen(function*() {
  const cluster = yield* Cluster.make([1, 2, 3], {}, { leaderLeases: true })
  const leader = yield* cluster.elected
  yield* passing(cluster.propose(leader, "a"))
  yield* TestClock.adjust(300)
  return { cluster, leader }
})

describe("members with leader leases", () => {
  it.effect("answer reads on the leader in no time and on followers after one question, without a round", () =>
    Effect.gen(function*() {
      const { cluster, leader } = yield* leased
      assert.isTrue((yield* leader.node.status).hasLease)
      let rounds = 0
      cluster.network.filter = (_from, _to, frame) => {
        if (heartbeats.includes(frame[0]!)) rounds++
        return true
      }
      for (const member of [leader, ...followersOf(cluster, leader)]) {
        const read = yield* Effect.forkChild(member.node.readBarrier())
        for (let turns = 0; turns < 100; turns++) yield* Effect.yieldNow
        assert.isDefined(read.pollUnsafe(), "no time has passed")
        yield* Fiber.join(read)
        assert.deepStrictEqual(member.register.commands, ["a"])
      }
      assert.strictEqual(rounds, 0)
    }))

  it.effect("serve no read beside another leader: a leader that is cut off reads for nine tenths of a timeout, and nobody leads before", () =>
    Effect.gen(function*() {
      const { cluster, leader } = yield* leased
      cluster.network.isolate(leader.id)
      const others = followersOf(cluster, leader)
      const hasSuccessor = Effect.map(
        Effect.forEach(others, ({ node }) => node.status),
        (statuses) => statuses.some(({ role }) => role === "Leader")
      )
      let readUntil = 0
      for (let passed = 0; passed < 4000; passed += 10) {
        const status = yield* leader.node.status
        if (status.hasLease) {
          readUntil = passed
          assert.isFalse(yield* hasSuccessor)
          yield* leader.node.readBarrier()
        }
        yield* TestClock.adjust(10)
      }
      assert.isAbove(readUntil, 700)
      assert.isAtMost(readUntil, 900)
      assert.isTrue(yield* hasSuccessor)
      const refused = yield* passing(Effect.flip(leader.node.readBarrier({ timeoutMillis: 500 })))
      assert.strictEqual(refused.reason, "NoLeader")
    }))

  it.effect("take leases up and give them up as the settings say, without a restart", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      for (const leaderLeases of [true, false]) {
        const { settings } = yield* passing(
          follower!.node.changeMembership({ _tag: "Configure", settings: { leaderLeases } })
        )
        yield* TestClock.adjust(300)
        assert.strictEqual((yield* leader.node.status).configuration.settings.leaderLeases, leaderLeases)
        assert.strictEqual((yield* leader.node.status).hasLease, leaderLeases)
        assert.strictEqual(settings.deadMembers, "warn")
      }
      const error = yield* passing(Effect.flip(
        follower!.node.changeMembership({ _tag: "Configure", settings: { deadMemberMillis: 9999 } })
      ))
      assert.strictEqual(error.reason, "Invalid")
    }))

  it.effect("move leadership on request all the same, and elect another leader when the first one dies", () =>
    Effect.gen(function*() {
      const { cluster, leader } = yield* leased
      const [target] = followersOf(cluster, leader)
      assert.strictEqual(yield* passing(leader.node.transferLeadership(Option.some(target!.id))), target!.id)
      yield* target!.stop
      yield* cluster.elected
      assert.strictEqual(yield* passing(cluster.propose(leader, "b")), "2")
    }))
})
