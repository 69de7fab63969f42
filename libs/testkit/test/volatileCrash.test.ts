/** A member whose state is in memory only, with log and snapshot on one disk: the machine stops at any step, and the member comes back with everything. */
import { Configuration, RaftNode, VolatileStateMachine } from "@dkv/raft"
import { Disk, SegmentLog, SnapshotFile } from "@dkv/storage"
import { MemoryNetwork, TransportMemory } from "@dkv/transport"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Random, References } from "effect"
import { TestClock } from "effect/testing"
import * as BootDisk from "./bootDisk.ts"
import { bytes, Journal } from "./volatileJournal.ts"

const address = { peerAddress: "alone:2380", clientAddress: "" }
const member = { id: "0000000000000001", name: "alone", ...address, autoPromote: true, witness: false, priority: 0 }
const founding = { ...Configuration.empty, members: [member], voters: [member.id] }

const layerOf = (disk: Disk.Disk["Service"], journal: Journal) =>
  RaftNode.layer({
    id: member.id,
    configuration: Option.some(founding),
    electionTimeoutMillis: 100,
    trailingEntries: 0,
    compactAfterBytes: 1
  }).pipe(
    Layer.provide(SegmentLog.layer({ directory: "/data/log", segmentBytes: 300 })),
    Layer.provide(VolatileStateMachine.layer),
    Layer.provide(Layer.succeed(VolatileStateMachine.VolatileStateMachine, journal.service())),
    Layer.provide(SnapshotFile.layer({ directory: "/data/state" })),
    Layer.provide(Layer.succeed(Disk.Disk, disk)),
    Layer.provide(
      TransportMemory.layer({ clusterId: "00000000000000c1", memberId: member.id, address: address.peerAddress })
    ),
    Layer.provide(MemoryNetwork.MemoryNetwork.layer)
  )

/** Runs `effect` while time passes in small steps. */
const passing = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(50)
  return yield* Fiber.join(fiber)
})

/** Proposes one after another until one is not acknowledged, or all are. Returns how many were. */
const propose = (journal: Journal, disk: Disk.Disk["Service"], commands: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(layerOf(disk, journal))
    const node = Context.get(context, RaftNode.RaftNode)
    for (let n = 0; n < commands.length; n++) {
      const exit = yield* Effect.exit(node.propose([bytes(commands[n]!)], { timeoutMillis: 1000 }))
      if (Exit.isFailure(exit)) return { acknowledged: n, status: yield* node.status }
      // so that there are snapshots between the commands
      yield* Effect.sleep(100)
    }
    return { acknowledged: commands.length, status: yield* node.status }
  }).pipe(Effect.scoped, Effect.exit, passing)

describe("a volatile member on one disk", () => {
  it.effect("comes back with every acknowledged command, once and in order, whenever the machine stopped", () =>
    Effect.gen(function*() {
      const seen = { crashes: 0, finished: 0, compacted: 0 }
      for (let seed = 0; seed < 40; seed++) {
        yield* Effect.gen(function*() {
          const { boot, crash, memory } = yield* BootDisk.make
          const acknowledged: Array<string> = []
          for (let run = 0; run < 4; run++) {
            memory.crashAt(memory.steps() + (yield* Random.nextIntBetween(1, 250)))
            const commands = Array.from({ length: 12 }, (_, n) => `+${run}.${n} `.padEnd(60))
            const outcome = yield* propose(new Journal(), boot(), commands)
            if (Exit.isSuccess(outcome)) {
              acknowledged.push(...commands.slice(0, outcome.value.acknowledged))
              seen[outcome.value.acknowledged < commands.length ? "crashes" : "finished"]++
              if (outcome.value.status.previousIndex > 0) seen.compacted++
            }
            yield* crash
          }
          const journal = new Journal()
          const last = yield* propose(journal, boot(), ["+last"])
          assert.isTrue(Exit.isSuccess(last) && last.value.acknowledged === 1, `seed ${seed}: ${last}`)
          assert.strictEqual(new Set(journal.lines).size, journal.lines.length, `seed ${seed}: applied twice`)
          const present = new Set(acknowledged)
          assert.deepStrictEqual(journal.lines.filter((line) => present.has(line)), acknowledged, `seed ${seed}`)
        }).pipe(Random.withSeed(seed))
      }
      assert.isTrue(Object.values(seen).every((count) => count > 5), JSON.stringify(seen))
    }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
})
