import { MemoryStorage } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Scope } from "effect"
import * as Command from "../src/Command.ts"
import { type Kv, Layout, Limits } from "../src/index.ts"
import { bytes, del, open, put, range, remove, swap, text } from "./Harness.ts"
import { MapStorage } from "./MapStorage.ts"
import { changesOf, stateOf } from "./State.ts"
import { Dice, Model, randomWrite } from "./Model.ts"

/** Value, if shown, and mod revision of what stood in the way of a comparison. */
const foundBy = (result: Kv.WriteResult | undefined) => {
  assert(result?._tag === "Compared" && !result.succeeded && Option.isSome(result.current))
  const { modRevision, value } = result.current.value
  return [Option.getOrUndefined(Option.map(value, text)), modRevision]
}

describe("changes", () => {
  it.effect("the first change of an empty store gets revision 2", () =>
    Effect.gen(function*() {
      const kv = yield* open(new MapStorage())
      assert.strictEqual(yield* kv.reader.revision, 1)
      assert.deepStrictEqual(yield* kv.apply([put("a", "1"), put("b", "2")]), [
        { _tag: "Put", revision: 2 },
        { _tag: "Put", revision: 3 }
      ])
      assert.strictEqual(yield* kv.show(range("a", "\0")), "a=1@2/2/1 b=2@3/3/1")
    }))

  it.effect("a key that is deleted and put again begins anew", () =>
    Effect.gen(function*() {
      const kv = yield* open(new MapStorage())
      yield* kv.apply([put("a", "1"), put("a", "2"), del("a"), put("a", "3"), put("a", "4")])
      assert.strictEqual(yield* kv.show(range("a")), "a=4@5/6/2")
    }))

  it.effect("deleting nothing uses no revision", () =>
    Effect.gen(function*() {
      const kv = yield* open(new MapStorage())
      assert.deepStrictEqual(yield* kv.apply([put("a", "1"), del("b"), del("b", "\0"), remove("b", 0), del("a")]), [
        { _tag: "Put", revision: 2 },
        { _tag: "Delete", revision: 2, deleted: 0 },
        { _tag: "Delete", revision: 2, deleted: 0 },
        { _tag: "Compared", revision: 2, succeeded: true, current: Option.none() },
        { _tag: "Delete", revision: 3, deleted: 1 }
      ])
    }))

  it.effect("the keys of one delete share its revision", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* kv.apply([put("b", "1"), put("a", "1"), put("c", "1"), del("a", "c")])
      assert.strictEqual(yield* kv.show(range("a", "\0")), "c=1@4/4/1")
      const rows = storage.contents().filter(([key]) => key.startsWith("R"))
      const places = rows.flatMap(([key, row]) => changesOf(bytes(key), bytes(row)).map(([place]) => place))
      assert.deepStrictEqual(places.map(({ main, sub }) => [main, sub]), [[2, 0], [3, 0], [4, 0], [5, 0], [5, 1]])
    }))

  it.effect("a comparison that fails shows what stands there, also when it is only in the storage", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const value = "x".repeat(Limits.inlineValueBytesMax)
      yield* Effect.scoped(Effect.flatMap(open(storage), (kv) => kv.apply([put("a", value)])))
      const kv = yield* open(storage)
      assert.deepStrictEqual(foundBy((yield* kv.apply([swap("a", "2", 1)]))[0]), [value, 2])
      assert.deepStrictEqual(yield* kv.apply([swap("a", "2", 2)]), [
        { _tag: "Compared", revision: 3, succeeded: true, current: Option.none() }
      ])
    }))

  it.effect("a comparison shows a value that is still on its way to the storage", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* Effect.addFinalizer(() => Effect.sync(() => storage.gate.openUnsafe()))
      storage.gate.closeUnsafe()
      yield* kv.apply([put("a", "1")])
      assert.deepStrictEqual(foundBy((yield* kv.apply([remove("a", 1)]))[0]), ["1", 2])
    }))

  it.effect("a comparison does not show a long value, wherever that is: other members may have it elsewhere", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const long = "x".repeat(Limits.inlineValueBytesMax + 1)
      const kv = yield* open(storage)
      const [, inBatch] = yield* kv.apply([put("a", long), swap("a", "2", 1)])
      const [inMemory] = yield* kv.apply([swap("a", "2", 1)])
      yield* kv.reader.read([range("a")])
      const [wanted] = yield* kv.apply([swap("a", "2", 1)])
      yield* kv.machine.flush
      const [inStorage] = yield* (yield* open(storage)).apply([swap("a", "2", 1)])
      for (const result of [inBatch, inMemory, wanted, inStorage]) {
        assert.deepStrictEqual(foundBy(result), [undefined, 2])
      }
    }))

  it.effect("thousands of failed comparisons with one of the largest values have small results, and read nothing", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* kv.apply([put("a", "x".repeat(Limits.valueBytesMax))])
      yield* kv.machine.flush
      const before = storage.reads
      const results = yield* kv.applyBytes(Array.from({ length: 4096 }, () => Command.encode(swap("a", "2", 1))))
      assert.isBelow(results.reduce((bytes, result) => bytes + result.length, 0), 4096 * 64)
      assert.strictEqual(storage.reads, before)
    }))

  it.effect("the values that failed comparisons show, and memory has not, are read at once", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      const names = Array.from({ length: 100 }, (_, i) => `k${i}`)
      yield* kv.apply(names.map((name) => put(name, `${name}!`)))
      yield* kv.machine.flush
      const before = storage.reads
      yield* kv.apply(names.slice(50).map((name, i) => swap(name, `${name}!`, 52 + i)))
      assert.strictEqual(storage.reads, before, "one that succeeds shows nothing")
      yield* kv.machine.flush
      const results = yield* kv.apply([...names, ...names].map((name) => swap(name, "2", 1)))
      assert.deepStrictEqual(
        results.map((result) => foundBy(result)[0]),
        [...names, ...names].map((name) => `${name}!`)
      )
      assert.strictEqual(storage.reads, before + 1)
    }))

  it.effect(
    "a delete of too many keys is refused whole, one of as many as allowed is done",
    () =>
      Effect.gen(function*() {
        const storage = yield* MemoryStorage.makeOf(MemoryStorage.makeMedium())
        let scans = 0
        const kv = yield* open({
          ...storage,
          scan: (range) =>
            Effect.suspend(() => {
              scans++
              return storage.scan(range)
            })
        })
        const ops: Array<Kv.WriteOp> = []
        for (let i = 0; i <= Limits.deleteKeysMax; i++) ops.push(put(`k${i}`, ""))
        yield* kv.apply(ops)
        const refused = { _tag: "Invalid", reason: "RangeTooLarge" } as const
        const [result] = yield* kv.apply([del("k", "l")])
        assert.deepInclude(result, refused)
        const scansOfOne = scans
        for (const result of yield* kv.apply([del("k", "l"), del("j", "\0"), del("k", "l")])) {
          assert.deepInclude(result, refused)
        }
        assert.strictEqual(scans, 2 * scansOfOne, "those behind the first find too many in memory")
        assert.deepStrictEqual(yield* kv.apply([del("k0"), del("k", "l")]), [
          { _tag: "Delete", revision: Limits.deleteKeysMax + 3, deleted: 1 },
          { _tag: "Delete", revision: Limits.deleteKeysMax + 4, deleted: Limits.deleteKeysMax }
        ])
        assert.strictEqual(yield* kv.show(range("k", "\0")), "")
      }),
    60_000
  )

  it.effect("keys and values come back byte for byte", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join("")
      const samples = ["", "\0", "\r\n", all, all.repeat(8), all.repeat(300)]
      const check = Effect.fnUntraced(function*(kv: Effect.Success<ReturnType<typeof open>>) {
        for (const [i, value] of samples.entries()) {
          const [single] = yield* kv.reader.read([range(all + i)])
          assert(single?._tag === "Range")
          assert.strictEqual(text(single.kvs[0]!.key), all + i)
          assert.strictEqual(text(single.kvs[0]!.value), value)
        }
        const [scanned] = yield* kv.reader.read([range("\0", "\0")])
        assert(scanned?._tag === "Range")
        assert.deepStrictEqual(scanned.kvs.map((kv) => text(kv.value)), samples)
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const kv = yield* open(storage)
        yield* kv.apply(samples.map((value, i) => put(all + i, value)))
        yield* check(kv)
      }))
      yield* check(yield* open(storage))
    }))
})

describe("a batch", () => {
  it.effect("may have as many deletes of ranges as the limit says, and other commands count for nothing", () =>
    Effect.gen(function*() {
      const { machine } = yield* open(new MapStorage())
      const share = (op: Kv.WriteOp) => machine.batchShare!(Command.encode(op), 0)
      for (const range of [del("a", "b"), del("a", "\0"), del("b", "a")]) {
        assert.isAtMost(share(range) * Limits.batchRangeDeletesMax, 1)
        assert.isAbove(share(range) * (Limits.batchRangeDeletesMax + 1), 1)
      }
      for (const other of [del("a"), put("a", "b"), swap("a", "b", 1), remove("a", 1)]) {
        assert.strictEqual(share(other), 0)
      }
    }))
})

describe("commands that cannot be carried out", () => {
  it.effect("are answered, and those around them are carried out", () =>
    Effect.gen(function*() {
      const kv = yield* open(new MapStorage())
      const results = yield* kv.applyBytes([
        Command.encode(put("a", "1")),
        Uint8Array.of(),
        Uint8Array.of(200, 1, 2, 3),
        Uint8Array.of(Command.tag.put, 0, 0, 0, 9, 1),
        Uint8Array.of(Command.tag.put, 0, 0, 0, 0, 1),
        Uint8Array.of(Command.tag.compareAndDelete, 0, 0),
        Command.encode(put("b", "1"))
      ])
      assert.deepStrictEqual(results.map((result) => result[0]), [1, 16, 17, 16, 16, 16, 1])
      assert.strictEqual(yield* kv.show(range("a", "\0")), "a=1@2/2/1 b=1@3/3/1")
    }))

  it.effect("any bytes at all have a result, the same on every member", () =>
    Effect.gen(function*() {
      const dice = new Dice(7)
      const a = new MapStorage()
      const b = new MapStorage()
      const one = yield* open(a)
      const other = yield* open(b, { cacheBytesMax: 500 })
      for (let round = 0; round < 200; round++) {
        const commands = Array.from({ length: 10 }, () => {
          const command = Command.encode(randomWrite(dice, new Model())).slice(0, 1 + dice.roll(40))
          for (let i = dice.roll(4); i > 0; i--) command[dice.roll(command.length)] = dice.roll(256)
          return command
        })
        const results = yield* one.applyBytes(commands)
        for (const [i, command] of commands.entries()) {
          assert.deepStrictEqual(yield* other.applyBytes([command]), [results[i]!])
        }
      }
    }))
})

describe("after a crash", () => {
  it.effect("replaying the log behind the recovered head gives the same state", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 10; seed++) {
        const dice = new Dice(seed)
        const model = new Model()
        const ops = Array.from({ length: 200 }, () => {
          const op = randomWrite(dice, model)
          model.write(op)
          return op
        })
        const whole = new MapStorage()
        const expected = yield* (yield* open(whole)).apply(ops)

        let storage = new MapStorage()
        let applied = 0
        while (applied < ops.length) {
          const scope = yield* Scope.make()
          const kv = yield* Scope.provide(open(storage, { index: applied }), scope)
          const { head } = yield* kv.machine.recover
          assert.strictEqual(Option.isSome(head) ? text(head.value) : "head 0", `head ${applied}`)
          for (let batches = dice.roll(8); batches >= 0 && applied < ops.length; batches--) {
            const end = Math.min(applied + 1 + dice.roll(15), ops.length)
            assert.deepStrictEqual(yield* kv.apply(ops.slice(applied, end)), expected.slice(applied, end))
            applied = end
            if (dice.roll(4) === 0) yield* kv.machine.flush
          }
          yield* Scope.close(scope, Exit.void)
          if (applied === ops.length) break
          storage = storage.crash(dice.roll(storage.unflushed + 1))
          const row = storage.rows.get("Mraft")
          applied = row === undefined ? 0 : Number(text(row).slice(5))
        }
        assert.deepStrictEqual(stateOf(storage), stateOf(whole))
      }
    }))

  it.effect("what a flush covered is there, whatever else is lost", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* kv.apply([put("a", "1")])
      yield* kv.machine.flush
      yield* kv.apply([put("a", "2")])
      const after = yield* open(storage.crash(0))
      assert.strictEqual(yield* after.show(range("a")), "a=1@2/2/1")
      assert.strictEqual(yield* after.reader.revision, 2)
    }))
})

describe("raft's bookkeeping", () => {
  it.effect("comes back as it was handed over, records in order, deletes carried out", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      yield* Effect.scoped(Effect.gen(function*() {
        const { machine } = yield* open(storage)
        assert.deepStrictEqual(yield* machine.recover, { head: Option.none(), records: [] })
        yield* machine.apply([], {
          head: bytes("one"),
          changes: () => [{ key: bytes("b"), value: bytes("2") }, { key: bytes("a"), value: bytes("1") }, {
            key: bytes(""),
            value: bytes("0")
          }]
        })
        yield* machine.apply([], {
          head: bytes("two"),
          changes: () => [{ key: bytes("b"), value: undefined }, { key: bytes("\xff"), value: bytes("") }]
        })
      }))
      const { machine } = yield* open(storage)
      const { head, records } = yield* machine.recover
      assert.deepStrictEqual(Option.map(head, text), Option.some("two"))
      assert.deepStrictEqual(records.map(([key, value]) => [text(key), text(value)]), [["", "0"], ["a", "1"], [
        "\xff",
        ""
      ]])
    }))

  it.effect("is never seen by reads of keys", () =>
    Effect.gen(function*() {
      const kv = yield* open(new MapStorage())
      yield* kv.machine.apply([], { head: bytes("head"), changes: () => [{ key: bytes("a"), value: bytes("1") }] })
      assert.strictEqual(yield* kv.show(range("\0", "\0")), "")
    }))
})

describe("opening", () => {
  it.effect("a store of a newer layout is refused as foreign", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      storage.rows.set("Mkv", Uint8Array.of(Layout.layoutVersion + 1))
      const error = yield* Effect.flip(Effect.scoped(open(storage)))
      assert.strictEqual(error.reason, "Foreign")
    }))

  it.effect("a damaged meta row or current row is reported as corrupt", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      storage.rows.set("Mkv", Uint8Array.of(Layout.layoutVersion, 1, 2))
      assert.strictEqual((yield* Effect.flip(Effect.scoped(open(storage)))).reason, "Corrupt")
      storage.rows.delete("Mkv")
      storage.rows.set("Ka", Uint8Array.of(255))
      const kv = yield* open(storage)
      assert.strictEqual((yield* Effect.flip(kv.reader.read([range("a")]))).reason, "Corrupt")
      assert.strictEqual((yield* Effect.flip(kv.reader.read([range("a", "\0")]))).reason, "Corrupt")
      assert.strictEqual((yield* Effect.flip(kv.apply([put("a", "1")]))).reason, "Corrupt")
      assert.strictEqual((yield* Effect.flip(kv.apply([del("a", "b")]))).reason, "Corrupt")
    }))

  it.effect("a current row that is gone, or is another one than was written, is reported as corrupt when its value is wanted", () =>
    Effect.gen(function*() {
      const storage = new MapStorage()
      const kv = yield* open(storage)
      yield* kv.apply([put("a", "1"), put("b", "1")])
      yield* kv.machine.flush
      storage.rows.set("Ka", storage.rows.get("Kb")!)
      storage.rows.delete("Kb")
      for (const key of ["a", "b"]) {
        assert.strictEqual((yield* Effect.flip(kv.apply([swap(key, "2", 1)]))).reason, "Corrupt")
      }
    }))
})
