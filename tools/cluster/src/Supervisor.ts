/**
 * The life of one member: starts its process, starts it again with growing delay when it dies, and ends it when the supervisor is
 * interrupted. Never gives up, and says everything it does.
 */
import { Clock, Effect, Exit, Option } from "effect"
import type { Board } from "./Board.ts"
import * as Limits from "./Limits.ts"
import * as Plan from "./Plan.ts"
import { Processes } from "./Processes.ts"
import type { Child, Ended } from "./Processes.ts"

export interface Program {
  readonly command: string
  /** What comes before the member's own arguments. */
  readonly args: ReadonlyArray<string>
}

/** The delay before start number `failures + 1` in a row: doubles from the minimum to the maximum. */
export const restartDelayMillis = (failures: number): number =>
  Math.min(Limits.restartDelayMaxMillis, Limits.restartDelayMinMillis * 2 ** Math.min(failures - 1, 30))

/** Runs until it is interrupted; the process has then ended. */
export const supervise = Effect.fnUntraced(function*(
  plan: Plan.Plan,
  member: Plan.PlannedMember,
  program: Program,
  board: Board,
  onPid: (name: string, pid: Option.Option<number>) => Effect.Effect<void>
) {
  const processes = yield* Processes
  const { name } = member
  let failures = 0
  let restarts = 0

  const start = Effect.gen(function*() {
    yield* board.update(name, { phase: "starting", pid: Option.none(), status: Option.none() })
    const child = yield* processes.spawn({
      command: program.command,
      args: [...program.args, ...Plan.argumentsFor(plan, member)],
      logFile: member.logFile
    })
    yield* onPid(name, Option.some(child.pid))
    yield* board.update(name, { pid: Option.some(child.pid) })
    yield* board.say(`${name} started as process ${child.pid}, log ${member.logFile}`)
    return child
  })

  const end = (child: Child) =>
    Effect.gen(function*() {
      yield* board.update(name, { phase: "stopping", status: Option.none() })
      yield* processes.kill(child.pid, "SIGTERM")
      const ended = yield* Effect.timeoutOption(child.ended, Limits.stopGraceMillis)
      if (Option.isNone(ended)) {
        yield* board.say(
          `${name} (process ${child.pid}) did not end within ${seconds(Limits.stopGraceMillis)}: killing it`
        )
        yield* processes.kill(child.pid, "SIGKILL")
      }
      yield* reportStopped(child, yield* child.ended)
    })

  const reportStopped = Effect.fnUntraced(function*(child: Child, ended: Ended) {
    yield* onPid(name, Option.none())
    yield* board.update(name, { phase: "stopped", pid: Option.none(), note: "" })
    yield* board.say(`${name} (process ${child.pid}) stopped${ended.code === 0 ? "" : `: ${describe(ended)}`}`)
  })

  /** A member that ends by itself says why in its log; one that was killed had no time to. */
  const explain = Effect.fnUntraced(function*(child: Child, ended: Ended) {
    const line = ended.signal === undefined ? shorten(yield* processes.lastLine(member.logFile)) : ""
    return { what: `process ${child.pid} ${describe(ended)}`, why: line === "" ? "" : `; last in its log: ${line}` }
  })

  while (true) {
    const startedAt = yield* Clock.currentTimeMillis
    const outcome = yield* Effect.acquireUseRelease(
      start,
      (child) => Effect.flatMap(child.ended, (ended) => explain(child, ended)),
      (child, exit) => Exit.isSuccess(exit) ? onPid(name, Option.none()) : end(child)
    ).pipe(
      Effect.catchTag(
        "SpawnError",
        (error) => Effect.succeed({ what: `could not be started: ${error.message}`, why: "" })
      )
    )
    const lived = (yield* Clock.currentTimeMillis) - startedAt
    failures = lived >= Limits.healthyAfterMillis ? 1 : failures + 1
    const delay = restartDelayMillis(failures)
    yield* board.update(name, {
      phase: "down",
      pid: Option.none(),
      status: Option.none(),
      note: `${outcome.what}; next start in ${seconds(delay)}`
    })
    yield* board.say(`${name} is down: ${outcome.what}; next start in ${seconds(delay)}${outcome.why}`)
    yield* Effect.sleep(delay)
    restarts++
    yield* board.update(name, { note: restarts === 1 ? "restarted once" : `restarted ${restarts} times` })
  }
})

const describe = (ended: Ended): string =>
  ended.signal === undefined ? `exited with code ${ended.code}` : `was ended by ${ended.signal}`

const seconds = (millis: number): string => `${millis / 1000} s`

const shorten = (text: string): string =>
  text.length > Limits.reasonLengthMax ? `${text.slice(0, Limits.reasonLengthMax)}…` : text
