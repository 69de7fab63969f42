import { assert, describe, it } from "@effect/vitest"
import { render } from "../src/Table.ts"

describe("a table", () => {
  it("is as wide as its widest cells, of which the last may be missing", () => {
    assert.strictEqual(
      render(["key", "v"], [["a", "long"], ["漢字"]]),
      [
        "+------+------+",
        "| KEY  | V    |",
        "+------+------+",
        "| a    | long |",
        "| 漢字 |      |",
        "+------+------+",
        ""
      ].join("\n")
    )
  })

  it("has any number of rows", () => {
    const rows = 300_000
    const text = render(["key"], Array.from({ length: rows }, () => ["k"]))
    assert.strictEqual(text.length, (rows + 4) * "| KEY |\n".length)
  })
})
