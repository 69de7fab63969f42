/** Runs the command line to an exit code. What is wrong is said in one line on the error output; the answer alone is on the output. */
import { NodeServices } from "@effect/platform-node"
import { Cause, Console, Effect, Exit, Layer } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import { ClusterError } from "./Cluster.ts"
import { command } from "./Command.ts"
import { ExitCode } from "./ExitCode.ts"
import { Failure } from "./Failure.ts"
import type { Screen } from "./Screen.ts"
import type { Reach } from "./Session.ts"
import { UsageError } from "./Settings.ts"
import { version } from "./Version.ts"

const oneLine = (text: string): string => text.trim().replaceAll(/\s*\n\s*/g, " ")

const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
        `dkvctl: ${oneLine(event.errors.map((error) => error.message).join("; "))} (dkvctl --help explains)`
      )
      : CliOutput.defaultPresenter.present(event)
}

const layer = Layer.mergeAll(
  CliOutput.layerPresenter(presenter),
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] }),
  NodeServices.layer
)

/** Variables come from the `ConfigProvider` at hand. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<number, never, Reach | Screen> =>
  Command.runWith(command, { version })(args).pipe(
    Effect.provide(layer),
    Effect.exit,
    Effect.flatMap((exit) => Exit.isSuccess(exit) ? Effect.succeed(ExitCode.done) : explain(exit.cause))
  )

const exitCodes: Record<ClusterError["reason"], ExitCode> = {
  Failed: ExitCode.failed,
  NotFound: ExitCode.notFound,
  Unknown: ExitCode.unknown,
  WrongUse: ExitCode.wrongUse
}

const explain = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>): Effect.fn.Return<number> {
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) {
    // help was shown because nothing was asked; whatever was wrong has been said
    return ExitCode.wrongUse
  }
  const [exitCode, message] = error instanceof UsageError
    ? [ExitCode.wrongUse, `${error.message} (dkvctl --help explains)`]
    : error instanceof Failure
    ? [error.exitCode, error.message]
    : error instanceof ClusterError
    ? [exitCodes[error.reason], error.message]
    : [ExitCode.failed, Cause.hasFails(cause) && error instanceof Error ? error.message : Cause.pretty(cause)]
  if (message !== "") yield* Console.error(`dkvctl: ${oneLine(message)}`)
  return exitCode
})
