/** Seeds spread over worker processes, one per core. */
import { Effect, Schema, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"
import * as Protocol from "./Protocol.ts"

export const ownWorker = fileURLToPath(new URL("./worker.ts", import.meta.url))

export interface Request extends Omit<Protocol.Job, "step"> {
  readonly workers: number
  /** The program that runs them; that of this workspace if absent. */
  readonly worker?: string
}

/** The outcomes, as they come. Closing the scope stops the workers. */
export const run = ({ count, from, without, worker = ownWorker, workers }: Request) =>
  Stream.mergeAll(
    Array.from({ length: Math.min(workers, count) }, (_, number) => {
      const job = { from: from + number, step: workers, count: Math.ceil((count - number) / workers), without }
      return Stream.unwrap(Effect.gen(function*() {
        const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
        const argument = yield* Schema.encodeEffect(Protocol.JobLine)(job)
        const handle = yield* spawner.spawn(ChildProcess.make(process.execPath, [worker, argument], {
          extendEnv: true,
          stderr: "inherit",
          // in the middle of a seed it listens to nothing else
          killSignal: "SIGKILL"
        }))
        return handle.stdout.pipe(
          Stream.decodeText(),
          Stream.splitLines,
          Stream.filter((line) => line !== ""),
          Stream.mapEffect((line) => Schema.decodeEffect(Protocol.OutcomeLine)(line))
        )
      }))
    }),
    { concurrency: "unbounded" }
  )
