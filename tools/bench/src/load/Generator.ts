/** The load generator as the bench sees it: a process of its own that carries out one command at a time. */
import { Effect, FileSystem, Queue, Schema, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"
import { BenchError } from "../BenchError.ts"
import { countedMillis, drainMillis, keys, startMillis } from "../Limits.ts"
import * as Protocol from "./Protocol.ts"

const program = fileURLToPath(new URL("./generate.ts", import.meta.url))

export interface Generator {
  readonly measure: (command: Protocol.Command) => Effect.Effect<Protocol.Measurement, BenchError>
  /** Makes `count` puts, going through the keys in turn. */
  readonly puts: (count: number, callers: number) => Effect.Effect<void, BenchError>
  /** Puts every key once, so that each read finds a value and each later put overwrites. */
  readonly fill: Effect.Effect<void, BenchError>
}

/** Starts a generator for `target`; it ends with the scope. What it prints on standard error goes to `logFile`. */
export const start = Effect.fnUntraced(function*(target: Protocol.Target, logFile: string) {
  const files = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const failed = (cause: unknown): BenchError =>
    new BenchError({ message: `the load generator for ${target.system} failed, see ${logFile}`, cause })
  const argument = yield* Effect.mapError(Schema.encodeEffect(Protocol.TargetLine)(target), failed)
  const commands = yield* Queue.unbounded<string>()
  const handle = yield* spawner.spawn(ChildProcess.make(process.execPath, [program, argument], {
    extendEnv: true,
    stdin: Stream.fromQueue(commands).pipe(Stream.encodeText)
  })).pipe(Effect.mapError(failed))
  yield* handle.stderr.pipe(Stream.run(files.sink(logFile, { flag: "a" })), Effect.ignore, Effect.forkScoped)
  const answers = yield* handle.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapEffect((line) => Schema.decodeEffect(Protocol.AnswerLine)(line)),
    Stream.mapError(failed),
    Stream.toQueue({ capacity: 16 })
  )

  const measure = Effect.fnUntraced(function*(command: Protocol.Command) {
    const line = yield* Effect.mapError(Schema.encodeEffect(Protocol.CommandLine)(command), failed)
    yield* Queue.offer(commands, `${line}\n`)
    const answer = yield* Queue.take(answers).pipe(
      Effect.mapError(failed),
      Effect.timeoutOrElse({
        duration: command.warmupMillis + command.measureMillis + startMillis +
          (command.callsMax === undefined ? drainMillis : countedMillis),
        orElse: () => Effect.fail(failed("no answer"))
      })
    )
    if (answer._tag === "Failed") return yield* new BenchError({ message: `${target.system}: ${answer.message}` })
    return answer.measurement
  })

  const puts = (count: number, callers: number): Effect.Effect<void, BenchError> =>
    Effect.asVoid(
      measure({
        operation: "put",
        callers,
        connections: 1,
        warmupMillis: 0,
        measureMillis: 0,
        callsMax: count,
        pids: []
      })
    )

  return { measure, puts, fill: puts(keys, 100) } satisfies Generator
})
