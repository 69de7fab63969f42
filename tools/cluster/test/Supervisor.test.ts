import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Queue, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import * as Board from "../src/Board.ts"
import * as Limits from "../src/Limits.ts"
import * as Plan from "../src/Plan.ts"
import { Processes, SpawnError } from "../src/Processes.ts"
import type { Ended, Signal } from "../src/Processes.ts"
import * as Supervisor from "../src/Supervisor.ts"

const plan = Plan.make({ nodes: 1, dataDir: "/data", clientPort: 3000, peerPort: 2380 }) as Plan.Plan

/** Processes that live until the test ends them. */
const makeFake = Effect.gen(function*() {
  const spawned: Array<{ readonly pid: number; readonly ended: Deferred.Deferred<Ended> }> = []
  const signals: Array<readonly [number, Signal]> = []
  const fake = { spawned, signals, spawnFails: false, endsOn: "SIGTERM" as Signal }
  const end = (ended: Ended) => Deferred.succeed(spawned.at(-1)!.ended, ended)
  const layer = Layer.succeed(
    Processes,
    Processes.of({
      spawn: () =>
        Effect.suspend(() => {
          if (fake.spawnFails) return Effect.fail(new SpawnError({ message: "ENOENT" }))
          const child = { pid: spawned.length + 1, ended: Deferred.makeUnsafe<Ended>() }
          spawned.push(child)
          return Effect.succeed({ pid: child.pid, ended: Deferred.await(child.ended) })
        }),
      kill: (pid, signal) =>
        Effect.suspend(() => {
          signals.push([pid, signal])
          return signal === fake.endsOn ? end({ code: undefined, signal }) : Effect.void
        }),
      commandLine: () => Effect.succeed(""),
      lastLine: () => Effect.succeed("the disk is full")
    })
  )
  const board = yield* Board.make(plan)
  const fiber = yield* Effect.forkScoped(
    Effect.provide(
      Supervisor.supervise(plan, plan.members[0]!, { command: "dkv", args: [] }, board, () => Effect.void),
      layer
    )
  )
  const row = Effect.map(SubscriptionRef.get(board.rows), (rows) => rows[0]!)
  yield* TestClock.adjust(0)
  return { fake, end, fiber, board, row }
})

describe("Supervisor", () => {
  it("the delay before a restart doubles up to its maximum", () => {
    assert.deepStrictEqual([1, 2, 3, 4, 5, 6, 7, 8, 100].map(Supervisor.restartDelayMillis), [
      500,
      1000,
      2000,
      4000,
      8000,
      16_000,
      30_000,
      30_000,
      30_000
    ])
  })

  it.effect("a member that dies is shown as down and started again after the delay", () =>
    Effect.gen(function*() {
      const { board, end, fake, row } = yield* makeFake
      assert.strictEqual(fake.spawned.length, 1)
      yield* end({ code: undefined, signal: "SIGKILL" })
      yield* TestClock.adjust(499)
      assert.strictEqual((yield* row).phase, "down")
      assert.strictEqual((yield* row).note, "process 1 was ended by SIGKILL; next start in 0.5 s")
      assert.strictEqual(fake.spawned.length, 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(fake.spawned.length, 2)
      assert.deepStrictEqual((yield* row).pid, Option.some(2))
      assert.strictEqual((yield* row).note, "restarted once")
      const events = yield* Queue.clear(board.events)
      assert.include(
        events.join("\n"),
        "dkv-0 is down: process 1 was ended by SIGKILL; next start in 0.5 s"
      )
    }))

  it.effect("a member that ends by itself is shown with the last line of its log", () =>
    Effect.gen(function*() {
      const { board, end } = yield* makeFake
      yield* end({ code: 1, signal: undefined })
      yield* TestClock.adjust(0)
      const events = yield* Queue.clear(board.events)
      assert.include(
        events,
        "dkv-0 is down: process 1 exited with code 1; next start in 0.5 s; last in its log: the disk is full"
      )
    }))

  it.effect("each further death in a row makes the delay grow, and a healthy life resets it", () =>
    Effect.gen(function*() {
      const { end, fake } = yield* makeFake
      for (const delay of [500, 1000, 2000]) {
        const before = fake.spawned.length
        yield* end({ code: 1, signal: undefined })
        yield* TestClock.adjust(delay - 1)
        assert.strictEqual(fake.spawned.length, before)
        yield* TestClock.adjust(1)
        assert.strictEqual(fake.spawned.length, before + 1)
      }
      yield* TestClock.adjust(Limits.healthyAfterMillis)
      yield* end({ code: 1, signal: undefined })
      yield* TestClock.adjust(500)
      assert.strictEqual(fake.spawned.length, 5)
    }))

  it.effect("a program that cannot be started counts as a death", () =>
    Effect.gen(function*() {
      const { end, fake, row } = yield* makeFake
      fake.spawnFails = true
      yield* end({ code: 1, signal: undefined })
      yield* TestClock.adjust(500)
      assert.strictEqual((yield* row).phase, "down")
      assert.strictEqual((yield* row).note, "could not be started: ENOENT; next start in 1 s")
      fake.spawnFails = false
      yield* TestClock.adjust(1000)
      assert.strictEqual(fake.spawned.length, 2)
    }))

  it.effect("stopping sends SIGTERM and waits for the end", () =>
    Effect.gen(function*() {
      const { fake, fiber, row } = yield* makeFake
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(fake.signals, [[1, "SIGTERM"]])
      assert.strictEqual((yield* row).phase, "stopped")
    }))

  it.effect("a member that ignores SIGTERM is killed after the grace time", () =>
    Effect.gen(function*() {
      const { fake, fiber, row } = yield* makeFake
      fake.endsOn = "SIGKILL"
      const stopping = yield* Effect.forkScoped(Fiber.interrupt(fiber))
      yield* TestClock.adjust(Limits.stopGraceMillis - 1)
      assert.deepStrictEqual(fake.signals, [[1, "SIGTERM"]])
      assert.strictEqual((yield* row).phase, "stopping")
      yield* TestClock.adjust(1)
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(fake.signals, [[1, "SIGTERM"], [1, "SIGKILL"]])
      assert.strictEqual((yield* row).phase, "stopped")
    }))
})
