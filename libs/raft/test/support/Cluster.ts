/** Members that run for real, on a network and logs in memory, under the test's clock. */
import { Effect, Exit, Fiber, Layer, Option, Random, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { MemberId } from "../../src/index.ts"
import {
  ClusterSettings,
  Configuration,
  LogStore,
  RaftNode,
  SnapshotStore,
  StateMachine,
  Transport,
  WitnessStateMachine
} from "../../src/index.ts"
import { MemoryLog } from "./MemoryLog.ts"
import * as Network from "./Network.ts"
import { bytes, Register, text } from "./Register.ts"
import { SnapshotMedium } from "./SnapshotMedium.ts"

export interface Running {
  readonly id: MemberId
  readonly log: MemoryLog
  readonly register: Register
  /** Of a witness, in place of the register. */
  readonly medium: SnapshotMedium
  readonly node: RaftNode.RaftNode["Service"]
  readonly stop: Effect.Effect<void>
}

export const idOf = (number: number): MemberId => number.toString(16).padStart(16, "0")

export const memberOf = (number: number, autoPromote = false): Configuration.Member => ({
  id: idOf(number),
  name: `dkv-${number}`,
  peerAddress: `member-${number}:2380`,
  clientAddress: "",
  autoPromote,
  witness: false,
  priority: 0
})

export const witnessOf = (number: number, autoPromote = false): Configuration.Member => ({
  ...memberOf(number, autoPromote),
  witness: true
})

export const configurationOf = (...numbers: ReadonlyArray<number>): Configuration.Configuration => ({
  ...Configuration.empty,
  members: numbers.map((number) => memberOf(number)),
  voters: numbers.map(idOf)
})

/** Runs `effect` while time passes in small steps. */
export const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, millis = 10_000) {
  const fiber = yield* Effect.forkChild(effect)
  for (let passed = 0; passed < millis && fiber.pollUnsafe() === undefined; passed += 10) yield* TestClock.adjust(10)
  return yield* Fiber.join(fiber)
})

/** `settings` are each member's own, `clusterSettings` those in the founding configuration. */
export const make = Effect.fnUntraced(function*(
  founders: ReadonlyArray<number>,
  settings?: Partial<RaftNode.Options>,
  clusterSettings?: Partial<ClusterSettings.Settings>,
  witnesses: ReadonlyArray<number> = []
) {
  const network = yield* Network.make
  const running = new Map<number, Running>()
  const scope = yield* Effect.scope
  let starts = 0
  const configuration = {
    ...configurationOf(...founders),
    members: founders.map((number) => witnesses.includes(number) ? witnessOf(number) : memberOf(number)),
    settings: { ...ClusterSettings.defaults, ...clusterSettings }
  }

  const start = Effect.fnUntraced(function*(
    number: number,
    kept?: { readonly log: MemoryLog; readonly register: Register; readonly medium?: SnapshotMedium },
    kind = { witness: witnesses.includes(number) }
  ) {
    const log = kept?.log ?? new MemoryLog()
    const register = kept?.register ?? new Register()
    const medium = kept?.medium ?? new SnapshotMedium()
    const lifetime = yield* Scope.fork(scope)
    const seed = `member ${number}, start ${++starts}`
    const services = Layer.mergeAll(
      Layer.succeed(LogStore.LogStore, log.service()),
      kind.witness
        ? Layer.provide(WitnessStateMachine.layer, Layer.succeed(SnapshotStore.SnapshotStore, medium.service()))
        : Layer.succeed(StateMachine.StateMachine, register.service()),
      Layer.succeed(Transport.Transport, network.service(idOf(number)))
    )
    const context = yield* Layer.buildWithScope(
      Layer.provide(
        RaftNode.layer({
          id: idOf(number),
          configuration: founders.includes(number) ? Option.some(configuration) : Option.none(),
          ...kind,
          ...settings
        }),
        services
      ),
      lifetime
    ).pipe(Random.withSeed(seed))
    const node = yield* RaftNode.RaftNode.pipe(Effect.provideContext(context))
    const member: Running = {
      id: idOf(number),
      log,
      register,
      medium,
      node,
      stop: Effect.andThen(
        Effect.sync(() => running.delete(number)),
        Scope.close(lifetime, Exit.void)
      )
    }
    running.set(number, member)
    return member
  })

  for (const number of founders) yield* start(number)

  const leader = Effect.gen(function*() {
    for (const member of running.values()) {
      const status = yield* member.node.status
      if (status.role === "Leader") return Option.some(member)
    }
    return Option.none<Running>()
  })

  /** Lets time pass until `check` gives something, for at most `millis`. */
  const eventually = Effect.fnUntraced(function*<A>(check: Effect.Effect<Option.Option<A>>, millis = 10_000) {
    for (let passed = 0; passed < millis; passed += 10) {
      const found = yield* check
      if (Option.isSome(found)) return found.value
      yield* TestClock.adjust(10)
    }
    return yield* Effect.die(new Error(`nothing came of it within ${millis} ms`))
  })

  return {
    network,
    running,
    start,
    leader,
    eventually,
    /** A leader that the others know. */
    elected: eventually(Effect.gen(function*() {
      const found = yield* leader
      if (Option.isNone(found)) return found
      for (const member of running.values()) {
        const status = yield* member.node.status
        if (Option.getOrElse(status.leader, () => "") !== found.value.id) return Option.none<Running>()
      }
      return found
    })),
    propose: (member: Running, value: string, timeoutMillis = 5000) =>
      Effect.map(member.node.propose([bytes(value)], { timeoutMillis }), (results) => text(results[0]!))
  }
})
