/**
 * A cluster of real `dkv` processes on loopback, for tests that kill, freeze, cut off and rob them. Each member has a data directory and a log file
 * below one temporary directory, which goes with the scope; so do the processes.
 */
import { Data, Deferred, Effect, Exit, Option, Random, Scope } from "effect"

import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

/** The program that each member runs. */
export const program = fileURLToPath(new URL("../../../apps/node/bin/dkv.mjs", import.meta.url))

/** A process of the cluster did not do what the test needs. */
export class ProcessError extends Data.TaggedError("ProcessError")<{ readonly message: string }> {}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** One run of a member's program. */
export interface Running {
  readonly pid: number
  readonly ended: Effect.Effect<Ended>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
}

/** The place of a member: its addresses and data, whether it runs or not. */
export interface Seat {
  readonly name: string
  readonly clientAddress: string
  readonly peerAddress: string
  readonly directory: string
  readonly logFile: string
  running: Option.Option<Running>
}

export interface Options {
  readonly members: number
  /** More arguments for every member. */
  readonly args?: ReadonlyArray<string>
  /** What the members believe each other's peer addresses to be; for a proxy in between. Default: the real ones. */
  readonly peerAddressOf?: (seat: Seat) => string
}

export interface ProcessCluster {
  readonly directory: string
  readonly seats: ReadonlyArray<Seat>
  /** A place for one more member, that starts with `--initial-cluster-state=existing`. */
  readonly addSeat: Effect.Effect<Seat>
  readonly start: (seat: Seat, args?: ReadonlyArray<string>) => Effect.Effect<Running>
  /** Sends a signal and waits until the process is gone. */
  readonly stop: (seat: Seat, signal: "SIGTERM" | "SIGKILL") => Effect.Effect<Ended>
  /** Removes the member's data. */
  readonly robData: (seat: Seat) => Effect.Effect<void>
  /** The end of the member's log, for messages of failed tests. */
  readonly logTail: (seat: Seat) => string
}

/** The places of a new cluster; nothing runs yet. */
export const make = Effect.fnUntraced(
  function*(options: Options): Effect.fn.Return<ProcessCluster, never, Scope.Scope> {
    const scope = yield* Effect.scope
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-processes-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const seatOf = Effect.fnUntraced(function*(name: string) {
      const [clientPort, peerPort] = yield* freePorts(2)
      const seat: Seat = {
        name,
        clientAddress: `127.0.0.1:${clientPort}`,
        peerAddress: `127.0.0.1:${peerPort}`,
        directory: Path.join(directory, name),
        logFile: Path.join(directory, `${name}.log`),
        running: Option.none()
      }
      return seat
    })
    const seats: Array<Seat> = []
    for (let number = 0; number < options.members; number++) seats.push(yield* seatOf(`dkv-${number}`))
    const founders = [...seats]
    const peerAddressOf = options.peerAddressOf ?? ((seat: Seat) => seat.peerAddress)

    const start = Effect.fnUntraced(function*(seat: Seat, args: ReadonlyArray<string> = []) {
      const isFounder = founders.includes(seat)
      const listed = isFounder ? founders : [...founders, seat]
      const running = yield* spawn(seat.logFile, [
        `--name=${seat.name}`,
        `--initial-cluster=${listed.map((each) => `${each.name}=${peerAddressOf(each)}`).join(",")}`,
        `--initial-cluster-state=${isFounder ? "new" : "existing"}`,
        `--advertise-nodes=${listed.map((each) => `${each.name}=${each.clientAddress}`).join(",")}`,
        `--data-dir=${seat.directory}`,
        `--listen-peer-address=${seat.peerAddress}`,
        `--listen-client-address=${seat.clientAddress}`,
        ...options.args ?? [],
        ...args
      ])
      seat.running = Option.some(running)
      return running
    }, Effect.uninterruptible)

    const spawn = (logFile: string, args: ReadonlyArray<string>) =>
      Effect.acquireRelease(
        Effect.sync(() => run(logFile, args)),
        (running) => Effect.andThen(running.signal("SIGKILL"), Effect.asVoid(running.ended))
      ).pipe(Effect.provideService(Scope.Scope, scope))

    return {
      directory,
      seats,
      addSeat: Effect.suspend(() =>
        Effect.tap(seatOf(`dkv-${seats.length}`), (seat) => Effect.sync(() => seats.push(seat)))
      ),
      start,
      stop: Effect.fnUntraced(function*(seat, signal) {
        if (Option.isNone(seat.running)) return { code: null, signal: null }
        const running = seat.running.value
        seat.running = Option.none()
        yield* running.signal(signal)
        return yield* running.ended
      }, Effect.uninterruptible),
      robData: (seat) => Effect.sync(() => Fs.rmSync(seat.directory, { recursive: true, force: true })),
      logTail: (seat) =>
        Fs.existsSync(seat.logFile) ? Fs.readFileSync(seat.logFile, "utf8").split("\n").slice(-15).join("\n") : ""
    }
  }
)

const run = (logFile: string, args: ReadonlyArray<string>): Running => {
  const log = Fs.openSync(logFile, "a")
  const child = ChildProcess.spawn(process.execPath, [program, ...args], {
    stdio: ["ignore", log, log]
  })
  Fs.closeSync(log)
  const ended = Deferred.makeUnsafe<Ended>()
  child.once("exit", (code, signal) => Deferred.doneUnsafe(ended, Exit.succeed({ code, signal })))
  child.once("error", () => Deferred.doneUnsafe(ended, Exit.succeed({ code: null, signal: null })))
  return {
    pid: child.pid ?? -1,
    ended: Deferred.await(ended),
    signal: (signal) => Effect.sync(() => void child.kill(signal))
  }
}

/**
 * Ports that nobody listens on at the moment, below those that systems give to outgoing connections: before a member takes its port, or has it again after a
 * restart, a connection of any program could have got one of those. None is given twice, and processes that run side by side draw from ranges of their own: a member
 * that has yet to start listens nowhere.
 */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.gen(function*() {
    const ports: Array<number> = []
    while (ports.length < count) {
      const port = yield* Random.nextIntBetween(firstPort, firstPort + portsPerProcess)
      if (given.has(port) || !(yield* isFree(port))) continue
      given.add(port)
      ports.push(port)
    }
    return ports
  })

const portsPerProcess = 1000
const firstPort = 10_000 + process.pid % 22 * portsPerProcess
const given = new Set<number>()

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })
