import { assert, describe, it } from "@effect/vitest"
import * as Statistics from "../src/Statistics.ts"

describe("Statistics", () => {
  it("a median is the middle value, or the mean of the two in the middle", () => {
    assert.strictEqual(Statistics.median([3, 1, 2]), 2)
    assert.strictEqual(Statistics.median([4, 1, 2, 3]), 2.5)
    assert.isNull(Statistics.median([]))
  })

  it("a spread leaves unknown values out of its middle and extremes, but keeps their places", () => {
    assert.deepStrictEqual(Statistics.spread([2, null, 8, 4]), { median: 4, min: 2, max: 8, values: [2, null, 8, 4] })
  })

  it("ratios are taken round by round, so that a slow round of both changes nothing", () => {
    assert.deepStrictEqual(Statistics.ratios([100, 10, 60], [50, 5, 20]).values, [2, 2, 3])
    assert.strictEqual(Statistics.ratios([100, 10, 60], [50, 5, 20]).median, 2)
  })

  it("a round in which either system has no figure has no ratio", () => {
    assert.deepStrictEqual(Statistics.ratios([1, null, 3], [1, 2, 0]).values, [1, null, null])
  })
})
