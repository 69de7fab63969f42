/** The process around the program: signals in, exit code out. The only file that ends the process. */
import { Effect, Exit, Fiber } from "effect"
import { ExitCode } from "./ExitCode.ts"

/**
 * Runs `program` and exits with its code. A signal interrupts it, and the exit code is then the one that shells use for that signal: whether a
 * change that was under way took effect is not known.
 */
export const runMain = (program: Effect.Effect<number, { readonly message: string }>): void => {
  let code: number | undefined
  // Before the program starts: whoever sees its first act may send a signal at once.
  for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]] as const) {
    process.on(signal, () => {
      if (code !== undefined) process.exit(code)
      code = 128 + number
      Effect.runFork(Fiber.interrupt(fiber))
    })
  }
  const fiber = Effect.runFork(program)
  fiber.addObserver((exit) => {
    if (code === undefined && Exit.isFailure(exit)) process.stderr.write(`dkvctl: ${messageOf(exit)}\n`)
    process.exit(code ?? (Exit.isSuccess(exit) ? exit.value : ExitCode.failed))
  })
}

const messageOf = (exit: Exit.Failure<number, { readonly message: string }>): string => {
  const [reason] = exit.cause.reasons
  return reason?._tag === "Fail" ? reason.error.message : String(reason?._tag === "Die" ? reason.defect : "interrupted")
}
