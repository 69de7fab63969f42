import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { OrderedMap, type OrderedView } from "../src/OrderedMap.ts"

const key = (number: number): Uint8Array => Uint8Array.of(number >>> 16, number >>> 8, number)
const value = (number: number): Uint8Array => Uint8Array.of(number, number >>> 8)
const everything = { from: new Uint8Array(0), to: Uint8Array.of(255, 255, 255, 255) }

type Model = Map<number, number>

const numberOf = (key: Uint8Array): number => key[0]! << 16 | key[1]! << 8 | key[2]!

const check = (view: OrderedView | OrderedMap, model: Model, what: string): void => {
  const expected = [...model].sort(([a], [b]) => a - b)
  for (const reverse of [false, true]) {
    const found: Array<[number, number]> = []
    view.scan({ ...everything, reverse, visit: (k, v) => found.push([numberOf(k), v[1]! << 8 | v[0]!]) > 0 })
    assert.strictEqual(String(reverse ? found.reverse() : found), String(expected), what)
  }
  for (const [k, v] of model) if (view.get(key(k))?.[0] !== (v & 255)) assert.fail(`${what}: ${k}`)
}

describe("OrderedMap", () => {
  it.effect("holds what a plain map holds, whatever order the keys come in, and so do its snapshots and clones", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 5; seed++) {
        yield* Random.withSeed(
          Effect.gen(function*() {
            let map = new OrderedMap()
            let model: Model = new Map()
            const kept: Array<[OrderedView | OrderedMap, Model]> = []
            const set = (k: number, v: number) => {
              map.set(key(k), value(v))
              model.set(k, v)
            }
            for (let step = 0; step < 120; step++) {
              const dice = yield* Random.nextIntBetween(0, 12)
              const start = yield* Random.nextIntBetween(0, 20_000)
              const length = yield* Random.nextIntBetween(1, 200)
              if (dice < 4) { for (let n = 0; n < length; n++) set(start + n * (dice + 1), step) }
              // Two rising runs that take turns, as the rows of a log and those beside it do.
              else if (dice < 6) {
                for (let n = 0; n < length; n++) set(n % 3 === 0 ? 60_000 + step * 200 + n : start + n, step)
              } else if (dice < 8) {
                for (let n = 0; n < length; n++) set(yield* Random.nextIntBetween(0, 90_000), step)
              } else if (dice === 8) {
                for (const k of [...model.keys()].filter((k) => k >= start && k < start + 20 * length)) {
                  map.delete(key(k))
                  model.delete(k)
                  if (k % 3 === 0) set(k + 1, step)
                }
              } else if (dice === 9) {
                map.deleteRange(key(start), key(start + 10 * length))
                for (const k of [...model.keys()]) if (k >= start && k < start + 10 * length) model.delete(k)
              } else if (dice === 10) kept.push([map.snapshot(), new Map(model)])
              else {
                const other = map.clone()
                kept.push([map, model])
                map = other
                model = new Map(model)
                if (length % 2 === 0) {
                  const [before, its] = kept.pop()!
                  kept.push([map, model])
                  map = before as OrderedMap
                  model = its
                }
              }
              if (step % 40 === 0) check(map, model, `seed ${seed}, step ${step}`)
            }
            check(map, model, `seed ${seed}`)
            for (const [view, its] of kept) check(view, its, `seed ${seed}, kept`)
            const bytes = [...model.keys()].length * 5
            assert.strictEqual(map.bytes, bytes)
          }),
          seed
        )
      }
    }))

  it("takes rising keys beside others that are above and below them", () => {
    const map = new OrderedMap()
    const model: Model = new Map()
    const set = (k: number) => {
      map.set(key(k), value(k))
      model.set(k, k & 0xffff)
    }
    for (let n = 0; n < 1000; n++) set(n * 3)
    for (let n = 0; n < 1000; n++) set(100_000 + n * 3)
    for (let n = 0; n < 2000; n++) {
      set(50_000 + n)
      if (n % 5 === 0) set(n)
      if (n % 7 === 0) set(100_000 + n)
    }
    check(map, model, "all")
  })

  it("takes the key behind a run that was broken off anywhere", () => {
    for (let length = 60; length < 70; length++) {
      for (let broken = 0; broken < length; broken++) {
        const map = new OrderedMap()
        const model: Model = new Map()
        for (
          const k of [...Array.from({ length }, (_, n) => n * 100), broken * 100 + 50, length * 100, length * 100 + 1]
        ) {
          map.set(key(k), value(k))
          model.set(k, k)
        }
        check(map, model, `${length} keys, broken off at ${broken}`)
      }
    }
  })

  it("takes a key behind a leaf that was emptied, cut, or split in its middle", () => {
    for (const disturb of ["empty", "cut", "split", "range"] as const) {
      const map = new OrderedMap()
      const model: Model = new Map()
      const set = (k: number) => {
        map.set(key(k), value(k))
        model.set(k, k & 0xffff)
      }
      const remove = (k: number) => {
        map.delete(key(k))
        model.delete(k)
      }
      for (let n = 0; n < 200; n++) set(n * 100)
      for (let n = 0; n < 200; n++) set(30_000 + n * 100)
      for (let n = 0; n < 30; n++) set(20_000 + n * 100)
      if (disturb === "empty") { for (let n = 0; n < 40; n++) remove(22_900 - n * 100) }
      if (disturb === "cut") { for (let n = 0; n < 5; n++) remove(22_900 - n * 100) }
      if (disturb === "split") { for (let n = 1; n < 90; n++) set(22_000 + n) }
      if (disturb === "range") {
        map.deleteRange(key(9_000), key(45_000))
        for (const k of [...model.keys()]) if (k >= 9_000 && k < 45_000) model.delete(k)
      }
      for (let n = 0; n < 300; n++) set(22_950 + n * 10)
      check(map, model, disturb)
    }
  })
})
