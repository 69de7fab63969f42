import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import * as DataDirectory from "../src/DataDirectory.ts"
import { Disk } from "../src/Disk.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import { failureOf } from "./support.ts"

const use = <A, E>(
  disk: Disk["Service"],
  body: (directory: DataDirectory.DataDirectory["Service"]) => Effect.Effect<A, E>
) => Effect.scoped(Effect.provideService(Effect.flatMap(DataDirectory.make({ path: "/data" }), body), Disk, disk))

const refusal = (disk: Disk["Service"]) =>
  Effect.map(failureOf(use(disk, () => Effect.void)), (error) => error as DataDirectory.DataDirectoryError)

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe("DataDirectory", () => {
  it.effect("a missing directory is made, and found again with all that was put into it", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const expected = { path: "/data" }
      yield* use(disk, (directory) => Effect.sync(() => assert.deepStrictEqual({ ...directory }, expected)))
      memory.put("/data/member.json", bytes("mine"))
      yield* use(disk, (directory) => Effect.sync(() => assert.deepStrictEqual({ ...directory }, expected)))
      assert.deepStrictEqual(memory.content("/data/member.json"), bytes("mine"))
    }))

  it.effect("a directory that was made survives a crash", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* use(disk, () => Effect.void)
      memory.crash()
      yield* memory.restart
      assert.include(yield* disk.list("/data"), "FORMAT")
      memory.put("/data/member.json", bytes("mine"))
      yield* use(disk, () => Effect.void)
    }))

  it.effect("a crash while the directory is being made leaves one that can be used", () =>
    Effect.gen(function*() {
      for (let step = 1; step < 20; step++) {
        const { disk, memory } = yield* MemoryDisk.make
        memory.crashAt(step)
        yield* Effect.exit(use(disk, () => Effect.void))
        memory.crash()
        yield* Random.withSeed(memory.restart, step)
        yield* use(disk, () => Effect.void)
      }
    }))

  it.effect("a directory that holds something else is refused, and nothing is written into it", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* disk.makeDirectory("/data")
      memory.put("/data/thesis.tex", bytes("do not touch"))
      const error = yield* refusal(disk)
      assert.strictEqual(error.reason, "Foreign")
      assert.include(error.message, "thesis.tex")
      assert.deepStrictEqual(yield* disk.list("/data"), ["thesis.tex"])
    }))

  it.effect("an empty file system with its lost+found is not foreign", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      yield* disk.makeDirectory("/data/lost+found")
      yield* use(disk, () => Effect.void)
    }))

  it.effect("a directory of a newer format is refused, with both versions", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* use(disk, () => Effect.void)
      memory.put("/data/FORMAT", bytes("dkv data directory\nversion 7\n"))
      const error = yield* refusal(disk)
      assert.strictEqual(error.reason, "Foreign")
      assert.include(error.message, "version 7")
      assert.include(error.message, "up to 1")
    }))

  it.effect("a FORMAT file of some other program is refused", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* disk.makeDirectory("/data")
      memory.put("/data/FORMAT", bytes("something else\n"))
      assert.strictEqual((yield* refusal(disk)).reason, "Foreign")
    }))

  it.effect("a second holder is refused until the first has left", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      yield* use(disk, () => Effect.map(refusal(disk), (error) => assert.strictEqual(error.reason, "Locked")))
      yield* use(disk, () => Effect.void)
    }))

  it.effect("a full disk is reported as such, and the directory can be made once there is room", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      memory.setCapacity(0)
      assert.strictEqual((yield* refusal(disk)).reason, "Full")
      memory.setCapacity(Infinity)
      yield* use(disk, () => Effect.void)
    }))
})
