/** Runs seeds one after another, in a process of its own. */
import { NodeRuntime } from "@effect/platform-node"
import type { Run } from "@dkv/testkit/simulator"
import { Console, Effect, Schema } from "effect"
import * as Attempt from "./Attempt.ts"
import * as Protocol from "./Protocol.ts"

const outcomeOf = (report: Run.Report): Protocol.Outcome => ({
  seed: report.seed,
  failure: report.failure ?? null,
  virtualMillis: report.virtualMillis,
  faults: { ...Object.fromEntries(report.faults), ...report.frames },
  rules: Object.fromEntries(report.looks),
  calls: Object.fromEntries(report.outcomes),
  events: Object.fromEntries(report.events),
  proven: report.proven,
  hash: report.hash
})

const program = Effect.gen(function*() {
  const { count, from, step, without } = yield* Schema.decodeEffect(Protocol.JobLine)(process.argv[2] ?? "")
  for (let done = 0; done < count; done++) {
    const seed = from + done * step
    const outcome = yield* Effect.match(Attempt.make(seed, { without }), {
      onFailure: (how) => Protocol.crashed(seed, how),
      onSuccess: outcomeOf
    })
    yield* Console.log(yield* Schema.encodeEffect(Protocol.OutcomeLine)(outcome))
  }
})

NodeRuntime.runMain(program)
