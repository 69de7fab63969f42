/** One run in this process. One that throws has failed like any other: whoever plants bugs, or writes a part of a member, throws where nobody thought of it. */
import { Run } from "@dkv/testkit/simulator"
import { Effect } from "effect"
import * as Protocol from "./Protocol.ts"

/** The report, or what was thrown. */
export const make = (
  seed: number,
  options: Run.RunOptions,
  run: typeof Run.run = Run.run
): Effect.Effect<Run.Report, string> =>
  Effect.try({
    try: () => run(seed, options),
    catch: (error) => error instanceof Error ? error.stack ?? error.message : String(error)
  })

/** What was wrong, if anything. */
export const failure = (attempt: Effect.Effect<Run.Report, string>): Effect.Effect<string | undefined> =>
  Effect.match(attempt, { onFailure: Protocol.crash, onSuccess: ({ failure }) => failure })
