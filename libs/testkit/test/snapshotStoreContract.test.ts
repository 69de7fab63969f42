import { SnapshotStore } from "@dkv/raft"
import { Disk, MemoryDisk, MemorySnapshot, SnapshotFile } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Random } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Contract from "../src/contract/SnapshotStoreContract.ts"
import * as BootDisk from "./bootDisk.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-snapshot-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const openFile = (disk: Layer.Layer<Disk.Disk>, directory: string) =>
  Effect.map(
    Layer.build(SnapshotFile.layer({ directory }).pipe(Layer.provide(disk))),
    (context) => Context.get(context, SnapshotStore.SnapshotStore)
  )

describe("SnapshotStore: MemorySnapshot", () => {
  for (const { name, run } of Contract.cases) {
    it.effect(name, () => {
      let medium = MemorySnapshot.makeMedium()
      return run({
        open: Effect.sync(() => MemorySnapshot.makeOf(medium)),
        crash: Effect.sync(() => void (medium = { ...medium }))
      })
    })
  }
})

describe("SnapshotStore: SnapshotFile over MemoryDisk", () => {
  for (const { name, run } of Contract.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { boot, crash } = yield* BootDisk.make
        yield* run({ open: openFile(Layer.sync(Disk.Disk, boot), "/data/state"), crash })
      }).pipe(Random.withSeed(name)))
  }

  it.effect("holds the old or the new snapshot, wherever the machine stops, and the new one once it was committed", () =>
    Effect.gen(function*() {
      const old = Contract.chunksOf(1, 12)
      const fresh = Contract.chunksOf(2, 7)
      const found = { old: 0, fresh: 0, finished: 0 }
      for (let step = 1; step < 24; step++) {
        for (let seed = 0; seed < 12; seed++) {
          const { disk, memory } = yield* MemoryDisk.make
          const open = openFile(Layer.succeed(Disk.Disk, disk), "/data/state")
          const exit = yield* Effect.scoped(Effect.gen(function*() {
            const store = yield* open
            yield* Contract.replace(store, old)
            memory.crashAt(memory.steps() + step)
            return yield* Effect.exit(Contract.replace(store, fresh))
          }))
          memory.crash()
          yield* Random.withSeed(memory.restart, seed)
          const content = yield* Effect.scoped(Effect.flatMap(open, Contract.read))
          const isFresh = Contract.isSame(content, fresh)
          assert.isTrue(isFresh || Contract.isSame(content, old), `step ${step}, seed ${seed}: neither old nor new`)
          assert.isTrue(isFresh || Exit.isFailure(exit), `step ${step}, seed ${seed}: committed and lost`)
          assert.deepStrictEqual(yield* disk.list("/data/state"), ["LOCK", "snapshot"], "nothing is left over")
          found[isFresh ? "fresh" : "old"]++
          if (Exit.isSuccess(exit)) found.finished++
        }
      }
      assert.isTrue(found.old > 0 && found.fresh > found.finished && found.finished > 0, JSON.stringify(found))
    }))
})

describe("SnapshotStore: SnapshotFile over the operating system's disk", () => {
  for (const { name, run } of Contract.cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const base = yield* temporaryDirectory
        let number = 0
        const directory = () => Path.join(base, String(number), "state")
        yield* run({
          open: Effect.suspend(() => openFile(NodeDisk.layer, directory())),
          // a copy is what a machine finds that stopped now, if everything had been synced
          crash: Effect.sync(() => {
            const from = directory()
            number++
            Fs.cpSync(from, directory(), { recursive: true })
          })
        })
      }))
  }
})
