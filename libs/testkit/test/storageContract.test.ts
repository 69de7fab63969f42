import { LogStore } from "@dkv/raft"
import { Disk, MemoryDisk, MemoryLog, MemoryStorage, SegmentLog, Storage } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Random } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as DiskContract from "../src/contract/DiskContract.ts"
import * as LogStoreContract from "../src/contract/LogStoreContract.ts"
import * as StorageContract from "../src/contract/StorageContract.ts"
import * as RocksDbCrash from "../src/RocksDbCrash.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-storage-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const segmentLog = (
  directory: string,
  disk: Layer.Layer<Disk.Disk>,
  segmentBytes: number
): LogStoreContract.Subject => ({
  open: Effect.suspend(() =>
    Effect.map(
      Layer.build(SegmentLog.layer({ directory, segmentBytes }).pipe(Layer.provide(disk))),
      (context) => Context.get(context, LogStore.LogStore)
    )
  )
})

/** A log in segments on a disk in memory, as `through` shows it, which loses in a crash what was not synced. */
const segmentLogInMemory = (segmentBytes: number, through = (disk: Disk.Disk["Service"]) => disk) =>
  Effect.map(MemoryDisk.make, ({ disk, memory }): LogStoreContract.Subject => ({
    ...segmentLog("/data/log", Layer.succeed(Disk.Disk, through(disk)), segmentBytes),
    crash: memory.restart
  }))

describe("Disk: the operating system's", () => {
  for (const { name, run } of DiskContract.cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const disk = Context.get(yield* Layer.build(NodeDisk.layer), Disk.Disk)
        yield* run({ disk, directory })
      }))
  }
})

describe("Disk: MemoryDisk", () => {
  for (const { name, run } of DiskContract.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { disk } = yield* MemoryDisk.make
        yield* disk.makeDirectory("/data")
        yield* run({ disk, directory: "/data" })
      }))
  }
})

describe("LogStore: MemoryLog", () => {
  for (const { name, run } of LogStoreContract.cases) {
    it.effect(name, () => {
      const medium = MemoryLog.makeMedium()
      return run({ open: Effect.sync(() => MemoryLog.makeOf(medium)) })
    })
  }
})

describe("LogStore: SegmentLog over MemoryDisk", () => {
  for (const { name, run } of LogStoreContract.cases) {
    it.effect(name, () => Effect.flatMap(segmentLogInMemory(64 << 20), run).pipe(Random.withSeed(name)))
  }
})

describe("LogStore: SegmentLog over MemoryDisk, in small segments", () => {
  for (const { name, run } of LogStoreContract.cases) {
    it.effect(name, () => Effect.flatMap(segmentLogInMemory(700), run).pipe(Random.withSeed(name)))
  }
})

describe("LogStore: a log that never syncs", () => {
  const careless = (disk: Disk.Disk["Service"]) => ({
    ...disk,
    open: (path: string, options: Disk.OpenOptions) =>
      Effect.map(disk.open(path, { ...options, durableWrites: false }), (file) => ({ ...file, sync: Effect.void }))
  })
  for (const { name, run } of LogStoreContract.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(run(yield* segmentLogInMemory(64 << 20, careless)))
        assert.strictEqual(exit._tag, name === "what write has returned is there after a crash" ? "Failure" : "Success")
      }).pipe(Random.withSeed(name)))
  }
})

describe("LogStore: SegmentLog over the operating system's disk", () => {
  for (const { name, run } of LogStoreContract.cases) {
    it.live(
      name,
      () =>
        Effect.flatMap(
          temporaryDirectory,
          (directory) => run(segmentLog(`${directory}/log`, NodeDisk.layer, 4000))
        )
    )
  }
})

describe("Storage: MemoryStorage", () => {
  for (const { name, run } of StorageContract.cases) {
    it.effect(name, () => {
      let medium = MemoryStorage.makeMedium({ crashes: true })
      return run({
        open: Effect.suspend(() => MemoryStorage.makeOf(medium)),
        crash: Effect.gen(function*() {
          const survivor = MemoryStorage.copy(medium)
          yield* MemoryStorage.crash(survivor)
          medium = survivor
        })
      }).pipe(Random.withSeed(name))
    })
  }
})

describe("Storage: RocksDB", () => {
  for (const { name, run } of StorageContract.cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const base = yield* temporaryDirectory
        let number = 0
        const directory = () => Path.join(base, String(number))
        yield* run({
          open: Effect.suspend(() =>
            Effect.map(Layer.build(RocksDbStorage.layer({ directory: directory() })), (context) =>
              Context.get(context, Storage.Storage))
          ),
          crash: Effect.suspend(() =>
            RocksDbCrash.crash(directory(), Path.join(base, String(++number)))
          )
        })
      }).pipe(Random.withSeed(name)))
  }
})
