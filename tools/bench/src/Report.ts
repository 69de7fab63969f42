/** What a run found out, as it is written to the JSON file. Figures that are not known are null. */
import { Schema } from "effect"
import { EtcdClient, Measurement } from "./load/Protocol.ts"

const Figure = Schema.NullOr(Schema.Number)

/** A figure over several rounds: middle, extremes, and the value of each round. */
export const Spread = Schema.Struct({
  median: Figure,
  min: Figure,
  max: Figure,
  values: Schema.Array(Figure)
})

export const Machine = Schema.Struct({
  processor: Schema.String,
  cores: Schema.Int,
  memoryBytes: Schema.Number,
  system: Schema.String,
  /** Kind of the file system that the clusters' data was on. */
  fileSystem: Schema.String,
  loadAverageBefore: Schema.Number
})

const Versions = Schema.Struct({
  dkv: Schema.String,
  commit: Schema.String,
  node: Schema.String,
  effect: Schema.String,
  rocksdbNative: Schema.String,
  etcd: Schema.NullOr(Schema.String)
})

/** One system, one operation, one number of callers; a measurement per round. */
export const Cell = Schema.Struct({
  system: Schema.Literals(["dkv", "etcd", "ceiling"]),
  operation: Schema.Literals(["put", "get"]),
  callers: Schema.Int,
  /** Connections per member that the generator used. */
  connections: Schema.Int,
  /** Which rounds these are, from 0: one that failed is missing. */
  rounds: Schema.Array(Schema.Int),
  measurements: Schema.Array(Measurement),
  /** Peak memory of each member from its start to the end of this measurement, for each round. */
  peakRssBytes: Schema.Array(Schema.Array(Figure))
})
export type Cell = typeof Cell.Type

/** dkv over another system, round by round. */
export const Ratio = Schema.Struct({
  over: Schema.Literals(["etcd", "ceiling"]),
  measure: Schema.Literals(["perSecond", "p99Millis"]),
  operation: Schema.Literals(["put", "get"]),
  callers: Schema.Int,
  ratio: Spread
})
export type Ratio = typeof Ratio.Type

/** A row that has one figure per round, or per repetition. */
export const Series = Schema.Struct({
  name: Schema.String,
  unit: Schema.String,
  figure: Spread
})
export type Series = typeof Series.Type

export const Row = Schema.Union([
  Schema.TaggedStruct("Cluster", {
    cells: Schema.Array(Cell),
    ratios: Schema.Array(Ratio),
    /** What limits the meaning of the figures, such as a generator at fault or a missing program. */
    remarks: Schema.Array(Schema.String)
  }),
  Schema.TaggedStruct("Series", { row: Schema.String, series: Schema.Array(Series) }),
  Schema.TaggedStruct("Skipped", { row: Schema.String, reason: Schema.String })
])
export type Row = typeof Row.Type

export const Report = Schema.Struct({
  format: Schema.Literal("dkv-bench/1"),
  date: Schema.String,
  machine: Machine,
  versions: Versions,
  options: Schema.Struct({
    rounds: Schema.Int,
    seconds: Schema.Number,
    warmupSeconds: Schema.Number,
    callers: Schema.Array(Schema.Int),
    keys: Schema.Int,
    valueBytes: Schema.Int,
    dkvClients: Schema.Int,
    etcdClient: EtcdClient,
    etcdConnections: Schema.Int
  }),
  rows: Schema.Array(Row)
})
export type Report = typeof Report.Type

export const Json = Schema.fromJsonString(Report)
