import { assert, describe, it } from "@effect/vitest"
import { Storage } from "@dkv/storage"
import { Effect, Fiber, Latch, Option } from "effect"
import { Limits } from "../src/index.ts"
import * as SnapshotChunk from "../src/SnapshotChunk.ts"
import { bytes, del, type Machine, open, put, range, show } from "./Harness.ts"
import { MapStorage } from "./MapStorage.ts"

const chunksOf = Effect.fnUntraced(function*(kv: Machine) {
  const reader = yield* kv.machine.snapshot
  const chunks: Array<Uint8Array> = []
  let cursor = new Uint8Array(0)
  while (true) {
    const { data, next } = yield* reader.read(cursor)
    chunks.push(data)
    if (Option.isNone(next)) return chunks
    cursor = next.value as Uint8Array<ArrayBuffer>
  }
})

const install = (kv: Machine, chunks: ReadonlyArray<Uint8Array>) =>
  Effect.scoped(Effect.gen(function*() {
    const writer = yield* kv.machine.install
    for (const chunk of chunks) yield* writer.write(chunk)
    yield* writer.commit
  }))

/** Three chunks: one row is larger than a chunk should be. */
const filled = Effect.fnUntraced(function*(storage: MapStorage) {
  const kv = yield* open(storage)
  yield* kv.apply([put("a", "1"), put("b", "x".repeat(Limits.snapshotChunkBytes + 1)), put("c", "\r\n\0"), del("a")])
  yield* kv.machine.apply([], { head: bytes("raft"), changes: () => [{ key: bytes("client"), value: bytes("7") }] })
  return kv
})

describe("snapshots", () => {
  it.effect("carry the whole state, raft's bookkeeping included", () =>
    Effect.gen(function*() {
      const from = new MapStorage()
      const to = new MapStorage()
      const chunks = yield* chunksOf(yield* filled(from))
      assert.isAbove(chunks.length, 1)
      const kv = yield* open(to)
      yield* kv.apply([put("b", "old"), put("d", "gone")])
      assert.strictEqual(yield* kv.show(range("d")), "d=gone@3/3/1")
      yield* install(kv, chunks)
      assert.deepStrictEqual(to.contents(), from.contents())
      assert.strictEqual(yield* kv.reader.revision, 5)
      assert.strictEqual(yield* kv.show(range("c", "\0")), "c=\r\n\0@4/4/1")
      assert.strictEqual(yield* kv.show(range("d")), "")
      const { head, records } = yield* kv.machine.recover
      assert.deepStrictEqual(head, Option.some(bytes("raft")))
      assert.deepStrictEqual(records, [[bytes("client"), bytes("7")]])
      assert.deepStrictEqual(yield* kv.apply([put("c", "2")]), [{ _tag: "Put", revision: 6 }])
    }))

  it.effect("of an empty store are an empty store", () =>
    Effect.gen(function*() {
      const to = new MapStorage()
      const kv = yield* open(to)
      yield* kv.apply([put("a", "1")])
      yield* install(kv, yield* chunksOf(yield* open(new MapStorage())))
      assert.deepStrictEqual(to.contents(), [])
      assert.strictEqual(yield* kv.reader.revision, 1)
    }))

  it.effect("show the moment they were opened, the same cursor the same chunk, whatever is applied meanwhile", () =>
    Effect.gen(function*() {
      const kv = yield* filled(new MapStorage())
      const reader = yield* kv.machine.snapshot
      const first = yield* reader.read(new Uint8Array(0))
      assert(Option.isSome(first.next))
      const second = yield* reader.read(first.next.value)
      yield* kv.apply([del("\0", "\0"), put("b", "new")])
      yield* kv.machine.flush
      assert.deepStrictEqual(yield* reader.read(first.next.value), second)
      assert.deepStrictEqual(yield* reader.read(new Uint8Array(0)), first)
    }))

  it.effect("contain what was applied before, though its write is still held up", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* filled(storage)
      storage.gate.closeUnsafe()
      yield* kv.apply([put("late", "1")])
      const fiber = yield* Effect.forkChild(chunksOf(kv))
      yield* Effect.yieldNow
      storage.gate.openUnsafe()
      const to = new MapStorage()
      yield* install(yield* open(to), yield* Fiber.join(fiber))
      assert.isTrue(to.rows.has("Klate"))
    }))

  it.effect("with any one bit changed are refused, and the state stays", () =>
    Effect.gen(function*() {
      const from = yield* open(new MapStorage())
      yield* from.apply([put("a", "1"), del("a"), put("b", "\0")])
      const [chunk] = yield* chunksOf(from)
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* kv.apply([put("mine", "1")])
      const before = storage.contents()
      for (let i = 0; i < chunk!.length; i++) {
        const damaged = chunk!.slice()
        damaged[i]! ^= 1 << (i % 8)
        const error = yield* Effect.flip(install(kv, [damaged]))
        assert.strictEqual(error.reason, "Snapshot", `byte ${i}`)
      }
      for (let length = 0; length < chunk!.length; length++) {
        const error = yield* Effect.flip(install(kv, [chunk!.slice(0, length)]))
        assert.strictEqual(error.reason, "Snapshot", `${length} bytes`)
      }
      assert.deepStrictEqual(storage.contents(), before)
      assert.strictEqual(yield* kv.show(range("\0", "\0")), "mine=1@2/2/1")
    }))

  it.effect("with chunks left out, repeated, swapped, mixed or missing at the end are refused", () =>
    Effect.gen(function*() {
      const a = yield* chunksOf(yield* filled(new MapStorage()))
      const other = yield* filled(new MapStorage())
      yield* other.apply([put("a", "2")])
      const b = yield* chunksOf(other)
      const kv = yield* open(new MapStorage())
      const last = a.length - 1
      for (
        const [what, chunks] of Object.entries({
          leftOut: a.filter((_, i) => i !== 1),
          repeated: [a[0]!, ...a],
          swapped: [a[1]!, a[0]!, ...a.slice(2)],
          mixed: [a[0]!, ...b.slice(1)],
          noEnd: a.slice(0, last),
          nothing: [],
          behindEnd: [...a, a[last]!]
        })
      ) {
        const error = yield* Effect.flip(install(kv, chunks))
        assert.strictEqual(error.reason, "Snapshot", what)
      }
      yield* install(kv, a)
    }))

  it.effect("that are well-formed but not ours are refused", () =>
    Effect.gen(function*() {
      const kv = yield* open(new MapStorage())
      const chunk = (rows: ReadonlyArray<readonly [string, Uint8Array]>) =>
        SnapshotChunk.encode(SnapshotChunk.start, rows.map(([key, value]) => ({ key: bytes(key), value })), true).chunk
      const meta = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
      for (
        const rows of [
          [["Mraft", bytes("head")]],
          [["Mkv", Uint8Array.of(2)]],
          [["Mkv", Uint8Array.of(1)]],
          [["Mraft", bytes("head")], ["Mkv", meta]],
          [["Mkv", meta], ["Mkv", meta]],
          [["Mkv", meta], ["\xff", meta]]
        ] as const
      ) {
        assert.strictEqual((yield* Effect.flip(install(kv, [chunk(rows)]))).reason, "Snapshot")
      }
      yield* install(kv, [chunk([["Mkv", meta], ["Mraft", bytes("head")]])])
    }))

  it.effect("that are given up leave the state as it was", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* filled(storage)
      const before = storage.contents()
      const chunks = yield* chunksOf(yield* open(new MapStorage()))
      yield* Effect.scoped(Effect.flatMap(kv.machine.install, (writer) => writer.write(chunks[0]!)))
      assert.deepStrictEqual(storage.contents(), before)
    }))

  it.effect("are never seen in part: reads during the change wait, reads across it start again", () =>
    Effect.gen(function*() {
      const chunks = yield* chunksOf(yield* filled(new MapStorage()))
      for (const op of [range("c"), range("c", "\0")]) {
        for (let early = 0; early < 6; early++) {
          const storage = new MapStorage()
          yield* Effect.scoped(Effect.flatMap(open(storage), (kv) => kv.apply([put("c", "old"), put("d", "old")])))
          const kv = yield* open(storage)
          const both = [op, range("d")]
          yield* Effect.scoped(Effect.gen(function*() {
            const writer = yield* kv.machine.install
            for (const chunk of chunks) yield* writer.write(chunk)
            storage.gate.closeUnsafe()
            const across = yield* Effect.forkChild(kv.reader.read(both))
            for (let i = 0; i < early; i++) yield* Effect.yieldNow
            const committing = yield* Effect.forkChild(writer.commit)
            yield* Effect.yieldNow
            yield* Effect.yieldNow
            const during = yield* Effect.forkChild(kv.reader.read(both))
            for (let i = 0; i < 5; i++) yield* Effect.yieldNow
            assert.isUndefined(during.pollUnsafe())
            storage.gate.openUnsafe()
            yield* Fiber.join(committing)
            const after = yield* kv.reader.read(both)
            assert.deepStrictEqual(yield* Fiber.join(during), after)
            const found = yield* Fiber.join(across)
            const revisions = found.map((result) => result._tag === "Range" ? result.revision : 0)
            const mods = found.flatMap((result) =>
              result._tag === "Range" ? result.kvs.map((kv) => kv.modRevision) : []
            )
            assert.include(
              [["3,3", "2,3"], ["3,3", "2,3,3"], ["5,5", "4"]].map(String),
              String([revisions, mods].map(String))
            )
          }))
        }
      }
    }))

  it.effect("are not mixed into a read that began before them and ends behind them", () =>
    Effect.gen(function*() {
      const chunks = yield* chunksOf(yield* filled(new MapStorage()))
      for (const ops of [[range("c"), range("d")], [range("c", "\0")]]) {
        const storage = new MapStorage()
        yield* Effect.scoped(Effect.flatMap(open(storage), (kv) => kv.apply([put("c", "old"), put("d", "old")])))
        const kv = yield* open(storage)
        yield* Effect.scoped(Effect.gen(function*() {
          const writer = yield* kv.machine.install
          for (const chunk of chunks) yield* writer.write(chunk)
          const held = storage.answers = Latch.makeUnsafe(false)
          const across = yield* Effect.forkChild(kv.reader.read(ops))
          for (let i = 0; i < 3; i++) yield* Effect.yieldNow
          storage.answers = Latch.makeUnsafe(true)
          yield* writer.commit
          held.openUnsafe()
          assert.deepStrictEqual((yield* Fiber.join(across)).map(show).join(""), "c=\r\n\0@4/4/1")
        }))
      }
    }))

  it.effect("whose commit fails stop the member", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const chunks = yield* chunksOf(yield* filled(new MapStorage()))
      const kv = yield* open(storage)
      storage.failure = new Storage.StorageError({ reason: "Io", message: "gone" })
      assert.strictEqual((yield* Effect.flip(install(kv, chunks))).reason, "Io")
      assert.strictEqual((yield* Effect.flip(kv.reader.read([range("a")]))).reason, "Io")
      assert.strictEqual((yield* Effect.flip(kv.apply([]))).reason, "Io")
    }))
})
