/** What seeds draw. */
import { assert, describe, it } from "vitest"
import { Options, Prng } from "../src/simulator/index.ts"

const drawn = Array.from({ length: 10_000 }, (_, seed) => Options.draw(new Prng.Prng(seed)))

const kindsOf = ({ meanMillis }: Options.Options) => Options.faultKinds.filter((kind) => meanMillis[kind] !== Infinity)

/** Steady runs have a disk that rots too, but none with these means. */
const isDecay = ({ meanMillis: { misdirect, promote, rot } }: Options.Options) =>
  rot === 2000 && misdirect === 4000 && promote === 4000

describe("what seeds draw", () => {
  it("has runs with nothing at all, with each kind of fault alone, and with many", () => {
    const alone = new Set(drawn.map(kindsOf).filter(({ length }) => length === 1).flat())
    assert.isAbove(drawn.filter(Options.isCalm).length, 20)
    assert.sameMembers([...alone], [...Options.faultKinds])
    assert.isAbove(drawn.filter((options) => kindsOf(options).length > 9).length, 100)
  })

  it("has witnesses in turbulent runs too, and never as many as voters", () => {
    for (const kind of ["topple", "freeze", "revote"] as const) {
      const turbulent = drawn.filter((options) => kindsOf(options).includes(kind))
      assert.isNotEmpty(turbulent.filter(({ witnesses }) => witnesses > 0), kind)
    }
    assert.isNotEmpty(drawn.filter((options) => isDecay(options) && options.witnesses > 0))
    for (const { members, witnesses } of drawn) assert.isBelow(witnesses, members)
  })

  it("is calm without the parts that are not", () => {
    const left = [...Options.faultKinds, "loss", "duplicate", "reorder", "littleRoom"] as const
    for (const options of drawn.slice(0, 20)) assert.isTrue(Options.isCalm(Options.without(options, left)))
  })
})
