/** What a worker process is asked, as its only argument, and what it answers: a line of JSON per seed. */
import { Options } from "@dkv/testkit/simulator"
import { Schema } from "effect"

export const Job = Schema.Struct({
  from: Schema.Int,
  /** Seeds `from`, `from + step`, and so on. */
  step: Schema.Int,
  count: Schema.Int,
  without: Schema.Array(Schema.Literals(Options.parts))
})
export type Job = typeof Job.Type

const Counts = Schema.Record(Schema.String, Schema.Number)

export const Outcome = Schema.Struct({
  seed: Schema.Int,
  failure: Schema.NullOr(Schema.String),
  virtualMillis: Schema.Number,
  /** How often each kind of fault struck, each rule was looked at, and calls ended in each way. */
  faults: Counts,
  rules: Counts,
  calls: Counts,
  /** What came about besides faults, and how often. */
  events: Counts,
  proven: Schema.String,
  hash: Schema.Number
})
export type Outcome = typeof Outcome.Type

/** The failure of a run that ended before it could tell anything. */
export const crash = (how: string): string => `crash: ${how}`

export const isCrash = (failure: string): boolean => failure.startsWith(crash(""))

/** What a failure has in common with others of its kind: the rule that was broken, or the first line of what was thrown. */
export const ruleOf = (failure: string): string => failure.split(isCrash(failure) ? "\n" : ":")[0]!

export const crashed = (seed: number, how: string): Outcome => ({
  seed,
  failure: crash(how),
  virtualMillis: 0,
  faults: {},
  rules: {},
  calls: {},
  events: {},
  proven: "nothing",
  hash: 0
})

export const JobLine = Schema.fromJsonString(Job)
export const OutcomeLine = Schema.fromJsonString(Outcome)
