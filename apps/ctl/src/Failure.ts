/** A command that did not reach its end, with the exit code that says how. */
import { Schema } from "effect"
import type { ExitCode } from "./ExitCode.ts"

/** The message is the one line that the person sees; empty if the code says it all. */
export class Failure extends Schema.TaggedError<Failure>()("Failure", {
  exitCode: Schema.Number,
  message: Schema.String
}) {
  static of(exitCode: ExitCode, message: string): Failure {
    return new Failure({ exitCode, message })
  }
}
