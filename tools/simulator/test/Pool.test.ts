/** What becomes of a seed whose process dies under it. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as Copy from "../src/Copy.ts"
import * as Pool from "../src/Pool.ts"
import * as Workers from "./Workers.ts"

const outcomes = Effect.fnUntraced(
  function*(deaths: Readonly<Record<number, string>>, workers: number) {
    const worker = yield* Workers.make({}, deaths)
    const found = yield* Stream.runCollect(Pool.run({ from: 1, count: 9, without: [], workers, worker }))
    return found.sort((a, b) => a.seed - b.seed)
  },
  Effect.provide(NodeServices.layer),
  Effect.scoped
)

describe("a pool of workers", () => {
  for (const workers of [1, 2, 4]) {
    it.live(
      `a process that dies is a failure of the seed that it ran, and no other seed is left out, with ${workers} workers`,
      () =>
        Effect.gen(function*() {
          const deaths = {
            1: "process.exit(3)",
            4: "process.kill(process.pid, 'SIGKILL'); while (true);",
            9: "process.exit(0)"
          }
          const found = yield* outcomes(deaths, workers)
          assert.deepStrictEqual(found.map(({ seed }) => seed), [1, 2, 3, 4, 5, 6, 7, 8, 9])
          const failures = found.filter(({ failure }) => failure !== null)
          assert.deepStrictEqual(failures.map(({ seed }) => seed), [1, 4, 9])
          assert.match(failures[0]!.failure!, /^crash: .*exit code 3/)
          assert.match(failures[1]!.failure!, /^crash: .*SIGKILL/)
        }),
      60_000
    )
  }

  it.live(
    "a run that throws is a failure of its seed, and says where",
    () =>
      Effect.gen(function*() {
        const worker = yield* Copy.worker({
          name: "throw",
          file: "libs/testkit/src/simulator/Run.ts",
          find: "const options = without(draw(new Prng(seed)), left)",
          replace: "if (seed === 2) throw new Error(\"planted\")\n  const options = without(draw(new Prng(seed)), left)"
        })
        const found = yield* Stream.runCollect(Pool.run({ from: 2, count: 2, without: [], workers: 1, worker }))
        assert.deepStrictEqual(found.map(({ seed }) => seed), [2, 3])
        assert.match(found[0]!.failure!, /^crash: Error: planted\n.*Run\.ts/)
        assert.isNull(found[1]!.failure)
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    60_000
  )
})
