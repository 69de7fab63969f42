/** The local cluster: all members under supervision until it is time to stop. */
import type { Disk } from "@dkv/storage"
import { Context, Effect, Fiber, Option, SubscriptionRef } from "effect"
import type { FileSystem, Scope } from "effect"
import * as Board from "./Board.ts"
import * as Home from "./Home.ts"
import type * as Plan from "./Plan.ts"
import * as Ports from "./Ports.ts"
import { Processes } from "./Processes.ts"
import * as Screen from "./Screen.ts"
import * as StatusProbe from "./StatusProbe.ts"
import * as Supervisor from "./Supervisor.ts"

/** When to stop: succeeds with the reason, once; `again` succeeds when the person insists. */
export class Stop extends Context.Service<Stop, {
  readonly asked: Effect.Effect<string>
  readonly again: Effect.Effect<void>
}>()("@dkv/cluster/Stop") {}

export type Requirements =
  | Disk.Disk
  | FileSystem.FileSystem
  | Ports.Ports
  | Processes
  | Screen.Output
  | StatusProbe.StatusProbe
  | Stop
  | Scope.Scope

/** Runs until it is asked to stop, and succeeds when every member has ended. Fails before the first member starts if something is in the way. */
export const run: (
  plan: Plan.Plan,
  program: Supervisor.Program
) => Effect.Effect<void, Plan.ClusterError, Requirements> = Effect
  .fnUntraced(function*(plan, program) {
    const stop = yield* Stop
    const output = yield* Screen.Output
    const board = yield* Board.make(plan)
    const say = (message: string) => output.write(`${message}\n`)

    const home = yield* Home.open(plan, say)
    yield* Ports.check(plan, home.isFounded)
    yield* home.found
    yield* say(
      `starting ${
        plan.members.length === 1 ? "one member" : `${plan.members.length} members`
      }, data in ${plan.options.dataDir}`
    )

    const screen = yield* Effect.forkScoped(Screen.draw(plan, board), { startImmediately: true })
    const supervise = Effect.forEach(
      plan.members,
      (member) => Supervisor.supervise(plan, member, program, board, home.notePid),
      { concurrency: "unbounded", discard: true }
    )
    const members = yield* Effect.forkScoped(supervise)
    const probe = yield* Effect.forkScoped(StatusProbe.watch(board, plan.members))

    const reason = yield* Effect.raceFirst(stop.asked, Effect.as(Fiber.join(members), "no member is left"))
    yield* Fiber.interrupt(probe)
    yield* board.say(`${reason}: stopping all members`)
    const insisted = yield* Effect.forkScoped(Effect.andThen(stop.again, killAll(board)))
    yield* Fiber.interrupt(members)
    yield* Fiber.interrupt(insisted)
    yield* Fiber.interrupt(screen)
    yield* say(`stopped; \`npm start\` goes on with the data in ${plan.options.dataDir}`)
  })

const killAll = Effect.fnUntraced(function*(board: Board.Board) {
  const processes = yield* Processes
  yield* board.say("killing all members")
  for (const row of yield* SubscriptionRef.get(board.rows)) {
    if (Option.isSome(row.pid)) yield* processes.kill(row.pid.value, "SIGKILL")
  }
})
