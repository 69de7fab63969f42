/** Seeds spread over worker processes, one per core. A process that ends in the middle of a seed is a failure of that seed, and another one goes on behind it. */
import { Effect, Schema, Stream } from "effect"
import type { PlatformError } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"
import * as Protocol from "./Protocol.ts"

export const ownWorker = fileURLToPath(new URL("./worker.ts", import.meta.url))

/** A run leaves much garbage and keeps little: with room for it, a tenth of the time is saved. */
const collection = ["--min-semi-space-size=32", "--max-semi-space-size=64"]

export interface Request extends Omit<Protocol.Job, "step"> {
  readonly workers: number
  /** The program that runs them; that of this workspace if absent. */
  readonly worker?: string
}

type Outcomes = Stream.Stream<
  Protocol.Outcome,
  PlatformError.PlatformError | Schema.SchemaError,
  ChildProcessSpawner.ChildProcessSpawner
>

/** An outcome per seed, as they come. Closing the scope stops the workers. */
export const run = ({ count, from, without, worker = ownWorker, workers }: Request): Outcomes =>
  Stream.mergeAll(
    Array.from({ length: Math.min(workers, count) }, (_, number) =>
      work(worker, {
        from: from + number,
        step: workers,
        count: Math.ceil((count - number) / workers),
        without
      })),
    { concurrency: "unbounded" }
  )

const work = (worker: string, job: Protocol.Job): Outcomes =>
  Stream.unwrap(Effect.gen(function*() {
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const argument = yield* Schema.encodeEffect(Protocol.JobLine)(job)
    const handle = yield* spawner.spawn(ChildProcess.make(process.execPath, [...collection, worker, argument], {
      extendEnv: true,
      stderr: "inherit",
      // in the middle of a seed it listens to nothing else
      killSignal: "SIGKILL"
    }))
    let done = 0
    const outcomes = handle.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.filter((line) => line !== ""),
      Stream.mapEffect((line) => Schema.decodeEffect(Protocol.OutcomeLine)(line)),
      Stream.tap(() => Effect.sync(() => void done++))
    )
    const goOn = Effect.gen(function*() {
      if (done === job.count) return Stream.empty
      const how = yield* Effect.match(handle.exitCode, {
        onFailure: ({ cause, message }) => cause instanceof Error ? cause.message : message,
        onSuccess: (code) => `exit code ${code}`
      })
      const seed = job.from + done * job.step
      const rest = { ...job, from: seed + job.step, count: job.count - done - 1 }
      const crashed = Stream.make(Protocol.crashed(seed, `the process that ran it ended: ${how}`))
      return rest.count === 0 ? crashed : Stream.concat(crashed, work(worker, rest))
    })
    return Stream.concat(outcomes, Stream.unwrap(goOn))
  }))
