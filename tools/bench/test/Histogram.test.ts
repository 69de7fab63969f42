import { assert, describe, it } from "@effect/vitest"
import { Histogram } from "../src/Histogram.ts"

describe("Histogram", () => {
  it("knows every percentile to better than one percent, from a microsecond to a minute and a half", () => {
    for (const scale of [0.001, 0.1, 1, 50, 1000, 10_000]) {
      const histogram = new Histogram()
      const values = Array.from({ length: 10_000 }, (_, index) => scale * (1 + ((index * 7919) % 10_000) / 1000))
      for (const value of values) histogram.record(value)
      values.sort((a, b) => a - b)
      for (const fraction of [0.5, 0.9, 0.99, 0.999]) {
        const exact = values[Math.ceil(fraction * values.length) - 1]!
        assert.approximately(histogram.percentile(fraction), exact, exact * 0.01 + 0.0001)
      }
    }
  })

  it("never reports a latency above the largest one", () => {
    const histogram = new Histogram()
    for (const value of [1, 2, 1234.5678]) histogram.record(value)
    assert.strictEqual(histogram.percentile(1), 1234.5678)
    assert.strictEqual(histogram.maxMillis, 1234.5678)
  })

  it("knows nothing when nothing was recorded", () => {
    assert.isNaN(new Histogram().percentile(0.5))
  })

  it("counts a latency beyond its range as the largest it has, and one below zero as zero", () => {
    const histogram = new Histogram()
    histogram.record(1e12)
    histogram.record(-1)
    assert.strictEqual(histogram.count, 2)
    assert.strictEqual(histogram.percentile(0.5), 0)
  })
})
