/**
 * The real cluster, etcd and the ceiling under the same load. In each round every system is started anew, filled, warmed up, measured and stopped before the next one starts;
 * the order moves on by one per round, so that none always comes first.
 */
import { Effect, Option } from "effect"
import type { FileSystem, Scope } from "effect"
import type { ChildProcessSpawner } from "effect/process"
import { BenchError } from "../BenchError.ts"
import * as CeilingCluster from "../clusters/CeilingCluster.ts"
import type { Cluster } from "../clusters/Cluster.ts"
import { temporaryDirectory } from "../clusters/Cluster.ts"
import * as DkvCluster from "../clusters/DkvCluster.ts"
import * as EtcdCluster from "../clusters/EtcdCluster.ts"
import { connectionsPerMemberMax, etcdPutsPerSecondMin, warmupCallers, warmupMillis } from "../Limits.ts"
import * as Generator from "../load/Generator.ts"
import type { Command, Measurement } from "../load/Protocol.ts"
import type { Operation } from "../load/Workload.ts"
import type { Options } from "../Options.ts"
import * as Processes from "../Processes.ts"
import { Progress } from "../Progress.ts"
import type { Cell, Row } from "../Report.ts"
import * as Table from "../Table.ts"
import * as ClusterSummary from "./ClusterSummary.ts"

export type System = Cell["system"]

type Requirements = FileSystem.FileSystem | ChildProcessSpawner.ChildProcessSpawner | Scope.Scope

const starters: Record<System, (directory: string) => Effect.Effect<Cluster, BenchError, Requirements>> = {
  dkv: DkvCluster.start,
  etcd: EtcdCluster.start,
  ceiling: CeilingCluster.start
}

const operations: Record<System, ReadonlyArray<Operation>> = {
  dkv: ["put", "get"],
  etcd: ["put", "get"],
  ceiling: ["put"]
}

/** One measurement, and where it belongs. */
export interface Sample {
  readonly system: System
  readonly operation: Operation
  readonly callers: number
  readonly connections: number
  readonly round: number
  readonly measurement: Measurement
  readonly peakRssBytes: ReadonlyArray<number | null>
}

/** A fresh cluster in a directory of its own, and a generator that has written every key. */
const prepared = Effect.fnUntraced(function*(system: System, options: Options) {
  const directory = yield* temporaryDirectory(options.dataDirectory, system)
  const cluster = yield* starters[system](directory)
  const generator = yield* Generator.start(
    { system, endpoints: cluster.endpoints, dkvClients: options.dkvClients, etcdClient: options.etcdClient },
    `${directory}/generator.log`
  )
  yield* generator.fill
  return { cluster, generator }
})

/**
 * For each number of callers, the connections per member with which etcd takes the most puts. A person who runs etcd
 * would choose them so; a generator with the wrong number would measure itself.
 */
export const bestConnections = Effect.fnUntraced(function*(options: Options) {
  const progress = yield* Progress
  const best = new Map<number, number>()
  if (options.etcdConnections > 0) {
    for (const callers of options.callers) best.set(callers, options.etcdConnections)
    return best
  }
  const { cluster, generator } = yield* prepared("etcd", options)
  for (const callers of options.callers) {
    let most = 0
    for (let connections = 1; connections <= connectionsPerMemberMax; connections *= 2) {
      if (connections > 1 && connections * cluster.members.length > callers) break
      const { perSecond } = yield* generator.measure({
        operation: "put",
        callers,
        connections,
        warmupMillis: 300,
        measureMillis: 1000,
        pids: []
      })
      if (perSecond > most) {
        most = perSecond
        best.set(callers, connections)
      }
    }
    yield* progress.say(
      `etcd, ${callers} callers: ${best.get(callers)} connection(s) per member serve best (${
        Table.figure(most)
      } puts/s)`
    )
  }
  return best
}, Effect.scoped)

/** All measurements of one system in one round. */
export const measureSystem = Effect.fnUntraced(function*(
  system: System,
  round: number,
  connections: ReadonlyMap<number, number>,
  options: Options
) {
  const progress = yield* Progress
  const { cluster, generator } = yield* prepared(system, options)
  yield* generator.measure({
    operation: "put",
    callers: warmupCallers,
    connections: connections.get(warmupCallers) ?? 1,
    warmupMillis: 0,
    measureMillis: warmupMillis,
    pids: []
  })
  const samples: Array<Sample> = []
  const before = yield* revisionOf(cluster)
  let puts = 0
  for (const operation of operations[system]) {
    for (const callers of options.callers) {
      const command: Command = {
        operation,
        callers,
        connections: system === "etcd" ? connections.get(callers) ?? 1 : 1,
        warmupMillis: options.warmupSeconds * 1000,
        measureMillis: options.seconds * 1000,
        pids: cluster.members.map((member) => member.pid)
      }
      const measurement = yield* generator.measure(command)
      if (operation === "put") puts += measurement.answered
      const peaks = cluster.members.map((member) => Processes.usage(member.pid).peakRssBytes)
      samples.push({
        system,
        operation,
        callers,
        connections: command.connections,
        round,
        measurement,
        peakRssBytes: peaks.map((peak) => Number.isNaN(peak) ? null : peak)
      })
      yield* progress.say(
        `round ${round + 1}/${options.rounds} · ${system} · ${operation} · ${callers} callers: ${
          Table.figure(measurement.perSecond)
        }/s, p99 ${Table.figure(measurement.p99Millis)} ms`
      )
    }
  }
  const changes = (yield* revisionOf(cluster)) - before
  if (Option.isSome(cluster.revision) && changes !== puts) {
    return yield* new BenchError({ message: `${system} answered ${puts} puts but counted ${changes} changes` })
  }
  return samples
}, Effect.scoped)

/** The store's own count of changes; NaN where it has none. */
const revisionOf = (cluster: Cluster): Effect.Effect<number, BenchError> =>
  Option.getOrElse(cluster.revision, () => Effect.succeed(Number.NaN))

/** The systems in the order of a round: each comes first in turn. */
const orderOf = (systems: ReadonlyArray<System>, round: number): ReadonlyArray<System> => {
  const first = round % systems.length
  return [...systems.slice(first), ...systems.slice(0, first)]
}

/** The whole row. A system that fails in a round is left out of that round, and a remark says so; one that is missing is left out altogether. */
export const run = Effect.fnUntraced(function*(options: Options) {
  const progress = yield* Progress
  const remarks: Array<string> = []
  const systems: Array<System> = [...options.systems]
  let connections: ReadonlyMap<number, number> = new Map()
  const remark = Effect.fnUntraced(function*(text: string) {
    remarks.push(text)
    yield* progress.say(text)
  })

  if (systems.includes("etcd")) {
    yield* EtcdCluster.version.pipe(
      Effect.andThen(bestConnections(options)),
      Effect.matchEffect({
        onSuccess: (found) =>
          Effect.sync(() => {
            connections = found
          }),
        onFailure: (error) => {
          systems.splice(systems.indexOf("etcd"), 1)
          return remark(`etcd left out: ${error.message}`)
        }
      })
    )
  }

  const samples: Array<Sample> = []
  for (let round = 0; round < options.rounds; round++) {
    for (const system of orderOf(systems, round)) {
      yield* measureSystem(system, round, connections, options).pipe(
        Effect.matchEffect({
          onSuccess: (measured) => Effect.sync(() => samples.push(...measured)),
          onFailure: (error) => remark(`${system} left out of round ${round + 1}: ${error.message}`)
        })
      )
    }
  }

  const cells = ClusterSummary.cells(samples)
  if (ClusterSummary.etcdGeneratorAtFault(cells)) {
    yield* remark(
      `generator at fault: etcd took fewer than ${
        Table.figure(etcdPutsPerSecondMin)
      } puts/s at 100 callers, so there is no ratio over it`
    )
  }
  return { _tag: "Cluster", cells, ratios: ClusterSummary.ratios(cells), remarks } satisfies Row
})
