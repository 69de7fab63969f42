import { Configuration } from "@dkv/raft"
import { Control } from "@dkv/transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Limits from "../src/Limits.ts"
import * as Upkeep from "../src/Upkeep.ts"
import { FakeCluster, settled } from "./FakeCluster.ts"
import type { Process } from "./FakeCluster.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]

/** A member that hears no leader and asks around, and the leader that denies it. */
const denied = Effect.gen(function*() {
  const cluster = new FakeCluster(names)
  const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
  yield* TestClock.adjust("10 seconds")
  const records = yield* Effect.forEach(processes, settled)
  const { control, self } = processes[2]!
  const id = records[2]!.memberId
  const node = {
    ...cluster.node(id),
    status: Effect.sync(() => ({ ...cluster.status(id), leader: Option.none(), configuration: Configuration.empty }))
  }
  const watch = yield* Effect.forkChild(
    Effect.flip(Upkeep.watchRemoval(self, node, 1000)).pipe(Effect.provideService(Control.Control, control))
  )
  const before = cluster.configuration
  return {
    cluster,
    leaders: records.map((record) => record.memberId),
    remove: Effect.sync(() => {
      cluster.configuration = { ...before, members: before.members.filter((member) => member.id !== id) }
    }),
    keep: Effect.sync(() => {
      cluster.configuration = before
    }),
    watch,
    hasStopped: Effect.sync(() => watch.pollUnsafe() !== undefined)
  }
})

describe("a member that hears no leader", () => {
  it.effect("goes on asking while the leader knows it", () =>
    Effect.gen(function*() {
      const { hasStopped } = yield* denied
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* hasStopped)
    }))

  it.effect("stops when one leader has denied it twice in one term", () =>
    Effect.gen(function*() {
      const { hasStopped, remove, watch } = yield* denied
      yield* remove
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(yield* hasStopped)
      yield* TestClock.adjust("4 seconds")
      assert.isTrue(yield* hasStopped)
      assert.match((yield* Fiber.join(watch)).message, /dkv-2 .* was removed/)
    }))

  it.effect("does not believe two leaders, or one in two terms: each may be deposed without knowing", () =>
    Effect.gen(function*() {
      const { cluster, hasStopped, leaders, remove } = yield* denied
      yield* remove
      for (let round = 0; round < 20; round++) {
        if (round % 2 === 0) cluster.term++
        else cluster.leader = leaders[Math.floor(round / 2) % 2]!
        yield* TestClock.adjust("2 seconds")
      }
      assert.isFalse(yield* hasStopped)
    }))

  it.effect("does not add up denials with an acceptance between them", () =>
    Effect.gen(function*() {
      const { hasStopped, keep, remove } = yield* denied
      for (let round = 0; round < 10; round++) {
        yield* remove
        yield* TestClock.adjust("2 seconds")
        yield* keep
        yield* TestClock.adjust("2 seconds")
      }
      assert.isFalse(yield* hasStopped)
    }))

  it.effect("does not believe a follower", () =>
    Effect.gen(function*() {
      const { cluster, hasStopped, remove } = yield* denied
      cluster.leader = "nobody"
      yield* remove
      yield* TestClock.adjust("1 minute")
      assert.isFalse(yield* hasStopped)
    }))

  it.effect("stops when others have taken its cluster over, unless a quorum of it answers", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
      yield* TestClock.adjust("10 seconds")
      const [heir, , own] = processes as [Process, Process, Process]
      const { memberId } = own.self.record()
      yield* heir.self.update((record) => ({
        ...record,
        clusterId: Option.some("00000000000000aa"),
        formerClusters: Option.toArray(record.clusterId)
      }))
      const status = Effect.sync(() => ({ ...cluster.status(memberId), leader: Option.none() }))
      const watch = yield* Effect.forkChild(
        Effect.flip(Upkeep.watchRemoval(own.self, { ...cluster.node(memberId), status }, 1000)).pipe(
          Effect.provideService(Control.Control, own.control)
        )
      )
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(watch.pollUnsafe(), "with the second one it is a majority")
      cluster.filter = (_, to) => to !== "dkv-1:2380"
      yield* TestClock.adjust(Limits.removalCheckMillis + Limits.probeTimeoutMillis)
      assert.isUndefined(watch.pollUnsafe(), "it may be back in a moment")
      yield* TestClock.adjust("10 seconds")
      assert.match((yield* Fiber.join(watch)).message, /dkv-2 .* was given up: dkv-0 has taken its cluster over/)
    }))
})
