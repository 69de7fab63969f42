/** Entries per second of three members in one process, each command with a caller of its own that waits for it. */
import { Effect, Fiber } from "effect"
import { performance } from "node:perf_hooks"
import { BenchError } from "../BenchError.ts"
import type { Options } from "../Options.ts"
import { Progress } from "../Progress.ts"
import type { Row, Series } from "../Report.ts"
import * as Statistics from "../Statistics.ts"
import * as Table from "../Table.ts"
import * as MemoryCluster from "./MemoryCluster.ts"

/** Keeps `callers` fibers calling for `seconds`; succeeds with calls answered per second. */
const measure = Effect.fnUntraced(function*(call: MemoryCluster.Call, callers: number, seconds: number) {
  let running = true
  let applied = 0
  const caller = Effect.gen(function*() {
    while (running) {
      yield* call
      applied += 1
    }
  })
  const begin = performance.now()
  const fibers = yield* Effect.forEach(Array.from({ length: callers }), () => Effect.forkChild(caller))
  yield* Effect.sleep(seconds * 1000)
  running = false
  const count = applied
  const elapsed = (performance.now() - begin) / 1000
  for (const fiber of fibers) yield* Fiber.join(fiber)
  return count / elapsed
})

/** One number of callers on one kind of state. Members start anew for each round, so that none pays for what the one before it kept. */
const measureCallers = Effect.fnUntraced(function*(state: MemoryCluster.State, callers: number, options: Options) {
  const progress = yield* Progress
  const perSecond: Array<number> = []
  for (let round = 0; round < options.rounds; round++) {
    const value = yield* Effect.gen(function*() {
      const call = yield* MemoryCluster.start(state)
      if (options.warmupSeconds > 0) yield* measure(call, callers, options.warmupSeconds)
      return yield* measure(call, callers, options.seconds)
    }).pipe(Effect.scoped)
    perSecond.push(value)
    yield* progress.say(
      `round ${round + 1}/${options.rounds} · three members in memory, ${state} · ${callers} callers: ${
        Table.figure(value)
      } entries/s`
    )
  }
  return {
    name: `${state === "kv" ? "key-value store, puts" : "consensus alone"}, ${callers} waiting callers`,
    unit: "entries/s",
    figure: Statistics.spread(perSecond)
  } satisfies Series
})

export const run = Effect.fnUntraced(
  function*(options: Options) {
    const series: Array<Series> = []
    for (const callers of options.callers) series.push(yield* measureCallers("counting", callers, options))
    series.push(yield* measureCallers("kv", Math.max(...options.callers), options))
    return { _tag: "Series", row: "three members in one process", series } satisfies Row
  },
  Effect.catchTag("RaftError", (cause) => Effect.fail(new BenchError({ message: cause.message, cause })))
)
