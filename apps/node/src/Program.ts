/** Runs the command line to an exit code. Everything said to the person on the way is one line, except help. */
import { NodeServices } from "@effect/platform-node"
import { Cause, Console, Effect, Exit, Layer } from "effect"
import { CliConfig, CliError, CliOutput, Command, GlobalFlag } from "effect/cli"
import { command } from "./Command.ts"
import * as Environment from "./Environment.ts"
import { UsageError } from "./Settings.ts"
import { version } from "./Version.ts"

export const ExitCode = { done: 0, failed: 1, wrongUse: 2 } as const

const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`dkv: ${oneLine(event.errors.map((error) => error.message).join("; "))} (dkv --help explains)`)
      : CliOutput.defaultPresenter.present(event)
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s*\n\s*/g, " ")

const layer = Layer.mergeAll(
  Environment.layer,
  CliOutput.layerPresenter(presenter),
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
).pipe(Layer.provideMerge(NodeServices.layer))

/** Runs until the member stops, or help is given. Interruption, which is how the person stops it, counts as done. */
export const run = (args: ReadonlyArray<string>): Effect.Effect<number> =>
  Command.runWith(command, { version })(args).pipe(
    Effect.provide(layer),
    Effect.exit,
    Effect.flatMap((exit) => Exit.isSuccess(exit) ? Effect.succeed(ExitCode.done) : explain(exit.cause))
  )

const explain = Effect.fnUntraced(function*(cause: Cause.Cause<unknown>): Effect.fn.Return<number> {
  const error = Cause.squash(cause)
  if (CliError.isCliError(error)) return ExitCode.wrongUse
  if (error instanceof UsageError) {
    yield* Console.error(`dkv: ${error.message} (dkv --help explains)`)
    return ExitCode.wrongUse
  }
  const isExpected = Cause.hasFails(cause) && error instanceof Error
  yield* Console.error(`dkv: ${isExpected ? oneLine(error.message) : Cause.pretty(cause)}`)
  return ExitCode.failed
})
