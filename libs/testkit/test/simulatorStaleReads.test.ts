/** What reads with bounded staleness, and stale ones, may show. */
import { assert, describe, it } from "vitest"
import * as History from "../src/linearizability/History.ts"
import type { Input, KeyValue, Output, Read } from "../src/linearizability/KvModel.ts"
import { StaleReads } from "../src/simulator/index.ts"
import { del, deleted, found, get, kv, not, op, put, range, swap, wrote } from "./linearizabilityParts.ts"

type Step = History.Interval<Input, Output>

/** x at 2 (0-10 ms), x at 3 (20-30 ms), y at 4 (40-50 ms). */
const written: ReadonlyArray<Step> = [
  op("a", 0, 10, put("x", "v1"), wrote(2)),
  op("a", 20, 30, put("x", "v2"), wrote(3)),
  op("a", 40, 50, put("y", "v3"), wrote(4))
]
const x1 = kv("x", "v1", 2)
const x2 = kv("x", "v2", 2, 3, 2)
const y = kv("y", "v3", 4)

interface Asked {
  readonly input?: Input
  readonly at?: number
  readonly within?: number
  readonly revision?: number
  readonly history?: ReadonlyArray<Step>
  readonly clockDrift?: number
}

/** The rule that is broken by an answer at 100 ms, if any. */
const judge = (
  kvs: ReadonlyArray<KeyValue>,
  { at = 100, clockDrift = 0, history = written, input = get("x"), revision, within = Infinity }: Asked = {}
) => {
  const read = {
    client: "b",
    input: input as Read,
    maxStalenessMillis: within,
    callTimeMillis: at,
    returnTimeMillis: at + 1,
    revision,
    kvs
  }
  return StaleReads.check(History.fromIntervals(history), [read], clockDrift)[0]?.rule
}

const all = range("")

describe("a stale read", () => {
  it("may show anything that was there once", () => {
    for (const kvs of [[], [x1], [x2]]) assert.isUndefined(judge(kvs))
    assert.isUndefined(judge([], { input: all, revision: 1 }))
    assert.isUndefined(judge([x1], { input: all, revision: 2 }))
    assert.isUndefined(judge([x2], { input: all, revision: 3 }))
    assert.isUndefined(judge([x2, y], { input: all, revision: 4 }))
  })

  it("may not show what nobody wrote, or not there, not so, or not yet", () => {
    for (
      const wrong of [
        kv("x", "v9", 2),
        kv("x", "v3", 4),
        kv("x", "v1", 3),
        { ...y, key: "x" }
      ]
    ) assert.equal(judge([wrong]), StaleReads.shownRule)
    assert.equal(judge([y]), StaleReads.shownRule, "it was not asked for")
    assert.equal(judge([x2], { at: 5 }), StaleReads.shownRule, "it is written later")
  })

  it("may not show other numbers than others saw", () => {
    const history = [...written, op("c", 60, 70, get("x"), found(undefined, x2))]
    assert.isUndefined(judge([x2], { history }))
    assert.equal(judge([{ ...x2, version: 1 }], { history }), StaleReads.shownRule)
    assert.equal(judge([{ ...x2, createRevision: 3 }], { history }), StaleReads.shownRule)
  })

  it("may not show what a comparison saw replaced, though that did not show the value", () => {
    const found = { ...x1, value: undefined, modRevision: 4, version: 2 }
    const written: ReadonlyArray<Step> = [op("a", 0, 10, put("x", "v1"), wrote(2)), op("b", 20, 30, put("x", "v2"))]
    const history: ReadonlyArray<Step> = [...written, op("c", 40, 50, swap("x", "v3", 7), not(4, found))]
    assert.isUndefined(judge([x1], { history }))
    assert.equal(judge([x1], { history, input: all, revision: 4 }), StaleReads.shownRule)
  })

  it("may not mix states", () => {
    assert.equal(judge([x1], { input: all, revision: 3 }), StaleReads.shownRule)
    assert.equal(judge([x1, y], { input: all, revision: 4 }), StaleReads.shownRule)
    assert.equal(judge([x2], { input: all, revision: 2 }), StaleReads.shownRule)
    assert.equal(judge([y], { input: all, revision: 4 }), StaleReads.shownRule)
    assert.equal(judge([x2, y], { input: all, revision: 9 }), StaleReads.shownRule, "there were three writes")
  })

  it("may miss what a delete of unknown outcome may have removed", () => {
    const history: ReadonlyArray<Step> = [...written, op("d", 60, 70, del("x"))]
    assert.isUndefined(judge([y], { history, input: all, revision: 4 }))
    assert.isUndefined(judge([], { history, within: 10 }))
    assert.equal(judge([], { history, at: 55, within: 10 }), StaleReads.boundRule, "it is called later")
  })

  it("says nothing about keys behind the last one of a limit", () => {
    const input: Read = { _tag: "Range", prefix: "", limit: 1 }
    assert.isUndefined(judge([x2], { input, revision: 4 }))
    assert.equal(judge([y], { input, revision: 4 }), StaleReads.shownRule)
  })
})

describe("a bounded read", () => {
  it("shows what was acknowledged so long before", () => {
    assert.isUndefined(judge([x2], { within: 60 }))
    assert.isUndefined(judge([x1], { within: 80 }), "the later one was acknowledged at 30 ms")
    assert.equal(judge([x1], { within: 60 }), StaleReads.boundRule)
    assert.equal(judge([], { within: 60 }), StaleReads.boundRule)
    assert.equal(judge([], { input: all, revision: 1, within: 60 }), StaleReads.boundRule)
    assert.equal(judge([x2], { input: all, revision: 3, within: 40 }), StaleReads.boundRule)
  })

  it("may take as much longer as a clock may be slow", () => {
    assert.equal(judge([x1], { within: 66 }), StaleReads.boundRule)
    assert.isUndefined(judge([x1], { within: 66, clockDrift: 0.1 }))
  })

  it("misses what was deleted, and shows what came after", () => {
    const history = [...written, op("a", 60, 70, del("x"), deleted(5))]
    assert.isUndefined(judge([], { history, within: 10 }))
    assert.equal(judge([x2], { history, within: 10 }), StaleReads.boundRule)
    const again = [...history, op("a", 75, 80, put("x", "v4"), wrote(6))]
    assert.isUndefined(judge([kv("x", "v4", 6)], { history: again, within: 10 }))
    assert.equal(judge([], { history: again, within: 10 }), StaleReads.boundRule)
  })
})
