/** The pure Raft core alone: how many entries three members agree on per second when nothing else takes time. */
import { Effect } from "effect"
import { performance } from "node:perf_hooks"
import { valueBytes } from "../Limits.ts"
import type { Options } from "../Options.ts"
import { Progress } from "../Progress.ts"
import type { Row, Series } from "../Report.ts"
import * as Statistics from "../Statistics.ts"
import * as Table from "../Table.ts"
import { CoreCluster } from "./CoreCluster.ts"

/** Commands on their way at once: one, as for a single caller; a full pipe. */
const loads = [1, 1000]

/** Entries per second with `inFlight` commands on their way for `seconds`. */
export const measure = (inFlight: number, seconds: number): number => {
  const cluster = new CoreCluster(valueBytes)
  cluster.elect()
  const begin = performance.now()
  const until = begin + seconds * 1000
  const first = cluster.applied
  let applied = first
  cluster.propose(inFlight)
  while (performance.now() < until) {
    cluster.turn()
    cluster.propose(cluster.applied - applied)
    applied = cluster.applied
  }
  return (applied - first) / (performance.now() - begin) * 1000
}

export const run = Effect.fnUntraced(function*(options: Options) {
  const progress = yield* Progress
  const series: Array<Series> = []
  for (const inFlight of loads) {
    const perSecond: Array<number> = []
    if (options.warmupSeconds > 0) measure(inFlight, options.warmupSeconds)
    for (let round = 0; round < options.rounds; round++) {
      const value = measure(inFlight, options.seconds)
      perSecond.push(value)
      yield* progress.say(
        `round ${round + 1}/${options.rounds} · core · ${inFlight} in flight: ${Table.figure(value)} entries/s`
      )
    }
    series.push({ name: `three cores, ${inFlight} in flight`, unit: "entries/s", figure: Statistics.spread(perSecond) })
  }
  return { _tag: "Series", row: "pure core", series } satisfies Row
})
