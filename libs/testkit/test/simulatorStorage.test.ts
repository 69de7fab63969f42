/** The storage that the simulator slows down and has fail, and whoever must answer in time across pauses. */
import { MemoryStorage, Storage } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Deadline, SimStorage, World } from "../src/simulator/index.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const make = Effect.gen(function*() {
  const sim = new SimStorage.SimStorage(MemoryStorage.layer)
  const storage = Context.get(yield* Layer.build(sim.layer), Storage.Storage)
  const put = (key: string) => storage.write([{ _tag: "Put", key: bytes(key), value: bytes("v") }])
  return { sim, storage, put }
})

describe("a simulated storage", () => {
  it.effect("refuses one write or flush, and does nothing of it", () =>
    Effect.gen(function*() {
      const { put, sim, storage } = yield* make
      sim.fail("write")
      yield* storage.flush
      assert.equal((yield* Effect.flip(put("a"))).reason, "Io")
      assert.deepEqual(yield* storage.getMany([bytes("a")]), [undefined])
      yield* put("a")
      sim.fail("flush")
      assert.equal((yield* Effect.flip(storage.flush)).reason, "Io")
      sim.fail("flush")
      sim.heal()
      yield* storage.flush
    }).pipe(Effect.scoped))

  it.effect("tells a fault when something comes of it, once, and not what was over before", () =>
    Effect.gen(function*() {
      const { put, sim } = yield* make
      const hits: Array<string> = []
      const arm = () => {
        sim.slow(10, 0, () => hits.push("slow"))
        sim.fail("write", () => hits.push("fail"))
      }
      const done = (key: string) =>
        Effect.gen(function*() {
          const writing = yield* Effect.forkChild(put(key), { startImmediately: true })
          yield* TestClock.adjust(10)
          yield* Effect.exit(Fiber.join(writing))
        })
      arm()
      sim.heal()
      yield* done("a")
      assert.isEmpty(hits)
      arm()
      for (const key of ["b", "c", "d"]) yield* done(key)
      assert.deepStrictEqual(hits, ["fail", "slow"])
    }).pipe(Effect.scoped))

  it.effect("takes its time until it is sped up", () =>
    Effect.gen(function*() {
      const { put, sim, storage } = yield* make
      sim.slow(100, 3)
      assert.deepEqual([sim.isSlow, sim.slowedAt], [true, 3])
      const writing = yield* Effect.forkChild(put("a"), { startImmediately: true })
      yield* TestClock.adjust(99)
      assert.deepEqual(yield* storage.getMany([bytes("a")]), [undefined])
      yield* TestClock.adjust(1)
      yield* Fiber.join(writing)
      sim.speedUp()
      yield* put("b")
      assert.isFalse(sim.isSlow)
    }).pipe(Effect.scoped))
})

describe("a deadline", () => {
  const run = (pauses: ReadonlyArray<readonly [number, number]>, stopAt = Infinity) => {
    const world = new World.World(1, { shuffle: false })
    const machine = world.machine()
    let lateAt: number | undefined
    for (const [from, to] of pauses) {
      world.after(from, () => machine.pause())
      world.after(to, () => machine.resume())
    }
    const stop = Deadline.watch(world, machine, 100, () => void (lateAt = world.now))
    if (stopAt !== Infinity) world.after(stopAt, stop)
    while (world.step());
    return lateAt
  }

  it("passes once, at its time, unless somebody answers", () => {
    assert.equal(run([]), 100)
    assert.isUndefined(run([], 99))
  })

  it("comes as long again after the end of a pause, and not never", () => {
    assert.equal(run([[10, 50]]), 150)
    assert.equal(run([[90, 350]]), 450)
    assert.equal(run([[10, 50], [140, 160]]), 260)
    assert.isUndefined(run([[10, 50]], 149))
  })

  it("is not put off by the end of a pause that never was", () => {
    assert.equal(run([[300, 40]]), 100)
  })
})
