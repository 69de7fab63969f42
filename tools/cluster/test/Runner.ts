/** Runs the runner in a test: real files, ports and processes, with its output in hand. */
import { Deferred, Effect, Fiber, FileSystem, Random } from "effect"
import * as Cluster from "../src/Cluster.ts"
import * as Plan from "../src/Plan.ts"
import { check } from "../src/Ports.ts"
import type { Ports } from "../src/Ports.ts"
import { Output } from "../src/Screen.ts"
import type { Program } from "../src/Supervisor.ts"

/** A plan on ports that were free a moment ago. */
export const makePlan: (
  dataDir: string,
  change?: Partial<Plan.Options>
) => Effect.Effect<Plan.Plan, never, Ports> = Effect.fnUntraced(function*(dataDir, change = {}) {
  while (true) {
    const clientPort = yield* Random.nextIntBetween(20_000, 30_000)
    const plan = Plan.make({ nodes: 3, dataDir, clientPort, peerPort: clientPort + 100, ...change })
    if (plan instanceof Plan.ClusterError) return yield* Effect.die(plan)
    const isFree = yield* Effect.isSuccess(check(plan, false))
    if (isFree || change.clientPort !== undefined || change.peerPort !== undefined) return plan
  }
})

export const start = Effect.fnUntraced(function*(plan: Plan.Plan, program: Program) {
  let text = ""
  const asked = yield* Deferred.make<string>()
  const output = Output.of({
    isTerminal: false,
    columns: Effect.succeed(80),
    write: (more) => Effect.sync(() => void (text += more))
  })
  const stop = Cluster.Stop.of({ asked: Deferred.await(asked), again: Effect.never })
  const fiber = yield* Effect.scoped(Cluster.run(plan, program)).pipe(
    Effect.provideService(Output, output),
    Effect.provideService(Cluster.Stop, stop),
    Effect.forkScoped
  )
  const says = (what: RegExp) =>
    Effect.gen(function*() {
      while (!what.test(text)) yield* Effect.sleep(20)
      return what.exec(text)!
    }).pipe(Effect.raceFirst(Effect.andThen(Effect.orDie(Fiber.join(fiber)), Effect.never)))
  return {
    fiber,
    says,
    text: () => text,
    /** Of the member's latest process. */
    pidOf: (name: string): number =>
      Number([...text.matchAll(new RegExp(`${name} started as process (\\d+)`, "g"))].at(-1)?.[1]),
    stop: Effect.andThen(Deferred.succeed(asked, "asked"), Fiber.join(fiber))
  }
})

export const temporaryDirectory = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped({ prefix: "dkv-cluster-" })
)
