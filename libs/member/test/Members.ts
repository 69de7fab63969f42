/** Whole members on memory layers in one program, under virtual time. */
import { Client } from "@dkv/client"
import { Kv, KvStateMachine } from "@dkv/kv"
import { Loopback } from "@dkv/protocol"
import { RaftNode } from "@dkv/raft"
import { MemoryNetwork } from "@dkv/transport"
import { MemoryLog, MemorySnapshot, MemoryStorage } from "@dkv/storage"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Dkv from "../src/Dkv.ts"
import { MemberRecord } from "../src/MemberRecord.ts"
import type { Record } from "../src/MemberRecord.ts"
import * as MemoryParts from "../src/MemoryParts.ts"
import type { Options } from "../src/Self.ts"

export interface Running {
  readonly name: string
  readonly scope: Scope.Closeable
  readonly fiber: Fiber.Fiber<Context.Context<Dkv.Dkv | Client.Client | Kv.Kv | RaftNode.RaftNode>, unknown>
}

/** Everything that a member keeps, to outlive it. */
export interface Disk {
  readonly parts: Pick<ReturnType<typeof MemoryParts.make>, "record" | "log" | "state" | "snapshots">
  readonly record: () => Option.Option<Record>
}

export const makeDisk = (): Disk => {
  let saved = Option.none<Record>()
  const log = MemoryLog.makeMedium()
  const state = MemoryStorage.makeMedium()
  const snapshot = MemorySnapshot.makeMedium()
  return {
    parts: {
      record: Layer.succeed(MemberRecord, {
        load: Effect.sync(() => saved),
        save: (record) => Effect.sync(() => void (saved = Option.some(record)))
      }),
      log: () => MemoryLog.layerOf(log),
      state: Layer.provide(KvStateMachine.layer(), MemoryStorage.layerOf(state)),
      snapshots: MemorySnapshot.layerOf(snapshot)
    },
    record: () => saved
  }
}

export const listOf = (names: ReadonlyArray<string>) => names.map((name) => ({ name, peerAddress: `${name}:2380` }))

/** One program's network and clients. */
export const world = Effect.gen(function*() {
  const context = yield* Layer.build(Layer.mergeAll(MemoryNetwork.MemoryNetwork.layer, Loopback.Loopback.layer))
  const network = Context.get(context, MemoryNetwork.MemoryNetwork)
  return {
    network,
    loopback: Context.get(context, Loopback.Loopback),
    start: Effect.fnUntraced(function*(
      name: string,
      initialCluster: Options["initialCluster"],
      options: Partial<Options> & { readonly disk?: Disk } = {}
    ) {
      const scope = yield* Scope.make()
      const addresses = { peerAddress: `${name}:2380`, clientAddress: `${name}:3000` }
      const { disk = makeDisk(), ...rest } = options
      const layer = Dkv.layer({
        name,
        version: "0.0.0",
        initialCluster,
        initialClusterState: "new",
        forceNewCluster: false,
        ...addresses,
        ...rest
      }, { ...MemoryParts.make(addresses), ...disk.parts })
      const fiber = yield* Layer.buildWithScope(layer, scope).pipe(
        Effect.provideContext(context),
        Effect.forkIn(scope)
      )
      return { name, scope, fiber } satisfies Running
    })
  }
})

/** Lets virtual time pass until `condition` holds; fails the test after `seconds`. */
export const until = Effect.fnUntraced(function*(condition: Effect.Effect<boolean>, seconds = 60) {
  for (let passed = 0; passed < seconds * 1000; passed += 50) {
    if (yield* condition) return
    yield* TestClock.adjust(50)
  }
  return yield* Effect.die(`did not come about within ${seconds} s`)
})

/** Runs `effect` while virtual time passes. */
export const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, seconds = 60) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), seconds)
  return yield* Fiber.join(fiber)
})

export const isUp = (member: Running): Effect.Effect<boolean> =>
  Effect.sync(() => member.fiber.pollUnsafe() !== undefined)

/** The services of a member that has come up. */
export const services = (member: Running) =>
  Effect.map(Effect.orDie(Fiber.join(member.fiber)), (context) => ({
    dkv: Context.get(context, Dkv.Dkv),
    client: Context.get(context, Client.Client),
    kv: Context.get(context, Kv.Kv),
    node: Context.get(context, RaftNode.RaftNode)
  }))

export const stop = (member: Running): Effect.Effect<void> => passing(Scope.close(member.scope, Exit.void))
