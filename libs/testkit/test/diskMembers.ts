/**
 * Raft members whose log and snapshot are files on a disk in memory, on one network in memory: what a machine loses in a power cut is really lost, and what
 * they do on the way up is what a process does.
 */
import { Configuration, RaftNode, VolatileStateMachine } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import { Disk, SegmentLog, SnapshotFile } from "@dkv/storage"
import { MemoryNetwork, TransportMemory } from "@dkv/transport"
import { Context, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as BootDisk from "./bootDisk.ts"
import { bytes, Journal } from "./volatileJournal.ts"

export const idOf = (number: number): MemberId => number.toString(16).padStart(16, "0")
export const addressOf = (number: number): string => `m${number}:2380`
export const clusterId = "00000000000000c1"

const configurationOf = (numbers: ReadonlyArray<number>): Configuration.Configuration => ({
  ...Configuration.empty,
  members: numbers.map((number) => ({
    id: idOf(number),
    name: `m${number}`,
    peerAddress: addressOf(number),
    clientAddress: "",
    autoPromote: true,
    witness: false,
    priority: 0
  })),
  voters: numbers.map(idOf)
})

/** Runs `effect` while time passes in small steps. */
export const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  for (let passed = 0; passed < 60_000 && fiber.pollUnsafe() === undefined; passed += 10) yield* TestClock.adjust(10)
  return yield* Fiber.join(fiber)
})

/** A process that runs. */
export interface Process {
  readonly node: RaftNode.RaftNode["Service"]
  /** What was applied in this run, and in earlier ones as far as it was restored. */
  readonly journal: Journal
  /** It ends in good order. */
  readonly stop: Effect.Effect<void>
}

export const network = Layer.build(MemoryNetwork.MemoryNetwork.layer)

/** A machine with a disk of its own, and nothing on it yet. */
export const makeMachine = Effect.fnUntraced(function*(options: {
  readonly network: Context.Context<MemoryNetwork.MemoryNetwork>
  readonly number: number
  readonly founders: ReadonlyArray<number>
}) {
  const { founders, number } = options
  const { boot, crash, memory } = yield* BootDisk.make
  const scopes = new Set<Scope.Closeable>()
  // What a process still waits for on its way out may take time, which only passes when the test says so.
  const endAll = Effect.suspend(() => {
    const ended = [...scopes]
    scopes.clear()
    return Effect.forEach(ended, (scope) => passing(Scope.close(scope, Exit.void)), { discard: true })
  })
  yield* Effect.addFinalizer(() => endAll)
  const layerOf = (journal: Journal) =>
    RaftNode.layer({
      id: idOf(number),
      configuration: founders.includes(number) ? Option.some(configurationOf(founders)) : Option.none()
    }).pipe(
      Layer.provide(SegmentLog.layer({ directory: "/data/log" })),
      Layer.provide(VolatileStateMachine.layer),
      Layer.provide(Layer.succeed(VolatileStateMachine.VolatileStateMachine, journal.service())),
      Layer.provide(SnapshotFile.layer({ directory: "/data/state" })),
      Layer.provide(Layer.succeed(Disk.Disk, boot())),
      Layer.provide(TransportMemory.layer({ clusterId, memberId: idOf(number), address: addressOf(number) }))
    )
  return {
    memory,
    /** Fails as the process would. */
    start: Effect.gen(function*() {
      const scope = yield* Scope.make()
      scopes.add(scope)
      const journal = new Journal()
      const context = yield* Layer.buildWithScope(layerOf(journal), scope).pipe(
        Effect.provideContext(options.network)
      )
      const stop = Effect.suspend(() => {
        scopes.delete(scope)
        return passing(Scope.close(scope, Exit.void))
      })
      return { node: Context.get(context, RaftNode.RaftNode), journal, stop } satisfies Process
    }),
    /** Whatever was not synced is lost, or not. */
    powerCut: Effect.andThen(crash, endAll)
  }
})

export const propose = ({ node }: Process, line: string, timeoutMillis = 5000) =>
  node.propose([bytes(line)], { timeoutMillis })
