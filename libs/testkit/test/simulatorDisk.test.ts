/** Which damage a log can still notice, as the simulator counts it. */
import { Disk } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Prng, SimDisk } from "../src/simulator/index.ts"

/** A disk with a file that is written durably, `length` bytes at a time. */
const make = Effect.fnUntraced(function*(syncMillis = 0) {
  const sim = new SimDisk.SimDisk("/log", syncMillis)
  const disk = yield* Effect.provide(Effect.service(Disk.Disk), sim.layer)
  yield* disk.makeDirectory("/log")
  const file = yield* disk.open("/log/a", { access: "write", create: "new", durableWrites: true })
  let end = 0
  const write = (length: number) =>
    Effect.suspend(() => {
      const at = end
      end += length
      return file.write(at, [new Uint8Array(length).fill(1)])
    })
  return { sim, write }
})

describe("a simulated disk", () => {
  it.effect("has nothing to rot before something is written", () =>
    Effect.gen(function*() {
      const { sim } = yield* make()
      assert.isFalse(sim.rot(new Prng.Prng(1)))
      assert.isFalse(sim.misdirect(new Prng.Prng(1)))
    }))

  it.effect("hides rot in its last write until another one stands behind it", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* make()
      yield* write(10)
      assert.isTrue(sim.rot(new Prng.Prng(1)))
      assert.isTrue(sim.hidesDamage)
      yield* write(1)
      assert.isFalse(sim.hidesDamage)
    }))

  it.effect("hides rot in a write that was under way when it struck (seed 6177)", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* make(5)
      const writing = yield* Effect.forkChild(write(10), { startImmediately: true })
      assert.isTrue(sim.rot(new Prng.Prng(1)))
      assert.isFalse(sim.hidesDamage, "it is not durable yet")
      yield* TestClock.adjust(5)
      yield* Fiber.join(writing)
      assert.isTrue(sim.hidesDamage)
    }))

  it.effect("hides no rot before its last write", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* make()
      yield* write(100_000)
      yield* write(1)
      assert.isTrue(sim.rot(new Prng.Prng(1)))
      assert.isFalse(sim.hidesDamage)
    }))

  it.effect("hides a write that went astray until another one stands behind its place", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* make()
      yield* write(10)
      assert.isTrue(sim.misdirect(new Prng.Prng(1)))
      assert.isFalse(sim.hidesDamage, "nothing has happened yet")
      yield* write(10)
      assert.isTrue(sim.hidesDamage)
      yield* write(10)
      assert.isFalse(sim.hidesDamage)
    }))

  it.effect("a write astray that never came is forgotten with the process", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* make()
      yield* write(10)
      assert.isTrue(sim.misdirect(new Prng.Prng(1)))
      yield* sim.kill
      assert.isFalse(sim.hidesDamage)
    }))
})
