/**
 * What applying a put costs, by batch size: `node libs/kv/bench/apply.ts`. The storage takes every write and keeps none, so that the figures are
 * those of the state machine alone; with `memory` as argument it is the memory layer, with `rocksdb` RocksDB in a temporary directory.
 */
import { Entry, EntryKind, StateMachine } from "@dkv/raft"
import { MemoryStorage, Storage } from "@dkv/storage"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { Console, Effect, Layer, Option } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Command from "../src/Command.ts"
import { KvReader, KvStateMachine } from "../src/index.ts"

const keys = 10_000
const puts = 200_000

const layerNone = Layer.succeed(Storage.Storage, {
  get: () => Effect.succeed(Option.none()),
  getMany: (keys) => Effect.succeed(keys.map(() => undefined)),
  scan: () => Effect.succeed([]),
  write: () => Effect.void,
  flush: Effect.void,
  snapshot: Effect.die("not here"),
  replace: Effect.die("not here"),
  sizeBytes: Effect.succeed(0)
})

const encoder = new TextEncoder()
const value = new Uint8Array(256).fill(7)
const names = Array.from({ length: keys }, (_, i) => encoder.encode(`bench/key/${String(i).padStart(8, "0")}`))
const commands = Array.from({ length: keys }, (_, i) => Command.encode({ _tag: "Put", key: names[i]!, value }))

const nanos = Effect.sync(() => process.hrtime.bigint())

const round = Effect.fnUntraced(function*(batch: number) {
  const machine = yield* StateMachine.StateMachine
  const head = new Uint8Array(64)
  const before = yield* nanos
  for (let done = 0; done < puts; done += batch) {
    const entries: Array<Entry.Entry> = []
    for (let i = 0; i < batch; i++) {
      entries.push(Entry.make(done + i + 1, 1, EntryKind.Command, commands[((done + i) * 7919) % keys]!))
    }
    yield* machine.apply(entries, { head, changes: () => [] })
  }
  yield* machine.flush
  return Number((yield* nanos) - before) / puts
})

const reads = Effect.fnUntraced(function*(batch: number) {
  const reader = yield* KvReader
  const ops = Array.from({ length: batch }, (_, i) => ({
    key: names[(i * 31) % keys]!,
    end: new Uint8Array(0),
    limit: 0,
    reverse: false
  }))
  const before = yield* nanos
  for (let done = 0; done < puts; done += batch) yield* reader.read(ops)
  return Number((yield* nanos) - before) / puts
})

const program = Effect.gen(function*() {
  yield* round(100)
  for (const batch of [1, 10, 100, 1000]) {
    yield* Console.log(`put, batches of ${batch}: ${(yield* round(batch)).toFixed(0)} ns`)
  }
  yield* reads(100)
  for (const batch of [1, 100]) {
    yield* Console.log(`get from memory, batches of ${batch}: ${(yield* reads(batch)).toFixed(0)} ns`)
  }
})

const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-bench-"))
const storages = { none: layerNone, memory: MemoryStorage.layer, rocksdb: RocksDbStorage.layer({ directory }) }
const layerStorage = storages[(process.argv[2] ?? "none") as keyof typeof storages]

await Effect.runPromise(
  program.pipe(
    Effect.provide(KvStateMachine.layer().pipe(Layer.provide(layerStorage))),
    Effect.ensuring(Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true })))
  )
)
