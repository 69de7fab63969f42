/** What the two load generators for etcd cost by themselves: the same puts against a server that answers at once. */
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import * as Cluster from "../clusters/Cluster.ts"
import * as Generator from "../load/Generator.ts"
import type { Options } from "../Options.ts"
import * as Ports from "../Ports.ts"
import { Progress } from "../Progress.ts"
import type { Row, Series } from "../Report.ts"
import * as Statistics from "../Statistics.ts"

const program = fileURLToPath(new URL("../load/echo.ts", import.meta.url))

const callers = 100

export const run = Effect.fnUntraced(function*(options: Options) {
  const progress = yield* Progress
  const directory = yield* Cluster.temporaryDirectory(options.dataDirectory, "generator")
  const [address = ""] = yield* Ports.freeAddresses(1)
  const server = yield* Cluster.spawn({
    name: "echo",
    command: process.execPath,
    args: [program, Ports.portOf(address)],
    logFile: `${directory}/echo.log`
  })
  yield* Ports.listening(address).pipe(Effect.raceFirst(server.exited))
  const series: Array<Series> = []
  for (const etcdClient of ["raw", "http2"] as const) {
    const generator = yield* Generator.start(
      { system: "etcd", endpoints: [address], dkvClients: 1, etcdClient },
      `${directory}/generator.log`
    )
    const perSecond: Array<number> = []
    const micros: Array<number | null> = []
    for (let round = 0; round < options.rounds; round++) {
      const measured = yield* generator.measure({
        operation: "put",
        callers,
        connections: 1,
        warmupMillis: options.warmupSeconds * 1000,
        measureMillis: options.seconds * 1000,
        pids: []
      })
      perSecond.push(measured.perSecond)
      micros.push(measured.generatorCpuSeconds === null ? null : measured.generatorCpuSeconds / measured.calls * 1e6)
      yield* progress.say(
        `round ${round + 1}/${options.rounds} · ${etcdClient} client · ${Math.round(measured.perSecond)}/s`
      )
    }
    series.push(
      { name: `${etcdClient} client, ${callers} callers`, unit: "calls/s", figure: Statistics.spread(perSecond) },
      { name: `${etcdClient} client, processor per call`, unit: "µs", figure: Statistics.spread(micros) }
    )
  }
  return { _tag: "Series", row: "generator for etcd alone", series } satisfies Row
}, Effect.scoped)
