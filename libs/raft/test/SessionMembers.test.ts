/** Whole members under virtual time: commands of a client session take effect once, whatever becomes of links, leaders and logs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import type { Session } from "../src/index.ts"
import * as Cluster from "./support/Cluster.ts"
import { followersOf, numberOf, tag } from "./support/Members.ts"
import type { Running } from "./support/Members.ts"
import { bytes, text } from "./support/Register.ts"

const { passing } = Cluster

/** Proposes `labels`, numbered from `sequence` on. */
const propose = (member: Running, session: Session.SessionId, sequence: number, labels: string) => {
  const commands = labels.split(" ").map(bytes)
  const runs = [{ sequence, count: commands.length }]
  return passing(
    Effect.map(
      member.node.propose(commands, { session: { session, lowestUnanswered: 0, runs }, timeoutMillis: 5000 }),
      (results) => results.map(text).join(" ")
    )
  )
}

describe("a client session", () => {
  it.effect("makes a proposal whose outcome was unknown safe to repeat, on any member", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower, other] = followersOf(cluster, leader)
      const session = yield* passing(follower!.node.openSession())
      cluster.network.filter = (_, to, frame) => !(to === follower!.id && frame[0] === tag.forwardDone)
      const call = yield* Effect.forkChild(Effect.flip(propose(follower!, session, 1, "a b")))
      yield* TestClock.adjust(100)
      cluster.network.sever(leader.id, follower!.id)
      assert.strictEqual((yield* passing(Fiber.join(call))).reason, "Unknown")
      assert.strictEqual(yield* propose(other!, session, 1, "a b"), "1 2")
      assert.strictEqual(yield* propose(leader, session, 2, "b c"), "2 3")
      assert.deepStrictEqual(leader.register.commands, ["a", "b", "c"])
    }))

  it.effect("is known to the next leader, and after a restart of all", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const session = yield* passing(leader.node.openSession())
      assert.strictEqual(yield* propose(leader, session, 1, "a"), "1")
      yield* leader.stop
      const next = yield* cluster.elected
      assert.strictEqual(yield* propose(next, session, 1, "a"), "1")
      yield* TestClock.adjust(500)
      const members = [...cluster.running.values(), leader]
      for (const member of members) yield* member.stop
      for (const member of members) yield* cluster.start(numberOf(member), member)
      const last = yield* cluster.elected
      assert.strictEqual(yield* propose(last, session, 1, "a"), "1")
      assert.deepStrictEqual(last.register.commands, ["a"])
    }))

  it.effect("comes with a snapshot", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 0, compactAfterBytes: 1 })
      const leader = yield* cluster.elected
      const [late, other] = followersOf(cluster, leader)
      yield* TestClock.adjust(1000)
      cluster.network.isolate(late!.id)
      yield* TestClock.adjust(1500)
      const session = yield* passing(leader.node.openSession())
      yield* propose(leader, session, 1, "a b c")
      yield* passing(leader.node.propose(Array.from({ length: 50 }, (_, count) => bytes(`x${count}`))))
      yield* TestClock.adjust(1000)
      assert.isAbove((yield* leader.node.status).previousIndex, 50)
      cluster.network.heal()
      yield* TestClock.adjust(5000)
      assert.strictEqual(late!.register.installs, 1)
      yield* passing(leader.node.transferLeadership(Option.some(late!.id)))
      yield* other!.stop
      assert.strictEqual(yield* propose(late!, session, 1, "a b c"), "1 2 3")
      assert.strictEqual(late!.register.commands.length, 53)
    }))

  it.effect("answers what it can of a group, whoever was asked, where one command has no answer any more and one is too far ahead", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      const session = yield* passing(leader.node.openSession())
      yield* propose(leader, session, 1, "a b")
      for (const { node } of [leader, follower!]) {
        const stamp: Session.Stamp = {
          session,
          lowestUnanswered: 2,
          runs: [{ sequence: 1, count: 2 }, { sequence: 70_000, count: 1 }, { sequence: 3, count: 1 }]
        }
        const answers = yield* passing(node.proposeEach("a b x c".split(" ").map(bytes), { session: stamp }))
        assert.deepStrictEqual(
          answers.map((answer) => answer instanceof Uint8Array ? text(answer) : answer.reason),
          ["Unknown", "2", "Busy", "3"]
        )
        const error = yield* passing(Effect.flip(node.propose("a b x c".split(" ").map(bytes), { session: stamp })))
        assert.strictEqual(error.reason, "Unknown")
      }
      assert.deepStrictEqual(leader.register.commands, ["a", "b", "c"])
    }))

  it.effect("whose numbers go beyond 2^53 - 1 is refused before anything is appended, on any member, and nobody stops", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      const session = yield* passing(leader.node.openSession())
      for (const member of [leader, follower!]) {
        const error = yield* Effect.flip(propose(member, session, Number.MAX_SAFE_INTEGER, "a b"))
        assert.strictEqual(error.reason, "TooLarge")
      }
      assert.strictEqual(yield* propose(follower!, session, 1, "c"), "1")
    }))

  it.effect("that is not open is refused, and nothing of the group is carried out", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      const error = yield* Effect.flip(propose(follower!, { index: 1, term: 1 }, 1, "a b"))
      assert.strictEqual(error.reason, "Expired")
      assert.deepStrictEqual(leader.register.commands, [])
    }))
})

describe("bounded staleness", () => {
  it.effect("a follower that is cut off serves reads as long as its last confirmation is young enough, and no longer", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      yield* passing(follower!.node.readBarrier())
      cluster.network.isolate(follower!.id)
      yield* TestClock.adjust(300)
      yield* follower!.node.readBarrier({ maxStalenessMillis: 1000 })
      yield* TestClock.adjust(800)
      const late = passing(Effect.flip(follower!.node.readBarrier({ maxStalenessMillis: 1000, timeoutMillis: 500 })))
      assert.strictEqual((yield* late).reason, "NoLeader")
    }))

  it.effect("the leader is asked once in a while and not once per read", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      let asked = 0
      cluster.network.filter = (from, _, frame) => {
        if (from === follower!.id && frame[0] === tag.readIndex) asked++
        return true
      }
      for (let count = 0; count < 20; count++) {
        yield* passing(follower!.node.readBarrier({ maxStalenessMillis: 1000 }))
        yield* TestClock.adjust(100)
      }
      assert.isAtLeast(asked, 1)
      assert.isAtMost(asked, 3)
    }))
})
