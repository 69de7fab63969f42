/** What many runs add up to. */
import { Options } from "@dkv/testkit/simulator"
import { assert, describe, it } from "@effect/vitest"
import type { Outcome } from "../src/Protocol.ts"
import { Summary } from "../src/Summary.ts"

const outcome: Outcome = {
  seed: 1,
  failure: null,
  virtualMillis: 1000,
  faults: {},
  rules: {},
  calls: {},
  events: {},
  proven: "Whole",
  hash: 1
}

const summaryOf = (outcomes: ReadonlyArray<Partial<Outcome>>): Summary => {
  const summary = new Summary()
  for (const each of outcomes) summary.add({ ...outcome, ...each })
  return summary
}

describe("a summary", () => {
  it("names every kind of fault that never struck, and none that did", () => {
    const [first, second, ...others] = [...Options.faultKinds, "lost", "doubled", "overtaking"]
    const struck = [{ [first!]: 2, lost: 0 }, { [first!]: 0, [second!]: 1 }, { doubled: 3 }]
    const summary = summaryOf(struck.map((faults) => ({ faults })))
    assert.deepStrictEqual(summary.missed, others.filter((kind) => kind !== "doubled"))
    assert.match(summary.render(), new RegExp(`  ${second} +1\n`))
    assert.match(summary.render(), /  lost +0 {3}never\n/)
    assert.deepStrictEqual(summaryOf([]).missed, [first, second, ...others])
  })

  it("marks what never came about", () => {
    const events = { "logs compacted": 3, "votes of witnesses": 0 }
    const summary = summaryOf([{ events }, { events }])
    assert.match(summary.render(), /  logs compacted +6\n/)
    assert.match(summary.render(), /  votes of witnesses +0 {3}never\n/)
    assert.match(summary.render(), /  snapshots installed +0 {3}never\n/)
  })

  it("tells the share of histories that the checker gave up on, and more than one in a hundred is too much", () => {
    const proven = (count: number, what: string) => Array.from({ length: count }, () => ({ proven: what }))
    const some = summaryOf([...proven(1, "GaveUp"), ...proven(99, "PerKey")])
    assert.match(some.render(), /the checker gave up on 1\.00 % of the histories/)
    assert.isFalse(some.gaveUpTooOften)
    assert.isTrue(summaryOf([...proven(1, "GaveUp"), ...proven(98, "Whole")]).gaveUpTooOften)
    assert.isFalse(summaryOf([]).gaveUpTooOften)
  })
})
