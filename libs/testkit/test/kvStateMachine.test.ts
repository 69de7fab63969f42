import { StateMachine } from "@dkv/raft"
import { Command, KvReader, KvStateMachine, Limits, type Kv } from "@dkv/kv"
import { MemoryStorage, Storage } from "@dkv/storage"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Random, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as StateMachineContract from "../src/contract/StateMachineContract.ts"
import * as RocksDbCrash from "../src/RocksDbCrash.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const hex = (array: Uint8Array): string => Buffer.from(array).toString("hex")

/** A result whose bytes compare by content: a value comes as a `Buffer`, or as part of a command that is still on its way to the storage. */
const readable = (result: Kv.RangeResult) =>
  result._tag === "Range"
    ? { ...result, kvs: result.kvs.map((kv) => ({ ...kv, key: hex(kv.key), value: hex(kv.value) })) }
    : result

/** Every kind of operation on few keys, values short, long and beyond what a row holds. */
const operation = (n: number): Kv.WriteOp => {
  const key = bytes(`key ${n % 7}`)
  const value = bytes(`${n} `.repeat(n % 5 === 0 ? 400 : n % 3))
  if (n % 11 === 0) return { _tag: "Delete", key: bytes("key 2"), end: bytes("key 5") }
  if (n % 6 === 0) return { _tag: "CompareAndSwap", key, value, expected: n - 6 }
  if (n % 13 === 0) return { _tag: "CompareAndDelete", key, expected: 3 }
  return { _tag: "Put", key, value }
}

const open = (storage: Effect.Effect<Storage.Storage["Service"], unknown, Scope.Scope>, cacheBytesMax?: number) =>
  Effect.gen(function*() {
    const service = yield* Effect.orDie(storage)
    const layer = KvStateMachine.layer(cacheBytesMax === undefined ? {} : { cacheBytesMax }).pipe(
      Layer.provide(Layer.succeed(Storage.Storage, service))
    )
    return yield* Layer.build(layer)
  })

const openMachine = (
  storage: Effect.Effect<Storage.Storage["Service"], unknown, Scope.Scope>,
  cacheBytesMax?: number
) => Effect.map(open(storage, cacheBytesMax), (context) => Context.get(context, StateMachine.StateMachine))

const common = {
  command: (n: number) => Command.encode(operation(n)),
  nonsense: [new Uint8Array(0), Uint8Array.of(255), Uint8Array.of(1, 0, 0), bytes("\u0002\0\0\0\0")]
}

for (const cacheBytesMax of [Limits.cacheBytesMax, 1000]) {
  describe(`KvStateMachine over MemoryStorage, with a cache of ${cacheBytesMax} bytes`, () => {
    for (const { name, run } of StateMachineContract.cases) {
      it.effect(name, () => {
        let medium = MemoryStorage.makeMedium({ crashes: true })
        return run({
          ...common,
          open: openMachine(Effect.suspend(() => MemoryStorage.makeOf(medium)), cacheBytesMax),
          openOther: openMachine(Effect.suspend(() => MemoryStorage.makeOf(MemoryStorage.makeMedium()))),
          crash: Effect.gen(function*() {
            const survivor = MemoryStorage.copy(medium)
            yield* MemoryStorage.crash(survivor)
            medium = survivor
          })
        }).pipe(Random.withSeed(name))
      })
    }
  })
}

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-kv-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const rocksDb = (directory: string) =>
  Effect.map(Layer.build(RocksDbStorage.layer({ directory })), (context) => Context.get(context, Storage.Storage))

describe("KvStateMachine over RocksDB", () => {
  for (const { name, run } of StateMachineContract.cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const base = yield* temporaryDirectory
        let number = 0
        const directory = () => Path.join(base, `store-${number}`)
        let others = 0
        yield* run({
          ...common,
          open: openMachine(Effect.suspend(() => rocksDb(directory()))),
          openOther: openMachine(Effect.suspend(() => rocksDb(Path.join(base, `other-${others++}`)))),
          crash: Effect.suspend(() => {
            const from = directory()
            number++
            return RocksDbCrash.crash(from, directory())
          })
        })
      }).pipe(Random.withSeed(name)))
  }

  it.live("stores the same rows as over memory, and reads the same", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      const memory = yield* MemoryStorage.makeOf(MemoryStorage.makeMedium())
      const rocks = yield* rocksDb(Path.join(base, "db"))
      const contexts = [yield* open(Effect.succeed(memory)), yield* open(Effect.succeed(rocks), 1000)]
      const everything = { from: new Uint8Array(0), to: Uint8Array.of(255), limit: 100_000 }
      const ops = [
        { key: bytes("key"), end: bytes("kez"), limit: 0, reverse: false },
        { key: bytes("key 3"), end: bytes("\0"), limit: 2, reverse: true },
        { key: bytes("key 1"), end: new Uint8Array(0), limit: 0, reverse: false }
      ]
      for (let first = 1; first < 300; first += 17) {
        const answers: Array<unknown> = []
        for (const context of contexts) {
          const machine = Context.get(context, StateMachine.StateMachine)
          const entries = Array.from({ length: 17 }, (_, i) => ({
            index: first + i,
            term: 1,
            kind: 1 as const,
            bytes: 0,
            data: common.command(first + i)
          }))
          const results = yield* machine.apply(entries, { head: bytes(String(first)), changes: () => [] })
          const reads = yield* Context.get(context, KvReader).read(ops)
          answers.push([results.map(hex), reads.map(readable)])
        }
        assert.deepStrictEqual(answers[1], answers[0])
      }
      for (const context of contexts) yield* Context.get(context, StateMachine.StateMachine).flush
      const rows = (storage: Storage.Storage["Service"]) =>
        Effect.map(storage.scan(everything), (found) =>
          found.map(({ key, value }) => [Buffer.from(key), Buffer.from(value)]))
      assert.deepStrictEqual(yield* rows(rocks), yield* rows(memory))
    }))
})
