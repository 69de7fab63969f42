/**
 * What the bench and its generator process say to each other: one JSON value per line, a command in and a measurement out, in turn.
 */
import { Schema } from "effect"

/**
 * How the load reaches etcd: `http2` is the client that Node ships with, `raw` a framer of our own that leaves nearly the whole machine to etcd,
 * as no client that people use does.
 */
export const EtcdClient = Schema.Literals(["http2", "raw"])
export type EtcdClient = typeof EtcdClient.Type

/** Which cluster the generator talks to, given as the process's only argument. */
export const Target = Schema.Struct({
  system: Schema.Literals(["dkv", "etcd", "ceiling"]),
  /** `host:port` of the client ports; the leader's first. */
  endpoints: Schema.Array(Schema.String),
  dkvClients: Schema.Int,
  etcdClient: EtcdClient
})
export type Target = typeof Target.Type

export const Command = Schema.Struct({
  operation: Schema.Literals(["put", "get"]),
  callers: Schema.Int,
  /** Connections per member, for drivers that can have several. */
  connections: Schema.Int,
  warmupMillis: Schema.Number,
  measureMillis: Schema.Number,
  /** Ends the measurement after so many calls; used to write every key once. */
  callsMax: Schema.optional(Schema.Int),
  /** Processes whose CPU time is taken at both ends of the measurement. */
  pids: Schema.Array(Schema.Int)
})
export type Command = typeof Command.Type

/** JSON has no `NaN`: a figure that is not known is null. */
const Figure = Schema.NullOr(Schema.Number)

export const Measurement = Schema.Struct({
  /** Calls answered within the measurement. */
  calls: Schema.Number,
  /** Calls answered altogether, with those of the warm-up and the end. */
  answered: Schema.Number,
  seconds: Schema.Number,
  perSecond: Schema.Number,
  p50Millis: Figure,
  p99Millis: Figure,
  p999Millis: Figure,
  maxMillis: Schema.Number,
  /** Used by the generator itself within the measurement. */
  generatorCpuSeconds: Figure,
  /** In the order of `pids`. */
  cpuSeconds: Schema.Array(Figure),
  /** Used meanwhile by everything else on the machine, and by its host: noise. */
  otherCpuSeconds: Figure
})
export type Measurement = typeof Measurement.Type

/** An answer to a command. */
export const Answer = Schema.Union([
  Schema.TaggedStruct("Measured", { measurement: Measurement }),
  Schema.TaggedStruct("Failed", { message: Schema.String })
])
export type Answer = typeof Answer.Type

export const CommandLine = Schema.fromJsonString(Command)
export const AnswerLine = Schema.fromJsonString(Answer)
export const TargetLine = Schema.fromJsonString(Target)
