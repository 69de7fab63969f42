import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Random } from "effect"
import * as AtomicFile from "../src/AtomicFile.ts"
import { Disk } from "../src/Disk.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import { failureOf } from "./support.ts"

const path = "/d/a"
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)
const write = (disk: Disk["Service"], bytes: Uint8Array) =>
  Effect.provideService(AtomicFile.write(path, bytes), Disk, disk)
const read = (disk: Disk["Service"], bytesMax = 10_000) =>
  Effect.provideService(AtomicFile.read(path, bytesMax), Disk, disk)

const makeDisk = Effect.gen(function*() {
  const { disk, memory } = yield* MemoryDisk.make
  yield* disk.makeDirectory("/d")
  return { disk, memory }
})

describe("AtomicFile", () => {
  it.effect("is not found before it is written, and then what was written last, longer or shorter", () =>
    Effect.gen(function*() {
      const { disk } = yield* makeDisk
      assert.strictEqual((yield* failureOf(read(disk))).reason, "NotFound")
      for (const length of [2000, 3, 0, 5000]) {
        yield* write(disk, filled(length, length % 251))
        assert.deepStrictEqual(yield* read(disk), filled(length, length % 251))
      }
      assert.deepStrictEqual(yield* disk.list("/d"), ["a"])
    }))

  it.effect("has its old or its new content, wherever the machine stops, and the new one once it is written", () =>
    Effect.gen(function*() {
      const found = new Set<number>()
      for (let step = 1; step < 20; step++) {
        for (let seed = 0; seed < 20; seed++) {
          const { disk, memory } = yield* makeDisk
          yield* write(disk, filled(2000, 1))
          memory.crashAt(memory.steps() + step)
          const exit = yield* Effect.exit(write(disk, filled(3000, 2)))
          memory.crash()
          yield* Random.withSeed(memory.restart, seed)
          const content = yield* read(disk)
          const byte = content[0]!
          assert.deepStrictEqual(content, byte === 2 ? filled(3000, 2) : filled(2000, 1), `step ${step}`)
          assert.isTrue(byte === 2 || Exit.isFailure(exit), `step ${step}`)
          found.add(byte)
        }
      }
      assert.deepStrictEqual([...found].sort(), [1, 2])
    }))

  it.effect("is replaced after a crash that left a half-made one beside it", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* makeDisk
      memory.put(path + AtomicFile.temporarySuffix, filled(9000, 9))
      yield* write(disk, filled(10, 1))
      assert.deepStrictEqual(yield* read(disk), filled(10, 1))
    }))

  it.effect("keeps its old content on a full disk, which is reported as such, and is written once there is room", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* makeDisk
      yield* write(disk, filled(2000, 1))
      for (const room of [0, 1, 1999]) {
        memory.setCapacity(2000 + room)
        assert.strictEqual((yield* failureOf(write(disk, filled(2000, 2)))).reason, "Full", `${room} bytes left`)
        assert.deepStrictEqual(yield* read(disk), filled(2000, 1))
      }
      memory.setCapacity(Infinity)
      yield* write(disk, filled(2000, 2))
      assert.deepStrictEqual(yield* read(disk), filled(2000, 2))
    }))

  it.effect("keeps its old content when a write, a sync or the renaming fails", () =>
    Effect.gen(function*() {
      for (const operation of ["open", "write", "sync", "truncate", "rename"] as const) {
        const { disk, memory } = yield* makeDisk
        yield* write(disk, filled(2000, 1))
        memory.fail(operation)
        assert.strictEqual((yield* failureOf(write(disk, filled(2000, 2)))).reason, "Io", operation)
        memory.crash()
        yield* memory.restart
        assert.deepStrictEqual(yield* read(disk), filled(2000, 1), operation)
      }
    }))

  it.effect("shows a reader that it is too long, without being read to its end", () =>
    Effect.gen(function*() {
      const { disk } = yield* makeDisk
      yield* write(disk, filled(2000, 1))
      assert.strictEqual((yield* read(disk, 2000)).length, 2000)
      assert.strictEqual((yield* read(disk, 1000)).length, 1001)
    }))
})
