/** The program as a process of its own. */
import { Effect, Random, Schedule } from "effect"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

export interface Running {
  readonly child: ChildProcess
  /** Everything on the error output so far, which is where the log goes. */
  readonly log: () => string
  readonly output: () => string
  /** The exit code, or what the signal that ended it stands for in a shell. */
  readonly ended: Effect.Effect<number>
}

interface Options {
  readonly cwd?: string
  readonly env?: Record<string, string>
}

/** Starts `dkv`; the scope kills it. */
export const start = (args: ReadonlyArray<string>, options?: Options) => startProgram(main, args, options)

/** Starts a program in a file; the scope kills it. */
export const startProgram = (file: string, args: ReadonlyArray<string>, options: Options = {}) =>
  Effect.acquireRelease(
    Effect.sync((): Running => {
      const child = spawn(process.execPath, [file, ...args], {
        cwd: options.cwd ?? Os.tmpdir(),
        env: {
          PATH: process.env.PATH ?? "",
          NODE_OPTIONS: process.env.NODE_OPTIONS ?? "",
          UV_THREADPOOL_SIZE: "8",
          ...options.env
        },
        stdio: ["ignore", "pipe", "pipe"]
      })
      let log = ""
      let output = ""
      child.stderr.on("data", (chunk) => log += String(chunk))
      child.stdout.on("data", (chunk) => output += String(chunk))
      let code: number | undefined
      const waiting: Array<(code: number) => void> = []
      child.on("close", (status, signal) => {
        code = status ?? 128 + (Os.constants.signals[signal ?? "SIGKILL"] ?? 0)
        for (const resume of waiting) resume(code)
      })
      return {
        child,
        log: () => log,
        output: () => output,
        ended: Effect.callback((resume) => {
          if (code !== undefined) resume(Effect.succeed(code))
          else waiting.push((value) => resume(Effect.succeed(value)))
        })
      }
    }),
    ({ child, ended }) => Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), ended)
  )

/** Waits until the log has it; fails with the log if the process ends before, or after 20 s. */
export const logged = (running: Running, pattern: RegExp): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (pattern.test(running.log())) return Effect.void
    return Effect.fail(`no ${pattern} in the log:\n${running.log()}`)
  }).pipe(
    Effect.retry(Schedule.spaced(20).pipe(Schedule.upTo({ times: 1000 }))),
    Effect.raceFirst(Effect.flatMap(running.ended, (code) =>
      pattern.test(running.log())
        ? Effect.void
        : Effect.fail(`ended with ${code}:\n${running.log()}`))),
    Effect.catch((message) => Effect.die(new Error(message)))
  )

/** A directory of its own under the system's temporary one; the scope removes it. */
export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-node-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

/**
 * Ports that nobody listens on at the moment, below those that systems give to outgoing connections: before a member takes its port, or has it again after a
 * restart, a connection of any program could have got one of those.
 */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function*() {
    const ports = new Set<number>()
    while (ports.size < count) {
      const port = yield* Random.nextIntBetween(10_000, 32_000)
      if (yield* isFree(port)) ports.add(port)
    }
    return [...ports]
  })

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

/** Flags of a cluster of one. */
export const alone = (directory: string, [peer, client]: ReadonlyArray<number>): ReadonlyArray<string> => [
  "--name=dkv-0",
  `--initial-cluster=dkv-0=localhost:${peer}`,
  `--listen-peer-address=localhost:${peer}`,
  `--listen-client-address=localhost:${client}`,
  `--data-dir=${directory}/data`
]
