/** The process around the program: signals in, exit code out. The only file that ends the process. */
import { Effect, Exit, Fiber } from "effect"
import { stopMillisMax } from "./Limits.ts"

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const

/**
 * Runs `program` and exits with its code. The first SIGTERM or SIGINT interrupts it and waits for its finalizers, the second ends the process at once,
 * and so does the end of patience, with code 1. To be interrupted is how a `service` ends well; anything else has not been done.
 */
export const runMain = (program: Effect.Effect<number>, service: boolean): void => {
  let stopping: number | undefined
  // Before the program starts: whoever sees its first act may send a signal at once.
  for (const [signal, number] of Object.entries(signalNumbers)) {
    process.on(signal, () => {
      if (stopping !== undefined) process.exit(128 + number)
      stopping = number
      setTimeout(() => {
        process.stderr.write(`dkv: did not stop within ${stopMillisMax} ms and is ended\n`)
        process.exit(1)
      }, stopMillisMax).unref()
      Effect.runFork(Fiber.interrupt(fiber))
    })
  }
  const fiber = Effect.runFork(program)
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) process.exit(exit.value)
    if (stopping === undefined || !Exit.hasInterrupts(exit)) process.exit(1)
    process.exit(service ? 0 : 128 + stopping)
  })
}
