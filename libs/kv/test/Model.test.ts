import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { History, type Kv, Limits } from "../src/index.ts"
import { bytes, del, open, put, range, text } from "./Harness.ts"
import { MapStorage } from "./MapStorage.ts"
import { stateOf } from "./State.ts"
import { Dice, Model, names, randomRange, randomWrite } from "./Model.ts"

describe("against a model", () => {
  for (const [title, cacheBytesMax] of [["everything", Limits.cacheBytesMax], ["next to nothing", 3000]] as const) {
    it.effect(`results and reads agree with ${title} in the cache, while writes are held up at random`, () =>
      Effect.gen(function*() {
        for (let seed = 1; seed <= 12; seed++) {
          const dice = new Dice(seed)
          const storage = new MapStorage()
          const kv = yield* open(storage, { cacheBytesMax })
          yield* Effect.addFinalizer(() => Effect.sync(() => storage.gate.openUnsafe()))
          const model = new Model()
          for (let round = 0; round < 60; round++) {
            const ops = Array.from({ length: dice.roll(12) }, () => randomWrite(dice, model))
            const expected = ops.map((op) => model.write(op))
            assert.deepStrictEqual(yield* kv.apply(ops), expected, `seed ${seed}`)
            const reads = Array.from({ length: 1 + dice.roll(4) }, () => randomRange(dice))
            assert.deepStrictEqual(yield* kv.reader.read(reads), reads.map((op) => model.read(op)), `seed ${seed}`)
            if (dice.roll(2) === 0) storage.gate.closeUnsafe()
            else storage.gate.openUnsafe()
          }
        }
      }))
  }

  it.effect("a read beside running batches shows one revision of all keys", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage, { cacheBytesMax: 2000 })
      // Every batch puts all four keys: an answer that mixes two batches shows different values.
      const keys = ["a", "b", "c", "d"]
      yield* kv.apply(keys.map((key) => put(key, "")))
      const writer = yield* Effect.forkChild(Effect.gen(function*() {
        for (let i = 0; i < 300; i++) {
          yield* kv.apply([del("a", "d\0"), ...keys.map((key) => put(key, String(i) + "y".repeat(1500 * (i % 2))))])
          if (i % 3 === 0) yield* Effect.yieldNow
        }
      }))
      yield* Effect.yieldNow
      let seen = 0
      while (writer.pollUnsafe() === undefined) {
        const reads = seen++ % 2 === 0
          ? keys.map((key) => range(key))
          : [range("c", "e"), range("a"), range("b"), range("a", "c")]
        const results = yield* kv.reader.read(reads)
        const values = results.flatMap((result) =>
          result._tag === "Range" ? result.kvs.map((kv) => text(kv.value)) : []
        )
        assert.strictEqual(new Set(values).size, 1)
        assert.strictEqual(new Set(results.map((result) => result._tag === "Range" && result.revision)).size, 1)
        assert.isAtLeast(values.length, 4)
      }
      yield* Fiber.join(writer)
      assert.isAbove(seen, 10)
    }))

  it.effect("the split into batches changes neither results nor what is stored", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 6; seed++) {
        const dice = new Dice(seed)
        const model = new Model()
        const ops = Array.from({ length: 400 }, () => {
          const op = randomWrite(dice, model)
          model.write(op)
          return op
        })
        const run = Effect.fnUntraced(function*(size: () => number, cacheBytesMax: number) {
          const storage = new MapStorage()
          const kv = yield* open(storage, { cacheBytesMax })
          const results: Array<Kv.WriteResult> = []
          for (let start = 0; start < ops.length;) {
            const end = start + size()
            results.push(...(yield* kv.apply(ops.slice(start, end))))
            start = end
          }
          return { results, state: stateOf(storage) }
        })
        const whole = yield* run(() => 400, Limits.cacheBytesMax)
        const singly = yield* run(() => 1, 2000)
        const mixed = yield* run(() => 1 + dice.roll(20), 20_000)
        assert.deepStrictEqual(singly, whole)
        assert.deepStrictEqual(mixed, whole)
      }
    }))

  it.effect(
    "an old revision of a key is found in logarithmic time, across deletes and creations",
    () =>
      Effect.gen(function*() {
        for (let seed = 1; seed <= 3; seed++) {
          const dice = new Dice(seed)
          const storage = new MapStorage()
          const kv = yield* open(storage, { cacheBytesMax: 3000 })
          const model = new Model()
          for (let round = 0; round < 60; round++) {
            const ops = Array.from({ length: 10 }, () => {
              const op = dice.roll(3) === 0 ? put("k1", String(round)) : randomWrite(dice, model)
              model.write(op)
              return op
            })
            yield* kv.apply(ops)
          }
          for (let revision = 1; revision <= model.revision; revision++) {
            for (const name of names) {
              const reads = storage.reads
              const found = yield* History.find(storage.service, bytes(name), revision)
              assert.deepStrictEqual(found, model.at(name, revision), `seed ${seed} ${name} at ${revision}`)
              assert.isAtMost(storage.reads - reads, 2 * Math.ceil(Math.log2(model.revision)) + 2)
            }
          }
        }
      }),
    60_000
  )

  it.effect("the oldest of many thousand changes takes a few dozen reads", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      for (let i = 0; i < 20; i++) yield* kv.apply(Array.from({ length: 1000 }, (_, j) => put("k", `${i * 1000 + j}`)))
      for (const revision of [2, 3, 777, 10_000, 19_999, 20_001]) {
        const reads = storage.reads
        const found = yield* History.find(storage.service, bytes("k"), revision)
        assert(Option.isSome(found))
        assert.strictEqual(text(found.value.value), String(revision - 2))
        assert.strictEqual(found.value.version, revision - 1)
        assert.isAtMost(storage.reads - reads, 31)
      }
    }))
})
