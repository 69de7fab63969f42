/** Members whose state is in memory only, on a network, logs and snapshot stores in memory, under the test's clock. */
import { Effect, Exit, Layer, Option, Random, Scope } from "effect"
import type { MemberId } from "../../src/index.ts"
import { LogStore, RaftNode, SnapshotStore, Transport, VolatileStateMachine } from "../../src/index.ts"
import * as Cluster from "./Cluster.ts"
import { Journal } from "./Journal.ts"
import { MemoryLog } from "./MemoryLog.ts"
import * as Network from "./Network.ts"
import { SnapshotMedium } from "./SnapshotMedium.ts"

export interface Running {
  readonly number: number
  readonly id: MemberId
  readonly log: MemoryLog
  readonly medium: SnapshotMedium
  readonly journal: Journal
  readonly node: RaftNode.RaftNode["Service"]
  /** The machine stops: log and snapshot are as they were, the state is gone. */
  readonly crash: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*(founders: ReadonlyArray<number>, settings?: Partial<RaftNode.Options>) {
  const network = yield* Network.make
  const scope = yield* Effect.scope
  const running = new Map<number, Running>()
  let starts = 0

  const start = Effect.fnUntraced(function*(
    number: number,
    { log, medium }: Pick<Running, "log" | "medium"> = { log: new MemoryLog(), medium: new SnapshotMedium() }
  ) {
    const journal = new Journal()
    const own = yield* Scope.fork(scope)
    const state = VolatileStateMachine.layer.pipe(
      Layer.provide(Layer.succeed(VolatileStateMachine.VolatileStateMachine, journal.service())),
      Layer.provide(Layer.succeed(SnapshotStore.SnapshotStore, medium.service()))
    )
    const layer = RaftNode.layer({
      id: Cluster.idOf(number),
      configuration: founders.includes(number) ? Option.some(Cluster.configurationOf(...founders)) : Option.none(),
      ...settings
    }).pipe(
      Layer.provide(Layer.succeed(LogStore.LogStore, log.service())),
      Layer.provide(state),
      Layer.provide(Layer.succeed(Transport.Transport, network.service(Cluster.idOf(number))))
    )
    const context = yield* Layer.buildWithScope(layer, own).pipe(
      Random.withSeed(`member ${number}, start ${++starts}`)
    )
    const member: Running = {
      number,
      id: Cluster.idOf(number),
      log,
      medium,
      journal,
      node: yield* RaftNode.RaftNode.pipe(Effect.provideContext(context)),
      crash: Effect.suspend(() => {
        running.delete(number)
        medium.crash()
        return Scope.close(own, Exit.void)
      })
    }
    running.set(number, member)
    return member
  })

  for (const number of founders) yield* start(number)

  /** Lets time pass until `check` says so. */
  const until = Effect.fnUntraced(function*(what: string, check: () => boolean, millis = 60_000) {
    for (let passed = 0; !check(); passed += 10) {
      if (passed >= millis) return yield* Effect.die(new Error(`${what}: not within ${millis} ms`))
      yield* Cluster.passing(Effect.sleep(10))
    }
  })

  const elected = Effect.gen(function*() {
    for (let passed = 0; passed < 10_000; passed += 10) {
      for (const member of running.values()) {
        const { leader, role } = yield* member.node.status
        if (role === "Leader" && Option.isSome(leader)) return member
      }
      yield* Cluster.passing(Effect.sleep(10))
    }
    return yield* Effect.die(new Error("nobody leads"))
  })

  return { network, running, start, until, elected }
})
