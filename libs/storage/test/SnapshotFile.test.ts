import { type SnapshotStore, StateMachine } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Random } from "effect"
import { crc32c } from "../src/Checksum.ts"
import { Disk } from "../src/Disk.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import * as SnapshotFile from "../src/SnapshotFile.ts"
import { failureOf } from "./support.ts"

const directory = "/data/state"
const path = `${directory}/${SnapshotFile.fileName}`
const filled = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte)

type Store = SnapshotStore.SnapshotStore["Service"]

const open = (disk: Disk["Service"]) => Effect.provideService(SnapshotFile.make({ directory }), Disk, disk)

const replace = Effect.fnUntraced(function*(store: Store, ...chunks: ReadonlyArray<Uint8Array>) {
  const draft = yield* store.draft
  for (const chunk of chunks) yield* draft.write(chunk)
  yield* draft.commit
}, Effect.scoped)

/** The first byte and the length of every chunk, or undefined if nothing is stored. */
const read = Effect.fnUntraced(function*(store: Store) {
  const stored = yield* store.stored
  if (Option.isNone(stored)) return undefined
  const found: Array<string> = []
  for (let position = 0;;) {
    const chunk = yield* stored.value.read(position)
    if (Option.isNone(chunk)) return found
    found.push(`${chunk.value.data[0]}*${chunk.value.data.length}`)
    position = chunk.value.next
  }
}, Effect.scoped)

/** A disk with a snapshot of three chunks on it. */
const withSnapshot = Effect.gen(function*() {
  const { disk, memory } = yield* MemoryDisk.make
  yield* Effect.scoped(
    Effect.flatMap(open(disk), (store) => replace(store, filled(30, 1), filled(0, 0), filled(50, 3)))
  )
  return { disk, memory }
})

/** What is said of a file with this content. */
const refusalOf = Effect.fnUntraced(function*(bytes: Uint8Array) {
  const { disk, memory } = yield* withSnapshot
  memory.put(path, bytes)
  return yield* failureOf(Effect.flatMap(open(disk), read))
}, Effect.scoped)

describe("SnapshotFile", () => {
  it.effect("any byte that changes is found, with file and offset", () =>
    Effect.gen(function*() {
      const { memory } = yield* withSnapshot
      const sound = memory.content(path)
      for (let at = 0; at < sound.length; at++) {
        const bytes = sound.slice()
        bytes[at]! ^= 1 << at % 8
        const { message, reason } = yield* refusalOf(bytes)
        assert.strictEqual(reason, "Corrupt", `byte ${at}`)
        assert.match(message, /\/data\/state\/snapshot at \d+: .*damaged/)
      }
    }))

  it.effect("a file that is cut anywhere is found, between two chunks too", () =>
    Effect.gen(function*() {
      const { memory } = yield* withSnapshot
      const sound = memory.content(path)
      for (let length = 0; length < sound.length; length++) {
        const { message, reason } = yield* refusalOf(sound.subarray(0, length))
        assert.strictEqual(reason, "Corrupt", `${length} bytes`)
        assert.match(message, /cut short/)
      }
    }))

  it.effect("a newer format is refused by its version; something else in its place is damage", () =>
    Effect.gen(function*() {
      const { memory } = yield* withSnapshot
      const newer = memory.content(path)
      const view = new DataView(newer.buffer)
      view.setUint32(4, SnapshotFile.formatVersion + 1)
      view.setUint32(8, crc32c(newer, 0, 8))
      const refusal = yield* refusalOf(newer)
      assert.strictEqual(refusal.reason, "Foreign")
      assert.match(refusal.message, /format version 2, this program knows 1/)
      assert.strictEqual((yield* refusalOf(new TextEncoder().encode("something else"))).reason, "Corrupt")
    }))

  it.effect("a length that is damaged asks for no more memory than a chunk may have", () =>
    Effect.gen(function*() {
      const { memory } = yield* withSnapshot
      const bytes = new Uint8Array(20_000_000)
      bytes.set(memory.content(path))
      bytes[12] = 1
      assert.match((yield* refusalOf(bytes)).message, /length is damaged/)
    }))

  it.effect("a failed write leaves the stored snapshot and says why; a full disk is told from a broken one", () =>
    Effect.gen(function*() {
      for (const operation of ["open", "write", "sync", "rename"] as const) {
        const { disk, memory } = yield* withSnapshot
        const store = yield* open(disk)
        memory.fail(operation)
        assert.strictEqual((yield* failureOf(replace(store, filled(9, 9)))).reason, "Io", operation)
        assert.deepStrictEqual(yield* read(store), ["1*30", "undefined*0", "3*50"], operation)
        assert.deepStrictEqual(yield* disk.list(directory), ["LOCK", "snapshot"], operation)
      }
      const { disk, memory } = yield* withSnapshot
      const store = yield* open(disk)
      memory.setCapacity(150)
      assert.strictEqual((yield* failureOf(replace(store, filled(100, 9)))).reason, "Full")
      memory.setCapacity(Infinity)
      yield* replace(store, filled(9, 9))
      assert.deepStrictEqual(yield* read(store), ["9*9"])
    }))

  it.effect("after a commit that failed nothing is committed any more: a second sync would prove nothing", () =>
    Effect.gen(function*() {
      for (const operation of ["sync", "rename", "syncDirectory"] as const) {
        const { disk, memory } = yield* withSnapshot
        const store = yield* open(disk)
        const present = yield* store.draft
        memory.fail(operation)
        assert.strictEqual((yield* failureOf(replace(store, filled(9, 9)))).reason, "Io", operation)
        assert.strictEqual((yield* failureOf(store.draft)).reason, "Io", operation)
        assert.strictEqual((yield* failureOf(present.commit)).reason, "Io", operation)
      }
    }))

  it.effect("a snapshot whose renaming was not synced when the process ended is there to stay once it was opened", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 10; seed++) {
        const { disk, memory } = yield* withSnapshot
        yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* open(disk)
          memory.fail("syncDirectory")
          yield* failureOf(replace(store, filled(9, 9)))
        }))
        yield* memory.restartProcess
        assert.deepStrictEqual(yield* Effect.scoped(Effect.flatMap(open(disk), read)), ["9*9"])
        memory.crash()
        yield* Random.withSeed(memory.restart, seed)
        assert.deepStrictEqual(yield* Effect.scoped(Effect.flatMap(open(disk), read)), ["9*9"])
      }
    }))

  it.effect("drafts that a crash left are removed on start, and nothing else is", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* withSnapshot
      memory.put(`${path}.7.tmp`, filled(100, 1))
      memory.put(`${directory}/notes.tmp`, filled(100, 1))
      yield* open(disk)
      assert.deepStrictEqual(yield* disk.list(directory), ["LOCK", "notes.tmp", "snapshot"])
    }))

  it.effect("a second one on the same directory is told that it is in use", () =>
    Effect.gen(function*() {
      const { disk } = yield* withSnapshot
      yield* open(disk)
      const error = yield* failureOf(open(disk))
      assert.instanceOf(error, StateMachine.StateMachineError)
      assert.strictEqual(error.reason, "Locked")
    }))

  it.effect("files are closed with their scopes", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      let opened = 0
      const store = yield* open({
        ...disk,
        open: (name, options) =>
          Effect.map(disk.open(name, options), (file) => {
            opened++
            return { ...file, close: Effect.andThen(Effect.sync(() => void opened--), file.close) }
          })
      })
      yield* replace(store, filled(9, 9))
      yield* Effect.scoped(store.draft)
      yield* read(store)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* store.stored
        yield* store.draft
        assert.strictEqual(opened, 2)
      }))
      assert.strictEqual(opened, 0)
    }))
})
