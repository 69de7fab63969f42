/** Runs the chosen rows one after the other, shows each as soon as it is done, and returns the report. */
import { Clock, Console, DateTime, Effect } from "effect"
import type { FileSystem } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import type { BenchError, Missing } from "./BenchError.ts"
import { keys, valueBytes } from "./Limits.ts"
import * as Machine from "./Machine.ts"
import type { Options, RowName } from "./Options.ts"
import { Progress } from "./Progress.ts"
import type { Report, Row } from "./Report.ts"
import * as ClusterRow from "./rows/ClusterRow.ts"
import * as ClusterSummary from "./rows/ClusterSummary.ts"
import * as CoreRow from "./rows/CoreRow.ts"
import * as FailoverRow from "./rows/FailoverRow.ts"
import * as GeneratorRow from "./rows/GeneratorRow.ts"
import * as MemoryClusterRow from "./rows/MemoryClusterRow.ts"
import * as MemoryRow from "./rows/MemoryRow.ts"
import * as SeriesTable from "./rows/SeriesTable.ts"

type Requirements = Progress | FileSystem.FileSystem | ChildProcessSpawner.ChildProcessSpawner

const rowOf = (name: RowName, options: Options): Effect.Effect<Row, BenchError | Missing, Requirements> => {
  switch (name) {
    case "core":
      return CoreRow.run(options)
    case "memory-cluster":
      return MemoryClusterRow.run(options)
    case "generator":
      return GeneratorRow.run(options)
    case "cluster":
      return ClusterRow.run(options)
    case "failover":
      return FailoverRow.run(options)
    case "memory":
      return MemoryRow.run(options)
  }
}

const render = (row: Row): string => {
  switch (row._tag) {
    case "Cluster":
      return ClusterSummary.render(row)
    case "Series":
      return SeriesTable.render(row)
    case "Skipped":
      return `${row.row}: skipped. ${row.reason}`
  }
}

const skipped = (row: RowName) => (error: BenchError | Missing): Row => ({
  _tag: "Skipped",
  row,
  reason: error.message
})

/** A row that cannot be measured is reported as skipped, with the reason; the others go on. */
export const run = Effect.fnUntraced(function*(options: Options) {
  const progress = yield* Progress
  const date = DateTime.formatIso(DateTime.makeUnsafe(yield* Clock.currentTimeMillis))
  const machine = yield* Machine.describe(options.dataDirectory)
  const versions = yield* Machine.versions
  yield* Console.log(
    `dkv ${versions.dkv} (${versions.commit}), Node ${versions.node}, etcd ${
      versions.etcd ?? "not installed"
    }, ${date}\n` +
      `${machine.processor}, ${machine.cores} cores, ${
        Math.round(machine.memoryBytes / 2 ** 30)
      } GiB, ${machine.system}, data on ${machine.fileSystem}\n`
  )
  const rows: Array<Row> = []
  for (const name of options.only) {
    yield* progress.say(`row ${name}`)
    const row = yield* rowOf(name, options).pipe(Effect.catch((error) => Effect.succeed(skipped(name)(error))))
    rows.push(row)
    yield* Console.log(`\n## ${name}\n\n${render(row)}`)
  }
  return {
    format: "dkv-bench/1",
    date,
    machine,
    versions,
    options: {
      rounds: options.rounds,
      seconds: options.seconds,
      warmupSeconds: options.warmupSeconds,
      callers: options.callers,
      keys,
      valueBytes,
      dkvClients: options.dkvClients,
      etcdClient: options.etcdClient,
      etcdConnections: options.etcdConnections
    },
    rows
  } satisfies Report
})
