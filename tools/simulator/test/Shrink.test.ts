/** What a failure needs, and runs that throw. */
import { Options } from "@dkv/testkit/simulator"
import type { Run } from "@dkv/testkit/simulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Attempt from "../src/Attempt.ts"
import { shrink } from "../src/Shrink.ts"

const [first, second, third, ...others] = Options.parts

const report: Run.Report = {
  seed: 1,
  failure: undefined,
  virtualMillis: 0,
  steps: 0,
  acknowledged: 0,
  outcomes: new Map(),
  proven: "nothing",
  picture: undefined,
  faults: new Map(),
  frames: { lost: 0, doubled: 0, overtaking: 0 },
  looks: new Map(),
  events: new Map(),
  hash: 0
}

/** Fails as `failing` says for what is left out, and notes which parts could be. */
const shrunk = Effect.fnUntraced(function*(
  failing: (without: ReadonlyArray<Options.Part>) => string | undefined,
  given: ReadonlyArray<Options.Part> = []
) {
  const said: Array<Options.Part> = []
  const result = yield* shrink(
    given,
    // whatever is thrown is a failure like any other, as where runs are made
    (without) => Attempt.failure(Attempt.make(1, { without }, () => ({ ...report, failure: failing(without) }))),
    (part) => Effect.sync(() => void said.push(part))
  )
  return { ...result, said }
})

describe("shrink", () => {
  it.effect("leaves out everything that the failure does not need", () =>
    Effect.gen(function*() {
      const result = yield* shrunk((without) =>
        without.includes(second!) || without.includes(third!) ? undefined : `log matching: ${without.length} left out`
      )
      assert.deepStrictEqual(result.needed, [second, third])
      assert.deepStrictEqual(result.without, [first, ...others])
      assert.deepStrictEqual(result.said, [first, ...others])
    }))

  it.effect("keeps what turns the failure into another one", () =>
    Effect.gen(function*() {
      const result = yield* shrunk((without) => without.includes(second!) ? "election safety: x" : "log matching: y")
      assert.deepStrictEqual(result.needed, [second])
    }))

  it.effect("begins with what is left out already, and says so when nothing is wrong", () =>
    Effect.gen(function*() {
      const { without } = yield* shrunk(() => "log matching: x", [third!])
      assert.deepStrictEqual(without, [third, first, second, ...others])
      assert.deepStrictEqual(yield* shrunk(() => undefined), { said: [] })
    }))

  it.effect("a run that throws has failed, and needs what is needed to throw the same", () =>
    Effect.gen(function*() {
      const result = yield* shrunk((without) => {
        if (without.includes(first!)) throw new Error("another one")
        if (without.includes(second!)) return "log matching: x"
        throw new Error("out of range")
      })
      assert.deepStrictEqual(result.needed, [first, second])
    }))
})
