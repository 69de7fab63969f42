/** The shape of a log against the plainest second implementation: the list of its terms. */
import { assert, describe, it } from "vitest"
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

describe("the shape of a log", () => {
  it("answers as the list of terms would, after any appends, truncations, compactions and resets", () => {
    let state = 99
    const next = (bound: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % bound
    }
    for (let run = 0; run < 100; run++) {
      const shape = empty()
      const naive: Naive = { previous: 0, terms: [0] }
      let trace = ""
      for (let step = 0; step < 20; step++) {
        const last = naive.terms.length - 1
        switch (next(6)) {
          case 0: {
            const index = naive.previous + 1 + next(last - naive.previous + 2)
            shape.truncate(index)
            naive.terms.length = Math.min(naive.terms.length, index)
            trace += ` truncate ${index}`
            break
          }
          case 1: {
            const index = naive.previous + next(last - naive.previous + 1)
            shape.compact(index)
            naive.previous = index
            trace += ` compact ${index}`
            break
          }
          case 2: {
            if (next(4) > 0) break
            const index = last + next(3)
            const term = naive.terms[last]! + next(2)
            shape.reset(index, term)
            naive.terms = Array.from({ length: index + 1 }, () => term)
            naive.previous = index
            trace += ` reset ${index}@${term}`
            break
          }
          default: {
            const term = naive.terms[last]! + next(3)
            const count = 1 + next(3)
            shape.append(term, count)
            for (let left = count; left > 0; left--) naive.terms.push(term)
            trace += ` append ${count}@${term}`
          }
        }
        agree(shape, naive, trace)
      }
    }
  })

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
