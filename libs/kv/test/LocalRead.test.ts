import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { Limits } from "../src/index.ts"
import { open, put, range, show } from "./Harness.ts"
import { MapStorage } from "./MapStorage.ts"

const filler = Array.from({ length: 20 }, (_, i) => put(`filler ${i}`, "x"))

const stored = Effect.fnUntraced(function*(storage: MapStorage) {
  yield* Effect.scoped(Effect.flatMap(open(storage), (kv) => kv.apply([put("a", "1"), put("b", "1")])))
  return yield* open(storage, { cacheBytesMax: 3000 })
})

describe("a read that the storage answers late", () => {
  it.effect("shows what was applied meanwhile, and leaves nothing older in the cache", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* stored(storage)
      const held = storage.answers = Latch.makeUnsafe(false)
      const late = yield* Effect.forkChild(kv.reader.read([range("a"), range("b")]))
      for (let i = 0; i < 3; i++) yield* Effect.yieldNow
      storage.answers = Latch.makeUnsafe(true)
      yield* kv.apply([put("a", "2")])
      // So many others that the key leaves the cache before the read, which saw it as it was, comes back.
      for (let i = 0; i < 3; i++) yield* kv.apply(filler)
      yield* kv.machine.flush
      held.openUnsafe()
      assert.deepStrictEqual((yield* Fiber.join(late)).map(show), ["a=2@2/4/2", "b=1@3/3/1"])
      assert.strictEqual(yield* kv.show(range("a")), "a=2@2/4/2")
    }))

  it.effect("leaves no value of an older change in the cache either", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const large = "l".repeat(Limits.inlineValueBytesMax + 1)
      yield* Effect.scoped(Effect.flatMap(open(storage), (kv) => kv.apply([put("a", large)])))
      const kv = yield* open(storage)
      const reads = storage.reads
      const late = yield* Effect.forkChild(kv.reader.read([range("a")]))
      while (storage.reads === reads) yield* Effect.yieldNow
      const held = storage.answers = Latch.makeUnsafe(false)
      while (storage.reads === reads + 1) yield* Effect.yieldNow
      storage.answers = Latch.makeUnsafe(true)
      yield* kv.apply([put("a", "2")])
      held.openUnsafe()
      assert.deepStrictEqual((yield* Fiber.join(late)).map(show), [`a=${large}@2/2/1`])
      assert.strictEqual(yield* kv.show(range("a")), "a=2@2/3/2")
    }))

  it.effect("shows a batch that was written between its snapshot and its answer", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* stored(storage)
      storage.gate.closeUnsafe()
      yield* kv.apply([put("a", "2"), put("b", "2")])
      storage.answers.closeUnsafe()
      const late = yield* Effect.forkChild(kv.reader.read([range("a", "c")]))
      for (let i = 0; i < 3; i++) yield* Effect.yieldNow
      storage.gate.openUnsafe()
      yield* kv.machine.flush
      storage.answers.openUnsafe()
      assert.deepStrictEqual((yield* Fiber.join(late)).map(show), ["a=2@2/4/2 b=2@3/5/2"])
    }))
})

describe("the cache", () => {
  it.effect("keeps a key that is read again and again, whatever else is written", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage, { cacheBytesMax: 8000 })
      yield* kv.apply([put("hot", "1")])
      yield* kv.machine.flush
      yield* kv.show(range("hot"))
      const reads = storage.reads
      for (let i = 0; i < 100; i++) {
        yield* kv.apply([put(`new ${i}`, "x")])
        assert.strictEqual(yield* kv.show(range("hot")), "hot=1@2/2/1")
      }
      // One look-up for each new key, none for the old one.
      assert.strictEqual(storage.reads - reads, 100)
    }))

  it.effect("has the value of a key that was read since it was last changed, and of no other", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      const look = Effect.fnUntraced(function*(key: string) {
        const reads = storage.reads
        return [yield* kv.show(range(key)), storage.reads - reads]
      })
      yield* kv.apply([put("a", "1"), put("b", "1")])
      yield* kv.machine.flush
      assert.deepStrictEqual(yield* look("a"), ["a=1@2/2/1", 1])
      assert.deepStrictEqual(yield* look("a"), ["a=1@2/2/1", 0])
      yield* kv.apply([put("a", "2"), put("b", "2")])
      yield* kv.machine.flush
      assert.deepStrictEqual(yield* look("a"), ["a=2@2/4/2", 0])
      assert.deepStrictEqual(yield* look("b"), ["b=2@3/5/2", 1])
      yield* kv.apply([put("a", "3")])
      yield* kv.apply([put("a", "4")])
      yield* kv.machine.flush
      assert.deepStrictEqual(yield* look("a"), ["a=4@2/7/4", 1])
    }))

  it.effect("has the value of a key whose last reader found it in the storage only", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      yield* Effect.scoped(Effect.flatMap(open(storage), (kv) => kv.apply([put("a", "1")])))
      const kv = yield* open(storage)
      assert.strictEqual(yield* kv.show(range("a")), "a=1@2/2/1")
      yield* kv.apply([put("a", "2")])
      yield* kv.machine.flush
      const reads = storage.reads
      assert.strictEqual(yield* kv.show(range("a")), "a=2@2/3/2")
      assert.strictEqual(storage.reads, reads)
    }))

  it.effect("answers for absent keys too", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* kv.show(range("nothing"))
      const reads = storage.reads
      assert.strictEqual(yield* kv.show(range("nothing")), "")
      assert.strictEqual(storage.reads, reads)
      yield* kv.apply([put("nothing", "something")])
      assert.strictEqual(yield* kv.show(range("nothing")), "nothing=something@2/2/1")
    }))
})
