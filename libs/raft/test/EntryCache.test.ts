import { assert, describe, it } from "@effect/vitest"
import { EntryKind } from "../src/core/Entry.ts"
import * as Entry from "../src/Entry.ts"
import { EntryCache } from "../src/EntryCache.ts"

const entry = (index: number, term: number, bytes: number) =>
  Entry.make(index, term, EntryKind.Command, new Uint8Array(bytes))

const indices = (entries: ReadonlyArray<Entry.Entry> | undefined) => entries?.map(({ index }) => index)

describe("entry cache", () => {
  it("gives as many entries as fit, and at least one", () => {
    const cache = new EntryCache()
    cache.append([entry(5, 1, 10), entry(6, 1, 10), entry(7, 1, 100), entry(8, 1, 10)])
    assert.deepStrictEqual(indices(cache.read(5, 8, 25, 100)), [5, 6])
    assert.deepStrictEqual(indices(cache.read(7, 8, 25, 100)), [7], "larger than asked for, but alone")
    assert.deepStrictEqual(indices(cache.read(5, 8, 1000, 3)), [5, 6, 7])
    assert.deepStrictEqual(indices(cache.read(6, 7, 1000, 100)), [6, 7])
    assert.deepStrictEqual(indices(cache.read(6, 99, 1000, Infinity)), [6, 7, 8])
  })

  it("says when the first entry is not here: it has to be read from the log", () => {
    const cache = new EntryCache()
    assert.isUndefined(cache.read(1, 9, 100, 100))
    cache.append([entry(5, 1, 10)])
    assert.isUndefined(cache.read(4, 9, 100, 100))
    assert.isUndefined(cache.read(6, 9, 100, 100))
    cache.clear()
    assert.isUndefined(cache.read(5, 9, 100, 100))
  })

  it("lets go of the oldest first, and of none behind the given index", () => {
    const cache = new EntryCache()
    cache.append(Array.from({ length: 10 }, (_, at) => entry(1 + at, 1, 10)))
    cache.evict(10, 1000, 1000)
    assert.strictEqual(cache.read(1, 10, 1000, 1000)!.length, 10, "there is room")
    cache.evict(3, 0, 0)
    assert.isUndefined(cache.read(3, 10, 1000, 1000))
    assert.strictEqual(cache.read(4, 10, 1000, 1000)!.length, 7)
    cache.evict(10, 1000, 2)
    assert.deepStrictEqual(indices(cache.read(9, 10, 1000, 1000)), [9, 10])
    cache.evict(10, 15, 1000)
    assert.isUndefined(cache.read(9, 10, 1000, 1000))
  })

  it("lets go at once of what nobody who keeps up asks for, and goes on with what is left", () => {
    const cache = new EntryCache()
    for (let index = 1; index <= 100; index += 2) cache.append([entry(index, 1, 10), entry(index + 1, 1, 10)])
    cache.evict(75, 0, 0)
    assert.isUndefined(cache.read(75, 100, Infinity, Infinity))
    assert.strictEqual(indices(cache.read(76, 100, Infinity, Infinity))!.length, 25)
    cache.truncate(78)
    cache.append([entry(78, 2, 10)])
    assert.deepStrictEqual(indices(cache.read(76, 100, Infinity, Infinity)), [76, 77, 78])
    cache.evict(78, 0, 0)
    cache.append([entry(79, 2, 10)])
    assert.deepStrictEqual(indices(cache.read(79, 100, Infinity, Infinity)), [79])
  })

  it("answers as a list would, after any appends, truncations and evictions", () => {
    let state = 11
    const next = (bound: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % bound
    }
    const cache = new EntryCache()
    let list: Array<Entry.Entry> = []
    let last = 0
    for (let step = 0; step < 20_000; step++) {
      switch (next(8)) {
        case 0: {
          const index = 1 + Math.max(0, last - next(5))
          cache.truncate(index)
          list = list.filter((each) => each.index < index)
          last = Math.min(last, index - 1)
          break
        }
        case 1: {
          const [index, bytesMax, countMax] = [last - next(3), next(2000), next(400)]
          cache.evict(index, bytesMax, countMax)
          const size = () => list.reduce((sum, each) => sum + each.bytes, 0)
          while (list.length > 0 && list[0]!.index <= index && (size() > bytesMax || list.length > countMax)) {
            list.shift()
          }
          break
        }
        default: {
          const fresh = Array.from({ length: 1 + next(20) }, (_, at) => entry(last + 1 + at, step, next(10)))
          cache.append(fresh)
          list.push(...fresh)
          last += fresh.length
        }
      }
      const from = Math.max(1, last - next(300))
      const present = list.filter(({ index }) => index >= from)
      const expected = present.length === 0 || present[0]!.index !== from ? undefined : present
      assert.deepStrictEqual(cache.read(from, last, Infinity, Infinity), expected)
    }
  })
})
