/** Figures and ratios out of the measurements of the cluster row, and the tables that show them. */
import { etcdPutsPerSecondMin } from "../Limits.ts"
import type { Operation } from "../load/Workload.ts"
import type { Cell, Ratio, Row } from "../Report.ts"
import * as Statistics from "../Statistics.ts"
import * as Table from "../Table.ts"
import type { Sample, System } from "./ClusterRow.ts"

/** One cell per system, operation and number of callers, in the order in which they were first measured. */
export const cells = (samples: ReadonlyArray<Sample>): ReadonlyArray<Cell> => {
  const grouped = new Map<string, Array<Sample>>()
  for (const sample of samples) {
    const key = `${sample.operation} ${sample.callers} ${sample.system}`
    const group = grouped.get(key)
    if (group === undefined) grouped.set(key, [sample])
    else group.push(sample)
  }
  return [...grouped.values()].map((group) => {
    const { callers, connections, operation, system } = group[0]!
    return {
      system,
      operation,
      callers,
      connections,
      rounds: group.map((sample) => sample.round),
      measurements: group.map((sample) => sample.measurement),
      peakRssBytes: group.map((sample) => sample.peakRssBytes)
    }
  })
}

const find = (all: ReadonlyArray<Cell>, system: System, operation: Operation, callers: number): Cell | undefined =>
  all.find((cell) => cell.system === system && cell.operation === operation && cell.callers === callers)

/** The value of each round that both cells have, in the same order. */
const paired = (
  cell: Cell,
  over: Cell,
  measure: Ratio["measure"]
): Statistics.Spread => {
  const rounds = cell.rounds.filter((round) => over.rounds.includes(round))
  const of = (from: Cell): Array<number | null> =>
    rounds.map((round) => from.measurements[from.rounds.indexOf(round)]![measure])
  return Statistics.ratios(of(cell), of(over))
}

/** Whether the load on etcd was so low at 100 callers that the generator, or the machine, must be to blame. */
export const etcdGeneratorAtFault = (all: ReadonlyArray<Cell>): boolean => {
  const cell = find(all, "etcd", "put", 100)
  if (cell === undefined) return false
  const puts = Statistics.median(cell.measurements.map((measurement) => measurement.perSecond))
  return puts !== null && puts < etcdPutsPerSecondMin
}

/** dkv over etcd and over the ceiling, wherever both were measured. None over etcd when its generator is at fault. */
export const ratios = (all: ReadonlyArray<Cell>): ReadonlyArray<Ratio> => {
  const others: ReadonlyArray<Ratio["over"]> = etcdGeneratorAtFault(all) ? ["ceiling"] : ["etcd", "ceiling"]
  return all.filter((cell) => cell.system === "dkv").flatMap((cell) =>
    others.flatMap((over) => {
      const other = find(all, over, cell.operation, cell.callers)
      if (other === undefined) return []
      const { callers, operation } = cell
      return (["perSecond", "p99Millis"] as const).map((measure) => ({
        over,
        measure,
        operation,
        callers,
        ratio: paired(cell, other, measure)
      }))
    })
  )
}

const mean = (values: ReadonlyArray<number | null>): number | null => {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length
}

const processorText = (cell: Cell): string => {
  const shares = cell.measurements.map((measurement) =>
    measurement.cpuSeconds.map((cpu) => cpu === null ? null : cpu / measurement.seconds)
  )
  const members = shares[0]?.map((_, member) => mean(shares.map((round) => round[member] ?? null))) ?? []
  return members.map((share) => share === null ? "–" : share.toFixed(2)).join(" ")
}

const peakText = (cell: Cell): string => {
  const peaks = cell.peakRssBytes.flat().filter((peak) => peak !== null)
  return peaks.length === 0 ? "–" : Table.mebibytes(Math.max(...peaks))
}

const cellRow = (cell: Cell): ReadonlyArray<string> => {
  const of = (pick: (measurement: Cell["measurements"][number]) => number | null): Statistics.Spread =>
    Statistics.spread(cell.measurements.map(pick))
  return [
    `${cell.system} ${cell.operation}`,
    String(cell.callers),
    Table.spread(of((measurement) => measurement.perSecond)),
    Table.figure(of((measurement) => measurement.p50Millis).median),
    Table.spread(of((measurement) => measurement.p99Millis)),
    Table.figure(of((measurement) => measurement.p999Millis).median),
    processorText(cell),
    Table.figure(
      mean(
        cell.measurements.map((measurement) =>
          measurement.generatorCpuSeconds === null ? null : measurement.generatorCpuSeconds / measurement.seconds
        )
      )
    ),
    peakText(cell)
  ]
}

const ratioRow = (ratio: Ratio): ReadonlyArray<string> => [
  `${ratio.operation}, ${ratio.measure === "perSecond" ? "per second" : "p99"}, over ${ratio.over}`,
  String(ratio.callers),
  Table.spread(ratio.ratio)
]

/** Cores that other programs used, and the host took, while the cells were measured. */
const otherCores = (all: ReadonlyArray<Cell>): number | null =>
  mean(
    all.flatMap((cell) =>
      cell.measurements.map((measurement) =>
        measurement.otherCpuSeconds === null ? null : measurement.otherCpuSeconds / measurement.seconds
      )
    )
  )

/** The row's tables as text. */
export const render = (row: Extract<Row, { readonly _tag: "Cluster" }>): string =>
  [
    "Medians of the rounds, with the smallest and largest in brackets; latencies in milliseconds; processors as cores in use, leader first.",
    Table.render(
      ["system", "callers", "per second", "p50", "p99", "p99.9", "member cores", "client cores", "peak memory"],
      row.cells.map(cellRow)
    ),
    ...(row.ratios.length === 0
      ? []
      : [Table.render(["dkv over another", "callers", "ratio"], row.ratios.map(ratioRow))]),
    `Everything else on the machine took ${Table.figure(otherCores(row.cells))} cores meanwhile.`,
    ...row.remarks
  ].join("\n\n")
