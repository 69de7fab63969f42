import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { Disk } from "../src/Disk.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import * as SetAside from "../src/SetAside.ts"

const made = Effect.gen(function*() {
  const { disk, memory } = yield* MemoryDisk.make
  yield* disk.makeDirectory("/data/log")
  yield* disk.makeDirectory("/data/state/000001")
  yield* disk.makeDirectory("/data/damaged/old/log")
  memory.put("/data/log/1.log", Uint8Array.of(1))
  memory.put("/data/state/000001/a", Uint8Array.of(2))
  memory.put("/data/damaged/old/log/1.log", Uint8Array.of(3))
  memory.put("/data/member.json", Uint8Array.of(4))
  const move = Effect.provideService(SetAside.move("/data", "new", ["log", "state"]), Disk, disk)
  const check = Effect.gen(function*() {
    assert.deepStrictEqual(yield* disk.list("/data"), ["damaged", "member.json"])
    assert.deepStrictEqual(yield* disk.list("/data/damaged"), ["new"])
    assert.deepStrictEqual([...memory.content("/data/damaged/new/log/1.log")], [1])
    assert.deepStrictEqual([...memory.content("/data/damaged/new/state/000001/a")], [2])
  })
  return { memory, move, check }
})

describe("setting aside", () => {
  it.effect("moves what is named and replaces what an earlier damage left", () =>
    Effect.gen(function*() {
      const { check, memory, move } = yield* made
      yield* move
      memory.crash()
      yield* memory.restart
      yield* check
    }))

  it.effect("cut off by a crash at any step and done again loses nothing of what it moves", () =>
    Effect.gen(function*() {
      for (let step = 1;; step++) {
        const { check, memory, move } = yield* made
        memory.crashAt(memory.steps() + step)
        const outcome = yield* Effect.exit(move)
        if (Exit.isSuccess(outcome)) return assert.isAbove(step, 5)
        yield* memory.restart
        yield* move
        yield* check
      }
    }))
})
