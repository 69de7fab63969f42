/** Whole members under virtual time: snapshots for those that are far behind, and the log that is shortened because of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Limits from "../src/Limits.ts"
import { StateMachineError } from "../src/StateMachine.ts"
import * as Cluster from "./support/Cluster.ts"
import { followersOf, tag } from "./support/Members.ts"
import { bytes } from "./support/Register.ts"

const { passing } = Cluster

/** Three members of which one is a follower that lags so far behind that it needs a snapshot. */
const behind = Effect.fnUntraced(function*(commands: number) {
  const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 0, compactAfterBytes: 1 })
  const leader = yield* cluster.elected
  const late = followersOf(cluster, leader)[0]!
  yield* TestClock.adjust(1000)
  cluster.network.isolate(late.id)
  yield* TestClock.adjust(1500)
  const group = Array.from({ length: commands }, (_, count) => bytes(`v${count}`))
  yield* passing(leader.node.propose(group))
  yield* TestClock.adjust(1000)
  assert.isAbove((yield* leader.node.status).previousIndex, commands)
  return { cluster, leader, late }
})

describe("snapshots", () => {
  it.effect("chunks are sent once each while nothing is lost", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(400)
      const sent: Array<number> = []
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] === tag.snapshotChunk) sent.push(new DataView(frame.buffer, frame.byteOffset).getUint32(9))
        return true
      }
      cluster.network.heal()
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.deepStrictEqual(sent, Array.from({ length: 40 }, (_, chunk) => chunk))
    }))

  it.effect("lost and damaged chunks are sent again, and the rest is not", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(400)
      let chunks = 0
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] !== tag.snapshotChunk) return true
        chunks++
        if (chunks === 10) frame[frame.length - 1]! ^= 1
        return chunks % 7 !== 0
      }
      cluster.network.heal()
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.strictEqual(late.register.installs, 1)
      assert.isBelow(chunks, 100, "40 chunks, a lost one costs what was in flight behind it")
    }))

  it.effect("a transfer whose link was cut goes on where it stopped", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(400)
      const received: Array<number> = []
      cluster.network.filter = (_, to, frame) => {
        if (to !== late.id || frame[0] !== tag.snapshotChunk) return true
        received.push(new DataView(frame.buffer, frame.byteOffset).getUint32(9))
        if (received.length === 15) cluster.network.sever(leader.id, late.id)
        return true
      }
      for (const other of cluster.running.values()) if (other !== late) cluster.network.mend(other.id, late.id)
      yield* TestClock.adjust(1000)
      assert.isAtMost(received.length, 15)
      assert.deepStrictEqual(late.register.commands, [])
      const before = received.length
      cluster.network.mend(leader.id, late.id)
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.isAbove(Math.min(...received.slice(before)), 5, "not from the beginning")
    }))

  it.effect("a snapshot that the state machine refuses changes nothing, and is offered again", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(50)
      late.register.refusal = new StateMachineError({ reason: "Snapshot", message: "not of this format" })
      let refused = 0
      cluster.network.filter = (from, _, frame) => {
        if (from === late.id && frame[0] === tag.snapshotProgress && frame[13] === 2) refused++
        return true
      }
      cluster.network.heal()
      yield* TestClock.adjust(3000)
      assert.isAbove(refused, 0)
      assert.deepStrictEqual(late.register.commands, [])
      assert.strictEqual((yield* late.node.status).role, "Follower")
      late.register.refusal = undefined
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
    }))

  it.effect("a snapshot that keeps being refused is not offered in a hot loop", () =>
    Effect.gen(function*() {
      const { cluster, late } = yield* behind(50)
      late.register.refusal = new StateMachineError({ reason: "Snapshot", message: "not of this format" })
      let offers = 0
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] === tag.snapshotOffer) offers++
        return true
      }
      cluster.network.heal()
      yield* TestClock.adjust(10_000)
      assert.isAtMost(offers, 20)
    }))

  it.effect("a transfer whose last word was lost ends all the same, and does not hold up the next one", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(50)
      let offers = 0
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] === tag.snapshotOffer) offers++
        return !(frame[0] === tag.snapshotProgress && frame[13] === 1)
      }
      cluster.network.heal()
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.isAtMost(offers, 3)
      cluster.network.filter = () => true
      yield* passing(cluster.propose(leader, "after"))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
    }))

  it.effect("a member that has the entries after all does not wait for the rest of a snapshot", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 0, compactAfterBytes: 1 })
      const leader = yield* cluster.elected
      const slow = followersOf(cluster, leader)[0]!
      yield* TestClock.adjust(1000)
      let offers = 0
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] === tag.snapshotOffer) offers++
        return frame[0] !== tag.snapshotChunk
      }
      slow.log.disk.closeUnsafe()
      yield* passing(cluster.propose(leader, "a"))
      yield* TestClock.adjust(1000)
      assert.isAbove(offers, 0, "its disk has not taken what the leader's log does not have any more")
      slow.log.disk.openUnsafe()
      yield* TestClock.adjust(Limits.snapshotSilenceMillis + 500)
      assert.deepStrictEqual(slow.register.commands, ["a"])
      assert.strictEqual(slow.register.installs, 0)
    }))

  it.effect("two snapshots in a short time: the member has what the newer one brought", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(50)
      cluster.network.heal()
      yield* cluster.eventually(
        Effect.sync(() => late.register.commands.length === 50 ? Option.some(true) : Option.none())
      )
      cluster.network.isolate(late.id)
      yield* TestClock.adjust(1500)
      for (let count = 0; count < 30; count++) yield* passing(cluster.propose(leader, `w${count}`))
      yield* TestClock.adjust(5000)
      cluster.network.heal()
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
    }))
})

describe("compaction", () => {
  it.effect("a state that was found on start is not taken for durable: the log is not shortened by it before a flush", () =>
    Effect.gen(function*() {
      const settings = { trailingEntries: 0 }
      const cluster = yield* Cluster.make([1], settings)
      const first = yield* cluster.elected
      for (const value of ["a", "b", "c"]) yield* passing(cluster.propose(first, value))
      yield* first.stop
      const again = yield* cluster.start(1, first)
      yield* TestClock.adjust(Limits.compactAfterMillis - 2000)
      assert.strictEqual((yield* again.node.status).previousIndex, 0)
      yield* TestClock.adjust(4000)
      assert.isAbove((yield* again.node.status).previousIndex, 3)
    }))

  it.effect("the log keeps its last entries, so that a member a little behind needs no snapshot", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 20, compactAfterBytes: 1 })
      const leader = yield* cluster.elected
      for (let count = 0; count < 30; count++) yield* passing(cluster.propose(leader, `v${count}`))
      yield* TestClock.adjust(1000)
      const late = followersOf(cluster, leader)[0]!
      cluster.network.isolate(late.id)
      for (let count = 0; count < 15; count++) yield* passing(cluster.propose(leader, `w${count}`))
      yield* TestClock.adjust(1000)
      const { appliedIndex, previousIndex } = yield* leader.node.status
      assert.isAbove(previousIndex, 0)
      assert.isAtMost(previousIndex, appliedIndex - 20)
      cluster.network.heal()
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.strictEqual(late.register.installs, 0)
    }))

  it.effect("a log that took in little is not shortened", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1], { trailingEntries: 0 })
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      yield* TestClock.adjust(5000)
      assert.strictEqual((yield* leader.node.status).previousIndex, 0)
      yield* TestClock.adjust(30_000)
      assert.strictEqual((yield* leader.node.status).previousIndex, 3, "but after a while it is")
    }))

  it.effect("a member goes on after its log was compacted and it was restarted", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 2, compactAfterBytes: 1 })
      const leader = yield* cluster.elected
      for (let count = 0; count < 20; count++) yield* passing(cluster.propose(leader, `v${count}`))
      yield* TestClock.adjust(1000)
      const members = [...cluster.running]
      for (const [, member] of members) yield* member.stop
      for (const [number, member] of members) yield* cluster.start(number, member)
      const again = yield* cluster.elected
      assert.strictEqual(yield* passing(cluster.propose(again, "z")), "21")
    }))
})
