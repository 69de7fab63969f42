import { assert, describe, it } from "vitest"
import * as History from "../src/linearizability/History.ts"
import * as KvCheck from "../src/linearizability/KvCheck.ts"
import type { Input, Output } from "../src/linearizability/KvModel.ts"
import {
  bruteForce,
  del,
  deleted,
  done,
  found,
  get,
  kv,
  not,
  op,
  part,
  put,
  range,
  remove,
  Store,
  swap,
  tells,
  wrote
} from "./linearizabilityParts.ts"

type Step = History.Interval<Input, Output>

const unshown = { ...kv("x", "", 2), value: undefined }

/** Small histories are also held against all their orders. */
const check = (steps: ReadonlyArray<Step>): KvCheck.Verdict => {
  const history = History.fromIntervals(steps)
  const verdict = KvCheck.check(history)
  if (history.length <= 7) {
    assert.equal(verdict._tag, bruteForce(history, () => new Store(), tells) ? "Ok" : "Violation", "against all orders")
  }
  return verdict
}

const accepts = (...steps: ReadonlyArray<Step>) => {
  const verdict = check(steps)
  assert.deepInclude(verdict, { _tag: "Ok", proven: "Whole" })
}

const refuses = (rule: KvCheck.Violation["rule"], ...steps: ReadonlyArray<Step>) => {
  const verdict = check(steps)
  assert.equal(verdict._tag, "Violation")
  if (verdict._tag === "Violation") assert.include(verdict.violations.map((violation) => violation.rule), rule)
}

describe("a linearizable history of the store", () => {
  it("is an empty one, and reads of an empty store", () => {
    accepts()
    accepts(op("a", 0, 1, get("x"), found(1)), op("b", 0, 1, range(""), found(1)))
  })

  it("counts revisions over all keys, and versions per key since its creation", () => {
    accepts(
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("a", 2, 3, put("y", "v2"), wrote(3)),
      op("a", 4, 5, put("x", "v3"), wrote(4)),
      op("a", 6, 7, range(""), found(4, kv("x", "v3", 2, 4, 2), kv("y", "v2", 3)))
    )
    accepts(
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("a", 2, 3, del("x"), deleted(3)),
      op("a", 4, 5, del("x"), deleted(3, 0)),
      op("a", 6, 7, put("x", "v2"), wrote(4)),
      op("a", 8, 9, get("x"), found(4, kv("x", "v2", 4)))
    )
  })

  it("compares with the mod revision, 0 being no key", () => {
    accepts(
      op("a", 0, 1, remove("x", 0), done(1)),
      op("a", 2, 3, swap("x", "v1", 0), done(2)),
      op("a", 4, 5, swap("x", "v2", 7), not(2, kv("x", "v1", 2))),
      op("a", 6, 7, remove("x", 0), not(2, kv("x", "v1", 2))),
      op("a", 8, 9, remove("x", 2), done(3)),
      op("a", 10, 11, swap("x", "v3", 2), not(3))
    )
  })

  it("finds a key whose value is not shown", () => {
    accepts(op("a", 0, 1, put("x", "v1"), wrote(2)), op("a", 2, 3, swap("x", "v2", 7), not(2, unshown)))
    accepts(
      op("a", 0, 1, put("x", "v1")),
      op("b", 2, 3, remove("x", 9), not(2, unshown)),
      op("b", 4, 5, get("x"), found(2, kv("x", "v1", 2)))
    )
  })

  it("has concurrent writes in the order of their revisions, whichever was called first", () => {
    accepts(
      op("a", 0, 9, put("x", "v1"), wrote(3)),
      op("b", 1, 8, put("x", "v2"), wrote(2)),
      op("c", 2, 3, get("x"), found(2, kv("x", "v2", 2)))
    )
  })

  it("has a write of unknown outcome that shows up late, after its client went on", () => {
    accepts(
      op("a", 0, 1, put("x", "v1")),
      op("a", 2, 3, get("x"), found(1)),
      op("b", 4, 5, put("y", "v2"), wrote(2)),
      op("b", 6, 7, get("x"), found(3, kv("x", "v1", 3)))
    )
  })

  it("has writes of unknown outcome that nobody saw, but for a revision, a version or a creation", () => {
    accepts(op("a", 0, 1, put("x", "v1")), op("b", 2, 3, put("y", "v2"), wrote(3)))
    accepts(
      op("a", 0, 1, put("x", "v1")),
      op("b", 2, 3, put("x", "v2"), wrote(4)),
      op("c", 0, 1, put("y", "v3")),
      op("b", 4, 5, get("x"), found(4, kv("x", "v2", 3, 4, 2)))
    )
    accepts(
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("b", 2, 3, del("x")),
      op("c", 4, 5, put("x", "v2"), wrote(4)),
      op("c", 6, 7, get("x"), found(4, kv("x", "v2", 4)))
    )
  })

  it("has a swap that succeeded on a revision that only another of unknown outcome can have made", () => {
    accepts(
      op("a", 0, 1, put("x", "v1")),
      op("b", 2, 3, put("y", "v2")),
      op("c", 4, 5, swap("x", "v3", 3), done(4))
    )
  })

  it("has a swap of unknown outcome that shows by its value which revision another of unknown outcome took", () => {
    accepts(
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("a", 2, 3, put("x", "v2")),
      op("b", 2, 3, put("y", "v3")),
      op("c", 4, 5, swap("x", "v4", 4)),
      op("d", 6, 7, get("x"), found(5, kv("x", "v4", 2, 5, 3)))
    )
  })
})

describe("a history of the store that is not linearizable", () => {
  const first = op("a", 0, 1, put("x", "v1"), wrote(2))
  const second = op("a", 2, 3, put("x", "v2"), wrote(3))

  it("has a stale read, whether it admits its revision or not", () => {
    refuses("RealTime", first, second, op("b", 4, 5, get("x"), found(2, kv("x", "v1", 2))))
    refuses("Key", first, second, op("b", 4, 5, get("x"), found(3, kv("x", "v1", 2))))
  })

  it("has a stale read across keys: another key's revision had been told before", () => {
    refuses(
      "RealTime",
      first,
      op("b", 2, 3, put("y", "v2"), wrote(3)),
      op("c", 4, 5, get("x"), found(2, kv("x", "v1", 2)))
    )
  })

  it("lost an update", () => {
    refuses(
      "Key",
      first,
      op("b", 2, 5, put("x", "v2"), wrote(3)),
      op("c", 2, 5, put("x", "v3"), wrote(4)),
      op("b", 6, 7, get("x"), found(4, kv("x", "v2", 2, 3, 2)))
    )
    refuses("Key", first, op("b", 2, 3, get("x"), found(2)))
  })

  it("applied an acknowledged write twice", () => {
    refuses("Unique", first, op("b", 2, 3, get("x"), found(3, kv("x", "v1", 2, 3, 2))))
    refuses("Dense", first, op("b", 2, 3, put("y", "v2"), wrote(4)))
    refuses(
      "Key",
      first,
      op("b", 2, 3, put("x", "v2"), wrote(3)),
      op("b", 4, 5, get("x"), found(3, kv("x", "v2", 2, 3, 3)))
    )
  })

  it("applied a write of unknown outcome twice, before and after another one", () => {
    refuses(
      "Unique",
      op("a", 0, 1, put("x", "v1")),
      op("b", 2, 3, get("x"), found(2, kv("x", "v1", 2))),
      op("b", 4, 5, put("x", "v2"), wrote(3)),
      op("b", 6, 7, get("x"), found(4, kv("x", "v1", 2, 4, 3)))
    )
  })

  it("has a read of a value that was never written", () => {
    refuses("Key", first, op("b", 2, 3, get("x"), found(2, kv("x", "v9", 2))))
    refuses("Dense", op("b", 2, 3, get("x"), found(2, kv("x", "v9", 2))))
  })

  it("has a read of a value before its write was called", () => {
    refuses(
      "Key",
      op("b", 0, 1, get("x"), found(2, kv("x", "v1", 2))),
      op("a", 2, 3, put("x", "v1")),
      op("c", 4, 5, del("x"))
    )
  })

  it("has reads that go back in time across clients while the write is under way", () => {
    refuses(
      "RealTime",
      op("a", 0, 20, put("x", "v1"), wrote(2)),
      op("b", 1, 2, get("x"), found(2, kv("x", "v1", 2))),
      op("c", 3, 4, get("x"), found(1))
    )
    refuses(
      "Key",
      op("a", 0, 20, put("x", "v1"), wrote(2)),
      op("b", 1, 2, get("x"), found(2, kv("x", "v1", 2))),
      op("c", 3, 4, get("x"), found(2))
    )
  })

  it("has a write of unknown outcome that showed and then vanished", () => {
    refuses(
      "Key",
      op("a", 0, 1, put("x", "v1")),
      op("b", 2, 3, get("x"), found(2, kv("x", "v1", 2))),
      op("c", 4, 5, get("x"), found(2))
    )
    refuses(
      "Key",
      first,
      op("a", 2, 3, put("x", "v2")),
      op("b", 4, 5, get("x"), found(3, kv("x", "v2", 2, 3, 2))),
      op("b", 6, 7, put("y", "v3"), wrote(4)),
      op("c", 8, 9, get("x"), found(4, kv("x", "v1", 2)))
    )
  })

  it("has two swaps that succeeded on one revision", () => {
    refuses("Key", first, op("b", 2, 9, swap("x", "v2", 2), done(3)), op("c", 2, 9, swap("x", "v3", 2), done(4)))
    refuses("Key", op("b", 2, 9, swap("x", "v2", 0), done(2)), op("c", 2, 9, swap("x", "v3", 0), done(3)))
    refuses("Key", first, op("b", 2, 9, remove("x", 2), done(3)), op("c", 2, 9, swap("x", "v3", 2), done(4)))
  })

  it("has a swap that was refused though it found what it expected", () => {
    refuses("Key", first, op("b", 2, 3, swap("x", "v2", 2), not(2, kv("x", "v1", 2))))
  })

  it("has a swap that was refused over what was not there, though its value is not shown", () => {
    refuses("Key", first, op("b", 2, 3, swap("x", "v2", 7), not(2, { ...unshown, version: 2 })))
    refuses(
      "Unique",
      first,
      op("b", 2, 3, swap("x", "v2", 7), not(3, { ...unshown, modRevision: 3 })),
      op("c", 4, 5, del("x"), deleted(3))
    )
    refuses("Key", first, op("a", 2, 3, del("x"), deleted(3)), op("b", 4, 5, swap("x", "v2", 7), not(3, unshown)))
  })

  it("has a swap that was refused over a value that is not the one there", () => {
    refuses("Unique", first, op("b", 2, 3, swap("x", "v2", 7), not(2, kv("x", "v9", 2))))
  })

  it("gave one revision to two writes, of one key or of two", () => {
    refuses("Unique", op("a", 0, 9, put("x", "v1"), wrote(2)), op("b", 0, 9, put("y", "v2"), wrote(2)))
    refuses("Unique", op("a", 0, 9, put("x", "v1"), wrote(2)), op("b", 0, 9, put("x", "v2"), wrote(2)))
    refuses(
      "Unique",
      op("a", 0, 1, put("x", "v1")),
      op("b", 0, 1, put("y", "v2")),
      op("c", 2, 3, range(""), found(2, kv("x", "v1", 2), kv("y", "v2", 2)))
    )
    refuses(
      "Unique",
      first,
      op("b", 2, 9, del("x"), deleted(3)),
      op("c", 2, 9, remove("x", 2), done(3))
    )
  })

  it("has a delete of unknown outcome, of which nothing was seen but a get that finds nothing", () => {
    accepts(
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("b", 2, Infinity, del("x")),
      op("a", 3, 4, get("x"), found(undefined))
    )
    accepts(
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("a", 2, 3, put("y", "v2"), wrote(3)),
      op("b", 4, Infinity, del("y")),
      op("c", 4, Infinity, remove("x", 2)),
      op("a", 5, 6, get("x"), found(undefined)),
      op("a", 7, 8, get("y"), found(undefined))
    )
  })

  it("reads at a revision what was there before it, even while its write is under way", () => {
    refuses("Key", first, op("a", 2, 9, put("x", "v2"), wrote(3)), op("b", 3, 4, get("x"), found(3, kv("x", "v1", 2))))
    refuses(
      "Key",
      op("a", 0, 1, put("x", "v1")),
      op("b", 2, 3, get("x"), found(2)),
      op("b", 4, 5, get("x"), found(2, kv("x", "v1", 2)))
    )
  })

  it("gave a write a revision that had been told before its call", () => {
    refuses("RealTime", op("b", 0, 1, get("y"), found(2)), op("a", 2, 3, put("x", "v1"), wrote(2)))
  })

  it("skipped a revision, no write being there that could have taken it", () => {
    refuses("Dense", first, op("b", 2, 3, put("y", "v2"), wrote(4)))
    refuses(
      "Dense",
      op("b", 0, 1, put("y", "v2"), wrote(3)),
      op("a", 2, 3, put("x", "v1")),
      op("a", 4, 5, get("y"), found(3, kv("y", "v2", 3)))
    )
  })

  it("forgot its writes and begins anew", () => {
    refuses("RealTime", first, second, op("b", 4, 5, get("x"), found(1)))
    refuses("RealTime", first, op("b", 4, 5, put("x", "v2"), wrote(2)))
  })

  it("has a range that mixes two revisions", () => {
    refuses(
      "Key",
      op("a", 0, 1, put("p/x", "v1"), wrote(2)),
      op("a", 2, 9, put("p/x", "v2"), wrote(3)),
      op("b", 2, 9, put("p/y", "v3"), wrote(4)),
      op("c", 3, 8, range("p/"), found(4, kv("p/x", "v1", 2), kv("p/y", "v3", 4)))
    )
  })

  it("answers keys that were not asked for, or twice, or in disorder", () => {
    const both = [op("a", 0, 1, put("x", "v1"), wrote(2)), op("a", 2, 3, put("y", "v2"), wrote(3))]
    refuses("Shape", ...both, op("b", 4, 5, get("x"), found(3, kv("y", "v2", 3))))
    refuses("Shape", ...both, op("b", 4, 5, range(""), found(3, kv("y", "v2", 3), kv("x", "v1", 2))))
    refuses("Shape", ...both, op("b", 4, 5, range("x"), found(3, kv("x", "v1", 2), kv("x", "v1", 2))))
  })

  it("answers more than the limit, or in the other direction", () => {
    const both = [op("a", 0, 1, put("x", "v1"), wrote(2)), op("a", 2, 3, put("y", "v2"), wrote(3))]
    const [x, y] = [kv("x", "v1", 2), kv("y", "v2", 3)]
    accepts(...both, op("b", 4, 5, part("x", "z", 1), { _tag: "Range", revision: 3, kvs: [x], more: true }))
    accepts(...both, op("b", 4, 5, part("x", "z", 2, true), { _tag: "Range", revision: 3, kvs: [y, x], more: false }))
    refuses(
      "Shape",
      ...both,
      op("b", 4, 5, part("x", "z", 1), { _tag: "Range", revision: 3, kvs: [x, y], more: false })
    )
    refuses("Shape", ...both, op("b", 4, 5, part("x", "z", 0, true), { _tag: "Range", revision: 3, kvs: [x, y] }))
    refuses("Shape", ...both, op("b", 4, 5, part("x", "y"), { _tag: "Range", revision: 3, kvs: [x, y], more: false }))
  })

  it("leaves out a key before the last one of a limited answer, or says wrongly whether there are more", () => {
    const both = [op("a", 0, 1, put("x", "v1"), wrote(2)), op("a", 2, 3, put("y", "v2"), wrote(3))]
    const [x, y] = [kv("x", "v1", 2), kv("y", "v2", 3)]
    refuses("Key", ...both, op("b", 4, 5, part("x", "z", 1), { _tag: "Range", revision: 3, kvs: [y], more: false }))
    refuses(
      "Key",
      ...both,
      op("b", 4, 5, part("x", "z", 1, true), { _tag: "Range", revision: 3, kvs: [x], more: true })
    )
    refuses("Whole", ...both, op("b", 4, 5, part("x", "z", 1), { _tag: "Range", revision: 3, kvs: [x], more: false }))
  })

  it("answers one operation with the result of another", () => {
    refuses("Key", op("a", 0, 1, put("x", "v1"), done(2)))
    refuses("Key", op("a", 0, 1, get("x"), wrote(1)))
    refuses("Key", op("a", 0, 1, get("x"), deleted(1, 0)))
  })

  it("needs one revision for two writes of unknown outcome, which only all keys together show", () => {
    refuses(
      "Whole",
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("a", 2, 3, put("y", "v2"), wrote(3)),
      op("b", 4, 5, del("x")),
      op("c", 4, 5, del("y")),
      op("d", 4, 5, put("z", "v3")),
      op("e", 6, 7, range(""), found(4))
    )
  })
})

describe("the check of the store", () => {
  it("refuses to judge a history with a value written twice", () => {
    const twice = [op("a", 0, 1, put("x", "v"), wrote(2)), op("b", 0, 1, put("y", "v"), wrote(3))]
    assert.throws(() => KvCheck.check(History.fromIntervals(twice)), RangeError)
  })

  it("takes an absurd revision for what it is, without counting up to it", () => {
    refuses("Dense", op("a", 0, 1, put("x", "v1"), wrote(2 ** 52)))
  })

  it("says what was proven when steps run out in the search over all keys", () => {
    const steps = Array.from(
      { length: 12 },
      (_, at) => op("a", 2 * at, 2 * at + 1, put(`k${at % 6}`, `v${at}`), wrote(at + 2))
    )
    const history = History.fromIntervals(steps)
    assert.deepInclude(KvCheck.check(history), { _tag: "Ok", proven: "Whole" })
    assert.deepInclude(KvCheck.check(history, { stepsMax: 5 }), { _tag: "Ok", proven: "PerKey" })
    assert.deepInclude(KvCheck.check(history, { stepsMax: 1 }), { _tag: "GaveUp" })
  })

  it("shows the key, how far its order came, and what could not come next", () => {
    const verdict = KvCheck.check(History.fromIntervals([
      op("a", 0, 1, put("x", "v1"), wrote(2)),
      op("b", 2, 3, put("y", "v2"), wrote(3)),
      op("c", 4, 5, get("x"), found(3))
    ]))
    assert.equal(verdict._tag, "Violation")
    if (verdict._tag !== "Violation") return
    const [{ blocked, longest, operations }] = verdict.violations as [KvCheck.Violation]
    assert.deepEqual([operations, longest, blocked].map((some) => some.map(({ id }) => id)), [[0, 2], [0], [2]])
  })
})
