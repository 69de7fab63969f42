/**
 * A crash of the machine while RocksDB has two write-ahead logs: the end of the older one may be missing where the newer one is there. RocksDB takes a log that ends between
 * two records for whole, and would open with a gap.
 */
import { Limits, Storage } from "@dkv/storage"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-logs-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const key = (number: number) => new TextEncoder().encode(`k${String(number).padStart(6, "0")}`)

const open = (directory: string) =>
  Effect.map(
    Layer.build(RocksDbStorage.layer({ directory })),
    (context) => Context.get(context, Storage.Storage)
  )

const write = (storage: Storage.Storage["Service"], number: number) =>
  storage.write([{ _tag: "Put", key: key(number), value: key(number) }])

const logsOf = (directory: string): ReadonlyArray<string> => {
  const database = Path.join(directory, Fs.readFileSync(Path.join(directory, "current"), "utf8").trim())
  return Fs.readdirSync(database).filter((name) => /^\d+\.log$/.test(name)).sort().map((name) =>
    Path.join(database, name)
  )
}

const newestLog = (directory: string): string => logsOf(directory).at(-1)!

/** How many of the batches 1 to `count` are there, if they are the first ones. */
const prefixOf = Effect.fnUntraced(function*(storage: Storage.Storage["Service"], count: number) {
  const values = yield* storage.getMany(Array.from({ length: count }, (_, at) => key(at + 1)))
  const present = values.filter((value) => value !== undefined).length
  assert.isTrue(values.slice(0, present).every((value) => value !== undefined), "a prefix")
  return present
})

describe("RocksDB with two logs", () => {
  it.live("opens with a prefix or not at all, wherever the older one ends", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      const [present, crashed, cut] = ["present", "crashed", "cut"].map((name) => Path.join(base, name)) as [
        string,
        string,
        string
      ]
      const [older, all] = [12, 20]
      const ends: Array<number> = []
      let olderName = ""
      yield* Effect.scoped(Effect.gen(function*() {
        const storage = yield* open(present)
        olderName = Path.basename(newestLog(present))
        for (let number = 1; number <= older; number++) {
          yield* write(storage, number)
          ends.push(Fs.statSync(newestLog(present)).size)
        }
        Fs.cpSync(present, crashed, { recursive: true })
        yield* storage.flush
        for (let number = older + 1; number <= all; number++) yield* write(storage, number)
        const newer = newestLog(present)
        assert.notStrictEqual(Path.basename(newer), olderName)
        Fs.copyFileSync(newer, Path.join(Path.dirname(newestLog(crashed)), Path.basename(newer)))
      }))
      const outcome = Effect.fnUntraced(function*(bytes: number) {
        Fs.rmSync(cut, { recursive: true, force: true })
        Fs.cpSync(crashed, cut, { recursive: true })
        Fs.truncateSync(logsOf(cut).find((path) => Path.basename(path) === olderName)!, bytes)
        return yield* Effect.scoped(Effect.flatMap(open(cut), (storage) => prefixOf(storage, all))).pipe(
          Effect.catch(({ message, reason }) => {
            assert.strictEqual(reason, "Corrupt", message)
            return Effect.succeed(message)
          })
        )
      })
      assert.strictEqual(yield* outcome(ends.at(-1)!), all)
      for (const [at, end] of ends.slice(0, -1).entries()) {
        assert.match(
          String(yield* outcome(end)),
          new RegExp(`batch ${at + 2} is missing, though batch ${all} is there`)
        )
        assert.strictEqual(yield* outcome(end + 3), at + 1, "RocksDB itself sees a record that is cut")
      }
    }))

  it.live("never has more batches without a flush than the ring of their numbers has room for", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const storage = yield* open(directory)
      const first = newestLog(directory)
      for (let number = 1; number < Limits.ringBatches; number++) yield* write(storage, number)
      assert.strictEqual(newestLog(directory), first)
      yield* write(storage, Limits.ringBatches)
      assert.notStrictEqual(newestLog(directory), first)
    }).pipe(Effect.scoped))
})
