import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import type { Disk } from "../src/Disk.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import { failureOf } from "./support.ts"

const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)

/** What may be found after a crash, over many throws of the dice. */
const outcomes = <A>(
  scenario: (disk: Disk["Service"]) => Effect.Effect<void, unknown>,
  look: (memory: MemoryDisk.MemoryDisk["Service"]) => A
) =>
  Effect.gen(function*() {
    const found = new Set<A>()
    for (let seed = 0; seed < 60; seed++) {
      const { disk, memory } = yield* MemoryDisk.make
      yield* disk.makeDirectory("/d")
      yield* Effect.orDie(scenario(disk))
      memory.crash()
      yield* Random.withSeed(memory.restart, seed)
      found.add(look(memory))
    }
    return found
  })

const present = (path: string) => (memory: MemoryDisk.MemoryDisk["Service"]): string => {
  try {
    return [...new Set(memory.content(path))].join()
  } catch {
    return "absent"
  }
}

describe("MemoryDisk", () => {
  it.effect("what was synced survives, with its directory entry", () =>
    Effect.gen(function*() {
      const found = yield* outcomes(
        Effect.fnUntraced(function*(disk) {
          const file = yield* disk.open("/d/a", { access: "write", create: "new" })
          yield* file.write(0, [filled(2000, 1)])
          yield* file.sync
          yield* disk.syncDirectory("/d")
        }),
        present("/d/a")
      )
      assert.deepStrictEqual([...found], ["1"])
    }))

  it.effect("a misdirected write overwrites another place and leaves its own as it was, synced or not, and happens once", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const a = yield* disk.open("/a", { access: "write", create: "new", durableWrites: true })
      const b = yield* disk.open("/b", { access: "write", create: "new", durableWrites: true })
      yield* disk.syncDirectory("/")
      yield* a.write(0, [filled(4, 1)])
      yield* b.write(0, [filled(4, 2)])
      memory.misdirect("/b", 3)
      yield* a.write(2, [filled(1, 3), filled(3, 4)])
      memory.crash()
      yield* memory.restart
      assert.deepStrictEqual([...memory.content("/a")], [1, 1, 1, 1, 0, 0])
      assert.deepStrictEqual([...memory.content("/b")], [2, 2, 2, 3], "no longer than the file")
      const again = yield* disk.open("/a", { access: "write", durableWrites: true })
      yield* again.write(2, [filled(4, 5)])
      assert.deepStrictEqual([...memory.content("/a")], [1, 1, 5, 5, 5, 5])
    }))

  it.effect("an unsynced write may be lost, kept, or torn", () =>
    Effect.gen(function*() {
      const found = yield* outcomes(
        Effect.fnUntraced(function*(disk) {
          const file = yield* disk.open("/d/a", { access: "write", create: "new" })
          yield* file.write(0, [filled(1024, 1)])
          yield* file.sync
          yield* disk.syncDirectory("/d")
          yield* file.write(0, [filled(1024, 2)])
        }),
        present("/d/a")
      )
      assert.deepStrictEqual([...found].sort(), ["1", "1,2", "2", "2,1"])
    }))

  it.effect("an unsynced directory entry may be lost, its file with it", () =>
    Effect.gen(function*() {
      const found = yield* outcomes(
        Effect.fnUntraced(function*(disk) {
          const file = yield* disk.open("/d/a", { access: "write", create: "new", durableWrites: true })
          yield* file.write(0, [filled(100, 1)])
        }),
        present("/d/a")
      )
      assert.deepStrictEqual([...found].sort(), ["1", "absent"])
    }))

  it.effect("a rename that was synced before its content may leave an empty file", () =>
    Effect.gen(function*() {
      const found = yield* outcomes(
        Effect.fnUntraced(function*(disk) {
          const file = yield* disk.open("/d/a", { access: "write", create: "new" })
          yield* file.write(0, [filled(100, 1)])
          yield* disk.rename("/d/a", "/d/b")
          yield* disk.syncDirectory("/d")
        }),
        present("/d/b")
      )
      assert.isTrue(found.has("") || found.has("0"))
    }))

  it.effect("after a failed sync the lost pages count as clean", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const file = yield* disk.open("/a", { access: "write", create: "new" })
      yield* disk.syncDirectory("/")
      yield* file.write(0, [filled(10, 1)])
      memory.fail("sync")
      yield* failureOf(file.sync)
      yield* file.sync
      memory.crash()
      yield* memory.restart
      assert.notStrictEqual(present("/a")(memory), "1")
    }))
})
