/** Operating system processes, as far as the runner needs them. */
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Limits from "./Limits.ts"

/** The program could not be started; `message` says why. */
export class SpawnError extends Schema.TaggedError<SpawnError>()("SpawnError", {
  message: Schema.String
}) {}

export interface Ended {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined
  readonly signal: string | undefined
}

export interface Child {
  readonly pid: number
  readonly ended: Effect.Effect<Ended>
}

export interface SpawnOptions {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Takes standard output and error, and outlives the runner. */
  readonly logFile: string
}

export type Signal = "SIGTERM" | "SIGKILL"

export class Processes extends Context.Service<Processes, {
  /** Starts a program in a process group of its own, so that a Ctrl-C meant for the runner does not reach it. */
  readonly spawn: (options: SpawnOptions) => Effect.Effect<Child, SpawnError>
  /** Nothing happens if the process is gone. */
  readonly kill: (pid: number, signal: Signal) => Effect.Effect<void>
  /** The command line of a living process, or an empty string. */
  readonly commandLine: (pid: number) => Effect.Effect<string>
  /** The last line of a log that states an error, else the last that is not empty, else an empty string. */
  readonly lastLine: (path: string) => Effect.Effect<string>
}>()("@dkv/cluster/Processes") {
  static readonly layerNode: Layer.Layer<Processes> = Layer.sync(
    Processes,
    () => Processes.of({ spawn, kill, commandLine, lastLine })
  )
}

const spawn = (options: SpawnOptions): Effect.Effect<Child, SpawnError> =>
  Effect.callback((resume) => {
    const fail = (cause: unknown) => resume(Effect.fail(new SpawnError({ message: messageOf(cause) })))
    try {
      setAside(options.logFile)
      const log = Fs.openSync(options.logFile, "a", 0o600)
      const ended = Deferred.makeUnsafe<Ended>()
      const child = ChildProcess.spawn(options.command, options.args, { detached: true, stdio: ["ignore", log, log] })
      Fs.closeSync(log)
      child.once("error", fail)
      child.once("exit", (code, signal) => {
        Deferred.doneUnsafe(ended, Effect.succeed({ code: code ?? undefined, signal: signal ?? undefined }))
      })
      child.once("spawn", () => resume(Effect.succeed({ pid: child.pid!, ended: Deferred.await(ended) })))
    } catch (cause) {
      fail(cause)
    }
  })

const setAside = (logFile: string): void => {
  const stats = Fs.statSync(logFile, { throwIfNoEntry: false })
  if (stats !== undefined && stats.size > Limits.logBytesMax) Fs.renameSync(logFile, `${logFile}.old`)
}

const kill = (pid: number, signal: Signal): Effect.Effect<void> =>
  Effect.sync(() => {
    try {
      process.kill(pid, signal)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "ESRCH") throw cause
    }
  })

const commandLine = (pid: number): Effect.Effect<string> =>
  process.platform === "linux"
    ? Effect.sync(() => {
      try {
        return Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()
      } catch {
        return ""
      }
    })
    : Effect.callback((resume) => {
      ChildProcess.execFile("ps", ["-p", `${pid}`, "-o", "command="], (_, stdout) =>
        resume(Effect.succeed(stdout.trim())))
    })

const lastLine = (path: string): Effect.Effect<string> =>
  Effect.sync(() => {
    const fd = openIfPresent(path)
    if (fd === undefined) return ""
    try {
      const { size } = Fs.fstatSync(fd)
      const buffer = Buffer.alloc(Math.min(size, Limits.logTailBytes))
      Fs.readSync(fd, buffer, 0, buffer.length, size - buffer.length)
      const lines = buffer.toString("utf8").split("\n").map((line) => line.trim()).filter((line) => line !== "")
      return lines.findLast((line) => /^(?:dkv|\w*Error): /.test(line)) ?? lines.at(-1) ?? ""
    } finally {
      Fs.closeSync(fd)
    }
  })

const openIfPresent = (path: string): number | undefined => {
  try {
    return Fs.openSync(path, "r")
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw cause
  }
}

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)
