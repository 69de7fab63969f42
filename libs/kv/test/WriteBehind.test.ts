import type { StateMachine } from "@dkv/raft"
import { Storage } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Limits } from "../src/index.ts"
import { bytes, del, open, put, range, text } from "./Harness.ts"
import { MapStorage } from "./MapStorage.ts"

describe("writing behind", () => {
  const failed = new Storage.StorageError({ reason: "Full", message: "no space left" })

  it.effect("results come before the write is done, and reads see them", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage, { cacheBytesMax: 100 })
      yield* kv.apply([put("a", "1"), put("b", "1"), put("c", "1")])
      storage.gate.closeUnsafe()
      yield* kv.apply([put("a", "2"), del("b")])
      yield* kv.apply([put("d", "2")])
      assert.strictEqual(yield* kv.show(range("a")), "a=2@2/5/2")
      assert.strictEqual(yield* kv.show(range("b")), "")
      assert.strictEqual(yield* kv.show(range("a", "\0")), "a=2@2/5/2 c=1@4/4/1 d=2@7/7/1")
      assert.strictEqual(yield* kv.show(range("a", "\0", { reverse: true, limit: 2 })), "d=2@7/7/1 c=1@4/4/1 …")
      storage.gate.openUnsafe()
    }))

  it.effect("one write is under way at most, and all that queued up go together", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      storage.gate.closeUnsafe()
      for (let i = 0; i < 10; i++) yield* kv.apply([put("a", String(i))])
      storage.gate.openUnsafe()
      yield* kv.machine.flush
      assert.strictEqual(storage.writesUnderWayMax, 1)
      assert.strictEqual(storage.writes, 2)
      assert.strictEqual(storage.unflushed, 0)
    }))

  it.effect("a write waits a little for more to go with it, but not when somebody waits for the storage or much is on its way", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage, { lingerMillis: 5 })
      yield* kv.apply([put("a", "1")])
      yield* TestClock.adjust(4)
      yield* kv.apply([put("b", "1")])
      assert.strictEqual(storage.writes, 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(storage.writes, 1)
      yield* kv.apply([put("c", "1")])
      yield* kv.machine.flush
      assert.strictEqual(storage.writes, 2)
      yield* kv.apply([put("d", "x".repeat(Limits.lingerBytes))])
      yield* Effect.yieldNow
      assert.strictEqual(storage.writes, 3)
    }))

  it.effect("of what every batch writes anew, batches that go together encode and write the last alone", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const written: Array<ReadonlyArray<Storage.Write>> = []
      const { machine } = yield* open({
        ...storage.service,
        write: (batch) => {
          written.push(batch)
          return storage.service.write(batch)
        }
      }, { lingerMillis: 5 })
      const encoded: Array<string> = []
      const apply = (head: string, ...records: ReadonlyArray<readonly [key: string, value: string | undefined]>) =>
        machine.apply([], {
          get head() {
            encoded.push(head)
            return bytes(head)
          },
          changes: () =>
            records.map(([key, value]) => ({
              key: bytes(key),
              get value() {
                if (value !== undefined) encoded.push(`${key}=${value}`)
                return value === undefined ? undefined : bytes(value)
              }
            }))
        })
      yield* apply("one", ["a", "1"], ["b", "1"], ["c", undefined])
      yield* apply("two", ["a", "2"], ["b", undefined])
      yield* apply("three", ["c", "3"])
      yield* machine.flush
      assert.deepStrictEqual(encoded, ["three", "a=2", "c=3"])
      const tags = written.map((batch) =>
        batch.map((write) => `${write._tag} ${text(write._tag === "DeleteRange" ? write.from : write.key)}`)
      )
      assert.deepStrictEqual(tags, [["Put Mkv", "Put Mraft", "Put Sa", "Delete Sb", "Put Sc"]])
      assert.deepStrictEqual(storage.contents().slice(1), [["Mraft", "three"], ["Sa", "2"], ["Sc", "3"]])
    }))

  it.effect("apply waits when too much is on its way", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      storage.gate.closeUnsafe()
      const value = "x".repeat(Limits.valueBytesMax)
      let applied = 0
      const fiber = yield* Effect.forkChild(Effect.gen(function*() {
        for (; applied < 20; applied++) yield* kv.apply([put("a", value)])
      }))
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow
      assert.isBelow(applied, 2 + Limits.pendingBytesMax / Limits.valueBytesMax)
      storage.gate.openUnsafe()
      yield* Fiber.join(fiber)
      assert.strictEqual(applied, 20)
    }))

  it.effect("flush, snapshot and recover wait for what is on its way", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      for (const wait of [kv.machine.flush, Effect.scoped(kv.machine.snapshot), kv.machine.recover]) {
        storage.gate.closeUnsafe()
        yield* kv.apply([put("a", "1")])
        const fiber = yield* Effect.forkChild(wait as Effect.Effect<unknown, StateMachine.StateMachineError>)
        for (let i = 0; i < 10; i++) yield* Effect.yieldNow
        assert.isUndefined(fiber.pollUnsafe())
        storage.gate.openUnsafe()
        yield* Fiber.join(fiber)
      }
    }))

  it.effect("after a failed write everything fails with its reason", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* kv.apply([put("a", "1")])
      storage.gate.closeUnsafe()
      yield* kv.apply([put("a", "2")])
      const waiting = yield* Effect.forkChild(kv.machine.flush)
      yield* Effect.yieldNow
      storage.failure = failed
      storage.gate.openUnsafe()
      const calls: Array<Effect.Effect<unknown, StateMachine.StateMachineError, Scope.Scope>> = [
        Fiber.join(waiting),
        kv.apply([put("b", "1")]),
        kv.machine.flush,
        kv.machine.snapshot,
        kv.machine.install,
        kv.machine.recover,
        kv.reader.read([range("a")]),
        kv.reader.read([range("a", "\0")])
      ]
      for (const call of calls) {
        const error = yield* Effect.flip(Effect.scoped(call))
        assert.strictEqual(error.reason, "Full")
      }
      assert.strictEqual(storage.writes, 1)
    }))

  it.effect("closing waits until what was applied is written", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const scope = yield* Scope.make()
      const kv = yield* Scope.provide(open(storage), scope)
      storage.gate.closeUnsafe()
      yield* kv.apply([put("a", "1")])
      yield* kv.apply([put("a", "2")])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      for (let i = 0; i < 10; i++) yield* Effect.yieldNow
      assert.isUndefined(closing.pollUnsafe())
      storage.gate.openUnsafe()
      yield* Fiber.join(closing)
      assert.strictEqual(storage.writes, 2)
    }))

  it.effect("a batch whose caller is interrupted is applied whole or not at all", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      yield* Effect.scoped(Effect.flatMap(open(storage), (kv) => kv.apply([put("a", "1"), put("b", "1")])))
      for (let steps = 0; steps < 8; steps++) {
        const kv = yield* open(storage, { cacheBytesMax: 100 })
        const before = yield* kv.reader.revision
        const fiber = yield* Effect.forkChild(kv.apply([put("a", "x"), del("b", "\0"), put("b", "x")]))
        for (let i = 0; i < steps; i++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        const after = yield* kv.reader.revision
        assert.include([before, before + 3], after)
        yield* kv.apply([put("a", "1"), put("b", "1")])
        yield* kv.machine.flush
        assert.strictEqual(yield* kv.reader.revision, after + 2)
      }
    }))
})
