/**
 * The runner's own files in the data directory: the lock that keeps a second runner away, what the cluster was first started with, and the
 * processes that are running, so that those of a runner that was killed are found again.
 */
import { Disk } from "@dkv/storage"
import { Effect, FileSystem, Option, Schema, Semaphore } from "effect"
import type { Board } from "./Board.ts"
import * as Limits from "./Limits.ts"
import { ClusterError } from "./Plan.ts"
import type { Plan } from "./Plan.ts"
import { Processes } from "./Processes.ts"

const Founded = Schema.fromJsonString(Schema.Struct({ nodes: Schema.Int, peerPort: Schema.Int }))

const Running = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Int))

export interface Home {
  /** The cluster was started from here before, with the same members and peer ports. */
  readonly isFounded: boolean
  /** Notes what the cluster is started with, once nothing is in its way any more. */
  readonly found: Effect.Effect<void, ClusterError>
  /** Notes that a member runs as this process, or no longer runs. */
  readonly notePid: (name: string, pid: Option.Option<number>) => Effect.Effect<void>
}

/** Takes the directory until the scope closes. */
export const open = Effect.fnUntraced(function*(plan: Plan, say: Board["say"]) {
  const fs = yield* FileSystem.FileSystem
  const disk = yield* Disk.Disk
  const { dataDir } = plan.options
  const refuse = (message: string) => new ClusterError({ message })

  yield* Effect.mapError(
    disk.makeDirectory(`${dataDir}/logs`),
    (error) => refuse(`${dataDir} cannot be used (${error.message}): choose another directory with --data-dir`)
  )
  yield* Effect.mapError(disk.lock(`${dataDir}/cluster.lock`), (error) =>
    refuse(
      error.reason === "Locked"
        ? `${error.message}, another \`npm start\`: end that one, or choose another directory with --data-dir`
        : `${dataDir} cannot be used (${error.message}): choose another directory with --data-dir`
    ))

  const foundedFile = `${dataDir}/cluster.json`
  const isFounded = yield* checkFounded(plan, foundedFile)
  const runningFile = `${dataDir}/cluster.running.json`
  yield* stopLeftovers(plan, runningFile, say)
  yield* checkMembers(plan)

  /** A crash leaves the old content or the new. */
  const replace = (file: string, content: unknown) =>
    Effect.andThen(
      fs.writeFileString(`${file}.new`, `${JSON.stringify(content)}\n`, { mode: 0o600 }),
      fs.rename(`${file}.new`, file)
    )
  const { nodes, peerPort } = plan.options
  const found = isFounded ? Effect.void : Effect.mapError(
    replace(foundedFile, { nodes, peerPort }),
    (error) => refuse(`${dataDir} cannot be used (${error.message}): choose another directory with --data-dir`)
  )
  const pids = new Map<string, number>()
  const oneAtATime = yield* Semaphore.make(1)
  // Without it the members run all the same; only a runner that is killed does not find them again.
  const notePid: Home["notePid"] = (name, pid) =>
    oneAtATime.withPermit(Effect.suspend(() => {
      if (Option.isSome(pid)) pids.set(name, pid.value)
      else pids.delete(name)
      return Effect.catch(
        replace(runningFile, Object.fromEntries(pids)),
        (error) => say(`${runningFile} could not be written: ${error.message}`)
      )
    }))
  const home: Home = { isFounded, found, notePid }
  return home
})

/** A cluster's size and peer addresses are part of its data, so they cannot be changed by starting it differently. False if there is no cluster yet. */
const checkFounded = Effect.fnUntraced(function*(plan: Plan, file: string) {
  const fs = yield* FileSystem.FileSystem
  const { dataDir, nodes, peerPort } = plan.options
  const unreadable = (cause: unknown) =>
    new ClusterError({
      message: `${file} cannot be read (${cause}): restore it, or choose another directory with --data-dir`
    })
  if (!(yield* Effect.mapError(fs.exists(file), unreadable))) return false
  const text = yield* Effect.mapError(fs.readFileString(file), unreadable)
  const founded = yield* Effect.mapError(
    Schema.decodeUnknownEffect(Founded)(text),
    () => unreadable("not what this program writes")
  )
  if (founded.nodes !== nodes || founded.peerPort !== peerPort) {
    return yield* new ClusterError({
      message:
        `${dataDir} holds a cluster started with --nodes ${founded.nodes} --peer-port ${founded.peerPort}: start it so, or choose another directory with --data-dir`
    })
  }
  return true
})

/** Ends the members of a runner that could not do it itself. A process counts as one only if its command line names this data directory. */
const stopLeftovers = Effect.fnUntraced(function*(plan: Plan, runningFile: string, say: Board["say"]) {
  const fs = yield* FileSystem.FileSystem
  const processes = yield* Processes
  const text = yield* Effect.orElseSucceed(fs.readFileString(runningFile), () => "{}")
  const running = yield* Effect.orElseSucceed(Schema.decodeUnknownEffect(Running)(text), () => ({}))
  const isMember = (pid: number) =>
    Effect.map(processes.commandLine(pid), (line) => line.includes(`--data-dir=${plan.options.dataDir}/`))
  yield* Effect.forEach(
    Object.entries(running),
    Effect.fnUntraced(function*([name, pid]) {
      if (!(yield* isMember(pid))) return
      yield* say(`${name} still runs as process ${pid}, left by an \`npm start\` that was killed: stopping it`)
      yield* processes.kill(pid, "SIGTERM")
      const gone = Effect.gen(function*() {
        while (yield* isMember(pid)) yield* Effect.sleep(50)
      })
      const ended = yield* Effect.timeoutOption(gone, Limits.stopGraceMillis)
      if (Option.isSome(ended)) return
      yield* processes.kill(pid, "SIGKILL")
      yield* gone
    }),
    { concurrency: "unbounded", discard: true }
  )
})

/** A member that someone started by hand holds the lock of its directory. */
const checkMembers = Effect.fnUntraced(function*(plan: Plan) {
  const fs = yield* FileSystem.FileSystem
  const disk = yield* Disk.Disk
  for (const member of plan.members) {
    const lock = `${member.dataDir}/LOCK`
    if (!(yield* Effect.orElseSucceed(fs.exists(lock), () => false))) continue
    yield* Effect.mapError(Effect.scoped(disk.lock(lock)), (error) =>
      new ClusterError({
        message: error.reason === "Locked"
          ? `${error.message}: end that one, or choose another directory with --data-dir`
          : `${member.dataDir} cannot be used (${error.message}): choose another directory with --data-dir`
      }))
  }
})
