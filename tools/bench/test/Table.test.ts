import { assert, describe, it } from "@effect/vitest"
import * as Statistics from "../src/Statistics.ts"
import * as Table from "../src/Table.ts"

describe("Table", () => {
  it("is Markdown whose columns line up", () => {
    assert.strictEqual(
      Table.render(["system", "puts/s"], [["dkv", "12 345"], ["ceiling", "7"]]),
      [
        "| system  | puts/s |",
        "|---------|-------:|",
        "| dkv     | 12 345 |",
        "| ceiling |      7 |"
      ].join("\n")
    )
  })

  it("shows three digits of a small number and all whole ones of a large one", () => {
    assert.deepStrictEqual([1.2345, 12.345, 1234.5, 1_234_567].map(Table.figure), [
      "1.23",
      "12.3",
      "1 235",
      "1 234 567"
    ])
    assert.deepStrictEqual([null, Number.NaN].map(Table.figure), ["–", "–"])
  })

  it("shows the extremes of a spread only when they differ", () => {
    assert.strictEqual(Table.spread(Statistics.spread([5])), "5.00")
    assert.strictEqual(Table.spread(Statistics.spread([1, 2, 3])), "2.00 [1.00–3.00]")
  })
})
