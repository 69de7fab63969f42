/** A cluster of processes under test, whatever it runs. Closing the scope ends the processes; the directories go with the run's. */
import type { Option } from "effect"
import { Effect, FileSystem, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { BenchError } from "../BenchError.ts"
import { stopMillis } from "../Limits.ts"
import type { Target } from "../load/Protocol.ts"

export interface Member {
  readonly name: string
  readonly pid: number
}

export interface Cluster {
  readonly system: Target["system"]
  /** `host:port` for clients; the leader's first. */
  readonly endpoints: ReadonlyArray<string>
  /** In the order of the endpoints. */
  readonly members: ReadonlyArray<Member>
  /** The number of changes that the store has seen, as the store itself counts them; it shows whether a load did what it claims. */
  readonly revision: Option.Option<Effect.Effect<number, BenchError>>
}

export interface MemberProcess extends Member {
  /** Sends SIGKILL and returns once the process is gone. */
  readonly kill: Effect.Effect<void>
  /** Fails with the end of the log when the process ends. */
  readonly exited: Effect.Effect<never, BenchError>
}

/** Starts one process, with what it prints in `logFile`. It ends with the scope: SIGTERM first, SIGKILL when that takes too long. */
export const spawn = Effect.fnUntraced(function*(options: {
  readonly name: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly logFile: string
}) {
  const files = yield* FileSystem.FileSystem
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const failed = (cause: unknown): BenchError =>
    new BenchError({ message: `${options.name} cannot be started: ${options.command}`, cause })
  const handle = yield* spawner.spawn(ChildProcess.make(options.command, options.args, {
    env: { UV_THREADPOOL_SIZE: "8", ...options.environment },
    extendEnv: true,
    forceKillAfter: stopMillis
  })).pipe(Effect.mapError(failed))
  yield* handle.all.pipe(
    Stream.run(files.sink(options.logFile, { flag: "a" })),
    Effect.mapError(failed),
    Effect.forkScoped
  )
  const exited = handle.exitCode.pipe(
    Effect.catch(() => Effect.succeed(-1)),
    Effect.flatMap((code) =>
      Effect.andThen(
        files.readFileString(options.logFile).pipe(Effect.orElseSucceed(() => "")),
        (log) =>
          Effect.fail(new BenchError({ message: `${options.name} ended (exit code ${code}): ${lastLines(log)}` }))
      )
    )
  )
  const kill = Effect.sync(() => process.kill(handle.pid, "SIGKILL")).pipe(
    Effect.andThen(Effect.exit(handle.exitCode)),
    Effect.asVoid
  )
  return { name: options.name, pid: handle.pid as number, kill, exited } satisfies MemberProcess
})

const lastLines = (log: string): string => log.trimEnd().split("\n").slice(-3).join(" | ").slice(-500)

/** A directory for a cluster's data that goes when the scope closes. */
export const temporaryDirectory = Effect.fnUntraced(function*(dataDirectory: string, system: string) {
  const files = yield* FileSystem.FileSystem
  return yield* files.makeTempDirectoryScoped({ directory: dataDirectory, prefix: `dkv-bench-${system}-` }).pipe(
    Effect.mapError((cause) => new BenchError({ message: `no directory for data in ${dataDirectory}`, cause }))
  )
})
