/** Whole members under virtual time: peers that talk nonsense or die, and members that come and go. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/Cluster.ts"
import { followersOf, numberOf } from "./support/Members.ts"
import type { Members, Running } from "./support/Members.ts"

const { passing } = Cluster

describe("peers", () => {
  it.effect("frames that make no sense are dropped without harm", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      let state = 17
      const next = () => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0
        return state >>> 16
      }
      for (const to of [leader, follower!]) {
        const handlers = cluster.network.handlers.get(to.id)!
        for (let count = 0; count < 500; count++) {
          // Tags of which no message is that short.
          const garbage = Uint8Array.from({ length: next() % 8 }, () => next() & 0xff)
          handlers.onFrame(cluster.running.get(3)!.id, count % 2 === 0 ? "raft" : "bulk", garbage)
        }
      }
      assert.strictEqual(yield* passing(cluster.propose(leader, "a")), "1")
      assert.strictEqual((yield* leader.node.status).role, "Leader")
      assert.strictEqual((yield* leader.node.status).term, (yield* follower!.node.status).term)
    }))

  it.effect("a leader that dies with its connections is replaced within an election timeout", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* TestClock.adjust(1000)
      yield* leader.stop
      let waited = 0
      while (Option.isNone(yield* cluster.leader)) {
        yield* TestClock.adjust(10)
        waited += 10
      }
      assert.isAtMost(waited, 1000)
    }))

  it.effect("five members do without any two, and not without three", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3, 4, 5])
      for (const value of ["1", "2"]) {
        const leader = yield* cluster.elected
        yield* leader.stop
        const fresh = yield* cluster.elected
        assert.strictEqual(yield* passing(cluster.propose(fresh, value)), value)
      }
      const leader = yield* cluster.elected
      yield* followersOf(cluster, leader)[0]!.stop
      const error = yield* passing(Effect.flip(cluster.propose(leader, "x", 3000)))
      assert.include(["Unknown", "NoLeader"], error.reason)
      assert.deepStrictEqual(leader.register.commands, ["1", "2"])
    }))
})

describe("membership", () => {
  const settled = (cluster: Members, voters: ReadonlyArray<number>) =>
    cluster.eventually(Effect.gen(function*() {
      const leader = yield* cluster.leader
      if (Option.isNone(leader)) return leader
      const { configuration } = yield* leader.value.node.status
      return configuration.outgoing.length === 0 &&
          [...configuration.voters].sort().join() === voters.map(Cluster.idOf).join()
        ? leader
        : Option.none<Running>()
    }))

  it.effect("a leader that leaves answers first; the others go on without it, and it knows that it is out", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      const rest = followersOf(cluster, leader)
      const configuration = yield* passing(
        leader.node.changeMembership({ _tag: "Leave", id: leader.id, force: false })
      )
      assert.deepStrictEqual([...configuration.voters], rest.map(({ id }) => id))
      const status = yield* leader.node.status
      assert.deepStrictEqual([status.role, status.removed], ["Learner", true])
      const fresh = yield* settled(cluster, rest.map(numberOf))
      assert.strictEqual(yield* passing(cluster.propose(fresh, "b")), "2")
    }))

  it.effect("a follower that leaves is told, and stays out", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [gone, other] = followersOf(cluster, leader)
      yield* passing(other!.node.changeMembership({ _tag: "Leave", id: gone!.id, force: false }))
      yield* TestClock.adjust(5000)
      const status = yield* gone!.node.status
      assert.deepStrictEqual([status.role, status.removed], ["Learner", true])
      assert.strictEqual((yield* leader.node.status).role, "Leader")
      assert.strictEqual(yield* passing(cluster.propose(other!, "a")), "1")
    }))

  it.effect("a member that lost its disk comes back under a new id, and the two change places in one step", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      const lost = followersOf(cluster, leader)[0]!
      yield* lost.stop
      yield* TestClock.adjust(2000)
      yield* cluster.start(4)
      const { name, peerAddress } = Cluster.memberOf(numberOf(lost))
      yield* passing(leader.node.changeMembership({
        _tag: "Join",
        member: { ...Cluster.memberOf(4, true), name, peerAddress },
        replaces: Option.some(lost.id)
      }))
      const voters = [1, 2, 3].filter((number) => number !== numberOf(lost)).concat(4)
      yield* settled(cluster, voters)
      const { configuration } = yield* leader.node.status
      assert.strictEqual(configuration.members.length, 3)
      assert.strictEqual(configuration.members.filter((member) => member.name === name).length, 1)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(cluster.running.get(4)!.register.commands, ["a"])
    }))

  it.effect("refusals reach a caller on a follower with their reason", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      const reasonOf = (effect: Effect.Effect<unknown, { readonly reason: string }>) =>
        Effect.map(passing(Effect.flip(effect)), ({ reason }) => reason)
      const { node } = follower!
      const stranger = Cluster.idOf(9)
      assert.strictEqual(
        yield* reasonOf(node.changeMembership({ _tag: "Leave", id: stranger, force: false })),
        "NotFound"
      )
      assert.strictEqual(yield* reasonOf(node.transferLeadership(Option.some(stranger))), "NotFound")
      const clash = { ...Cluster.memberOf(9), name: "dkv-1" }
      assert.strictEqual(
        yield* reasonOf(node.changeMembership({ _tag: "Join", member: clash, replaces: Option.none() })),
        "Conflict"
      )
    }))

  it.effect("a change without a leader waits, and fails with NoLeader at its deadline", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [one, other] = followersOf(cluster, leader)
      yield* leader.stop
      yield* other!.stop
      yield* TestClock.adjust(5000)
      const error = yield* passing(
        Effect.flip(one!.node.changeMembership({ _tag: "Leave", id: leader.id, force: false }, { timeoutMillis: 500 }))
      )
      assert.strictEqual(error.reason, "NoLeader")
    }))
})
