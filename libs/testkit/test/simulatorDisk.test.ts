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

  it.effect("has room for so many bytes when it fills up, in files of all directories", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* make()
      yield* write(10)
      const disk = yield* Effect.provide(Effect.service(Disk.Disk), sim.layer)
      yield* disk.makeDirectory("/state/old")
      const other = yield* disk.open("/state/old/b", { access: "write", create: "new" })
      yield* other.write(0, [new Uint8Array(7)])
      sim.fill(5)
      yield* write(4)
      const refused = yield* Effect.flip(write(4))
      assert.equal(refused.reason, "Full")
      assert.equal(yield* (yield* disk.open("/log/a", { access: "read" })).size, 15, "a part of it is there")
      sim.free()
      yield* write(4)
    }))

  it.effect("fails at what it is told to, once, unless it is healed before", () =>
    Effect.gen(function*() {
      const { sim } = yield* make()
      const disk = yield* Effect.provide(Effect.service(Disk.Disk), sim.layer)
      const open = disk.open("/log/a", { access: "read" })
      for (const operation of SimDisk.failures) sim.fail(operation)
      assert.equal((yield* Effect.flip(open)).reason, "Io")
      yield* open
      for (const operation of SimDisk.failures) sim.fail(operation)
      sim.heal()
      yield* open
      yield* disk.rename("/log/a", "/log/c")
      yield* disk.unlink("/log/c")
      yield* disk.syncDirectory("/log")
    }))

  it.effect("tells a fault when something comes of it, once, and not what was over before", () =>
    Effect.gen(function*() {
      const { sim, write } = yield* make(5)
      const done = (length: number) =>
        Effect.gen(function*() {
          const writing = yield* Effect.forkChild(write(length), { startImmediately: true })
          yield* TestClock.adjust(100)
          yield* Effect.exit(Fiber.join(writing))
        })
      let hits: Array<string> = []
      const hit = (kind: string) => () => void hits.push(kind)
      const prng = new Prng.Prng(1)
      yield* done(10)
      const arm = () => {
        sim.slow(50, 0, hit("slow"))
        sim.fill(3, hit("full"))
        sim.fail("sync", hit("sync"))
        assert.isTrue(sim.misdirect(prng, hit("misdirect")))
      }
      arm()
      assert.isEmpty(hits)
      yield* done(5)
      assert.sameMembers(hits, ["full", "misdirect"], "what is refused for lack of room never comes to its sync")
      sim.free()
      yield* done(5)
      assert.sameMembers(hits, ["full", "misdirect", "slow", "sync"])
      sim.fill(0)
      yield* done(5)
      sim.free()
      yield* done(5)
      assert.lengthOf(hits, 4)

      hits = []
      arm()
      sim.speedUp()
      sim.heal()
      yield* sim.kill
      const disk = yield* Effect.provide(Effect.service(Disk.Disk), sim.layer)
      const again = yield* disk.open("/log/a", { access: "write", durableWrites: true })
      const writing = yield* Effect.forkChild(again.write(0, [new Uint8Array(10)]), { startImmediately: true })
      yield* TestClock.adjust(100)
      yield* Fiber.join(writing)
      assert.isEmpty(hits)
    }))

  it.effect("counts the crashes that leave a write in part", () =>
    Effect.gen(function*() {
      const sim = new SimDisk.SimDisk("/log", 0)
      const disk = yield* Effect.provide(Effect.service(Disk.Disk), sim.layer)
      yield* disk.makeDirectory("/log")
      const file = yield* disk.open("/log/a", { access: "write", create: "new" })
      yield* disk.syncDirectory("/log")
      yield* file.write(0, [new Uint8Array(512 * 100).fill(1)])
      yield* file.sync
      yield* sim.crash
      assert.strictEqual(sim.tornWrites, 0)
      const again = yield* disk.open("/log/a", { access: "write" })
      yield* again.write(0, [new Uint8Array(512 * 100).fill(2)])
      yield* sim.kill
      assert.strictEqual(sim.tornWrites, 0)
      yield* sim.crash
      assert.strictEqual(sim.tornWrites, 1)
    }))

  it("is slow until it is sped up, and says since when", () => {
    const sim = new SimDisk.SimDisk("/log", 5)
    assert.isFalse(sim.isSlow)
    sim.slow(2000, 7)
    assert.deepEqual([sim.isSlow, sim.slowedAt], [true, 7])
    assert.isTrue(sim.speedUp(), "what is under way may hang on")
    assert.deepEqual([sim.isSlow, sim.slowedAt], [false, 7])
  })
})
