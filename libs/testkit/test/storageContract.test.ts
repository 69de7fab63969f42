import { LogStore } from "@dkv/raft"
import { Disk, MemoryDisk, MemoryLog, MemoryStorage, SegmentLog, Storage } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { describe, it } from "@effect/vitest"
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

const memoryDisk = Effect.map(MemoryDisk.make, ({ disk }) => Layer.succeed(Disk.Disk, disk))

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
    it.effect(name, () => Effect.flatMap(memoryDisk, (disk) => run(segmentLog("/data/log", disk, 64 << 20))))
  }
})

describe("LogStore: SegmentLog over MemoryDisk, in small segments", () => {
  for (const { name, run } of LogStoreContract.cases) {
    it.effect(name, () => Effect.flatMap(memoryDisk, (disk) => run(segmentLog("/data/log", disk, 700))))
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
