/** The shape of a log against the plainest second implementation: the list of its terms. Raft paper §5.3, §5.4.1, §7. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { LogShape } from "../../src/core/LogShape.ts"

const empty = () => new LogShape({ previousIndex: 0, previousTerm: 0, lastIndex: 0, termRuns: [] })

/** `terms[index]` of a log whose first entry is at `previous + 1`. */
interface Naive {
  previous: number
  terms: Array<number>
}

const agree = (shape: LogShape, { previous, terms }: Naive, message: string) => {
  assert.strictEqual(shape.previousIndex, previous, message)
  assert.strictEqual(shape.lastIndex, terms.length - 1, message)
  assert.strictEqual(shape.lastTerm, terms.at(-1), message)
  for (let index = 0; index < terms.length + 2; index++) {
    assert.strictEqual(
      shape.termAt(index),
      index < previous || index >= terms.length ? -1 : terms[index],
      `${message}: term at ${index}`
    )
    for (let term = 0; term <= terms.at(-1)! + 1; term++) {
      assert.strictEqual(
        shape.isUpToDate(index, term),
        term > terms.at(-1)! || (term === terms.at(-1)! && index >= terms.length - 1),
        `${message}: (${index}, ${term}) up to date`
      )
      let expected = Math.min(index, terms.length - 1)
      while (expected > previous && terms[expected]! > term) expected--
      assert.strictEqual(
        shape.lastWithTermAtMost(index, term),
        expected,
        `${message}: up to ${index} with term at most ${term}`
      )
    }
  }
}

/** One change of a log. `where` and `much` say how far along what is there, and how much; both are cut to what makes sense. */
const Change = Schema.Struct({
  kind: Schema.Literals(["append", "append", "truncate", "compact", "reset"]),
  where: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })),
  much: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 }))
})

const carryOut = (shape: LogShape, naive: Naive, { kind, much, where }: typeof Change.Type): string => {
  const last = naive.terms.length - 1
  switch (kind) {
    case "append": {
      const term = naive.terms[last]! + much
      const count = 1 + where % 3
      shape.append(term, count)
      for (let left = count; left > 0; left--) naive.terms.push(term)
      return `append ${count}@${term}`
    }
    case "truncate": {
      const index = naive.previous + 1 + where % (last - naive.previous + 2)
      shape.truncate(index)
      naive.terms.length = Math.min(naive.terms.length, index)
      return `truncate ${index}`
    }
    case "compact": {
      const index = naive.previous + where % (last - naive.previous + 1)
      shape.compact(index)
      naive.previous = index
      return `compact ${index}`
    }
    case "reset": {
      const index = last + where % 3
      const term = naive.terms[last]! + much
      shape.reset(index, term)
      naive.terms = Array.from({ length: index + 1 }, () => term)
      naive.previous = index
      return `reset ${index}@${term}`
    }
  }
}

describe("the shape of a log", () => {
  it.prop(
    "answers as the list of terms would, after any appends, truncations, compactions and resets",
    [Schema.Array(Change).check(Schema.isMaxLength(12))],
    ([changes]) => {
      const shape = empty()
      const naive: Naive = { previous: 0, terms: [0] }
      let trace = ""
      for (const change of changes) {
        trace += ` ${carryOut(shape, naive, change)}`
        agree(shape, naive, trace)
      }
    },
    { arbitrary: { runs: 200, seed: 99 } }
  )

  it("begins where the recovered log says", () => {
    const shape = new LogShape({
      previousIndex: 4,
      previousTerm: 2,
      lastIndex: 9,
      termRuns: [{ index: 5, term: 2 }, { index: 7, term: 5 }]
    })
    agree(shape, { previous: 4, terms: [0, 0, 0, 0, 2, 2, 2, 5, 5, 5] }, "recovered")
  })

  it("terms never go back along the log, nor is anything compacted truncated, nor compacted what is not there", () => {
    const shape = empty()
    shape.append(3, 5)
    assert.throws(() => shape.append(2, 1), /behind one of term 3/)
    shape.compact(3)
    assert.throws(() => shape.truncate(3), /compacted/)
    assert.throws(() => shape.compact(6), /not in the log/)
  })
})
