import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as RocksDbStorage from "../src/RocksDbStorage.ts"
import { Storage, type StorageError } from "../src/Storage.ts"
import { failureOf, temporaryDirectory } from "./support.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const open = (directory: string) =>
  Effect.map(Layer.build(RocksDbStorage.layer({ directory })), (context) => Context.get(context, Storage))
const withStorage = <A, E>(directory: string, use: (storage: Storage["Service"]) => Effect.Effect<A, E>) =>
  Effect.scoped(Effect.flatMap(open(directory), use))
const put = (key: string, value: string) => ({ _tag: "Put", key: bytes(key), value: bytes(value) } as const)
const get = (storage: Storage["Service"], key: string) =>
  Effect.map(
    storage.get(bytes(key)),
    Option.match({ onNone: () => undefined, onSome: (value) => new TextDecoder().decode(value) })
  )
const refusal = (directory: string) =>
  Effect.map(
    failureOf(withStorage(directory, (storage) => storage.scan({ from: bytes(""), to: bytes("~"), limit: 1_000_000 }))),
    (error) => error as StorageError
  )

describe("RocksDbStorage", () => {
  it.live("a directory that is open already is refused with Locked and the process that has it", () =>
    Effect.gen(function*() {
      const directory = `${yield* temporaryDirectory}/state`
      yield* open(directory)
      const error = yield* refusal(directory)
      assert.strictEqual(error.reason, "Locked")
      assert.include(error.message, String(process.pid))
    }))

  it.live("a directory that holds something else is refused and left alone", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      Fs.writeFileSync(`${directory}/notes.txt`, "mine")
      assert.strictEqual((yield* refusal(directory)).reason, "Foreign")
      assert.strictEqual(Fs.readFileSync(`${directory}/notes.txt`, "utf8"), "mine")
    }))

  it.live("a database that is gone is Corrupt, and not a new empty one", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(directory, (storage) => storage.write([put("a", "1")]))
      Fs.rmSync(`${directory}/000001`, { recursive: true })
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
    }))

  for (const damage of ["CURRENT", "MANIFEST"]) {
    it.live(`a database without its ${damage} is Corrupt`, () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        yield* withStorage(directory, (storage) => storage.write([put("a", "1")]))
        const name = Fs.readdirSync(`${directory}/000001`).find((name) => name.startsWith(damage))!
        Fs.rmSync(`${directory}/000001/${name}`)
        assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
      }))
  }

  it.live("rot in a table is reported as Corrupt when it is read, and never returned", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(directory, (storage) =>
        Effect.andThen(
          storage.write(Array.from({ length: 2000 }, (_, at) => put(`key${at}`, `value ${at}`))),
          storage.flush
        ))
      const table = Fs.readdirSync(`${directory}/000001`).find((name) => name.endsWith(".sst"))!
      const content = Fs.readFileSync(`${directory}/000001/${table}`)
      content.fill(0x55, 5000, 5008)
      Fs.writeFileSync(`${directory}/000001/${table}`, content)
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
    }))

  it.live("rot in the file of a large row is reported as Corrupt when it is read, and never returned", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const large = "x".repeat(10_000)
      yield* withStorage(directory, (storage) =>
        Effect.andThen(
          storage.write([put("a", large), put("b", "small"), put("c", large)]),
          storage.flush
        ))
      const file = Fs.readdirSync(`${directory}/000001`).find((name) => name.endsWith(".blob"))!
      const content = Fs.readFileSync(`${directory}/000001/${file}`)
      content.fill(0x55, 15_000, 15_008)
      Fs.writeFileSync(`${directory}/000001/${file}`, content)
      yield* withStorage(directory, (storage) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* get(storage, "a"), large)
          assert.strictEqual(yield* get(storage, "b"), "small")
          const error = yield* Effect.flip(storage.get(bytes("c")))
          assert.strictEqual(error.reason, "Corrupt")
          assert.strictEqual((yield* Effect.flip(storage.getMany([bytes("b"), bytes("c")]))).reason, "Corrupt")
        }))
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
      Fs.rmSync(`${directory}/000001/${file}`)
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
    }))

  it.live("a pointer that names no database is Corrupt", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(directory, () => Effect.void)
      Fs.writeFileSync(`${directory}/current`, "garbage")
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
    }))

  it.live("a first start that was cut off is completed, at whatever point that was", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      Fs.mkdirSync(`${directory}/000001`)
      Fs.writeFileSync(`${directory}/000001/MANIFEST-000001`, "half made")
      yield* withStorage(directory, (storage) => storage.write([put("a", "1")]))
      Fs.rmSync(`${directory}/current`)
      yield* withStorage(
        directory,
        (storage) => Effect.map(get(storage, "a"), (value) => assert.strictEqual(value, "1"))
      )
      assert.strictEqual(Fs.readFileSync(`${directory}/current`, "utf8"), "000001\n")
    }))

  it.live("a missing pointer is Corrupt and removes nothing, unless only the first database is there", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(directory, (storage) =>
        Effect.scoped(Effect.gen(function*() {
          const replacement = yield* storage.replace
          yield* replacement.put([{ key: bytes("a"), value: bytes("1") }])
          yield* replacement.commit
        })))
      Fs.rmSync(`${directory}/current`)
      assert.deepInclude(yield* refusal(directory), {
        reason: "Corrupt",
        message: `${directory} lacks current, which says which of 000002 is in use: nothing was removed`
      })
      Fs.writeFileSync(`${directory}/current`, "000002\n")
      yield* withStorage(
        directory,
        (storage) => Effect.map(get(storage, "a"), (value) => assert.strictEqual(value, "1"))
      )
    }))

  it.live("a first database with rows is not made anew where both pointers to it are missing", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(directory, (storage) => Effect.andThen(storage.write([put("a", "1")]), storage.flush))
      Fs.rmSync(`${directory}/current`)
      Fs.renameSync(`${directory}/000001/CURRENT`, `${directory}/000001/aside`)
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
      Fs.renameSync(`${directory}/000001/aside`, `${directory}/000001/CURRENT`)
      yield* withStorage(
        directory,
        (storage) => Effect.map(get(storage, "a"), (value) => assert.strictEqual(value, "1"))
      )
    }))

  it.live("what a replacement left behind is removed on start, old logs too", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(directory, (storage) => storage.write([put("a", "1")]))
      Fs.mkdirSync(`${directory}/000007`)
      Fs.writeFileSync(`${directory}/000001/LOG.old.1234`, "")
      yield* withStorage(
        directory,
        Effect.fnUntraced(function*(storage) {
          assert.strictEqual(yield* get(storage, "a"), "1")
          assert.deepStrictEqual(Fs.readdirSync(directory).sort(), ["000001", "LOCK", "current"])
          assert.notInclude(Fs.readdirSync(`${directory}/000001`), "LOG.old.1234")
        })
      )
    }))

  it.live("nothing is removed while the database that is in use cannot be opened", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(directory, (storage) => storage.write([put("a", "1")]))
      Fs.mkdirSync(`${directory}/000007`)
      Fs.renameSync(`${directory}/000001/CURRENT`, `${directory}/000001/aside`)
      assert.strictEqual((yield* refusal(directory)).reason, "Corrupt")
      assert.isTrue(Fs.existsSync(`${directory}/000007`))
      Fs.renameSync(`${directory}/000001/aside`, `${directory}/000001/CURRENT`)
      yield* withStorage(directory, () => Effect.void)
      assert.isFalse(Fs.existsSync(`${directory}/000007`))
    }))

  it.live("the database that was replaced is removed once its last snapshot is gone", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      yield* withStorage(
        directory,
        Effect.fnUntraced(function*(storage) {
          yield* storage.write([put("a", "old")])
          yield* Effect.scoped(Effect.gen(function*() {
            const view = yield* storage.snapshot
            yield* Effect.scoped(Effect.gen(function*() {
              const replacement = yield* storage.replace
              yield* replacement.put([{ key: bytes("a"), value: bytes("new") }])
              yield* replacement.commit
            }))
            assert.isTrue(Fs.existsSync(`${directory}/000001`))
            assert.isTrue(Option.isSome(yield* view.get(bytes("a"))))
          }))
          assert.isFalse(Fs.existsSync(`${directory}/000001`))
          assert.strictEqual(yield* get(storage, "a"), "new")
        })
      )
    }))

  it.live("closing waits for a scan that is under way", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const scan = yield* withStorage(
        directory,
        Effect.fnUntraced(function*(storage) {
          yield* storage.write(Array.from({ length: 20_000 }, (_, at) => put(`key${at}`, "value")))
          return yield* Effect.forkDetach(
            Effect.exit(storage.scan({ from: bytes("a"), to: bytes("z"), limit: 20_000 })),
            { startImmediately: true }
          )
        })
      )
      yield* Effect.scoped(open(directory))
      assert.isDefined(scan.pollUnsafe())
    }))

  it.live("a full file system fails the write with Full, and what was acknowledged is there afterwards", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      // Where nothing may be mounted, no small file system can be had.
      const mounted = yield* Effect.acquireRelease(
        Effect.sync(() => {
          try {
            execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", base], { stdio: "ignore" })
            return true
          } catch {
            return false
          }
        }),
        (mounted) => Effect.sync(() => mounted && execFileSync("umount", [base]))
      )
      if (!mounted) return
      let acknowledged = 0
      yield* withStorage(
        base,
        Effect.fnUntraced(function*(storage) {
          while (true) {
            const exit = yield* Effect.exit(
              storage.write([put(`key${String(acknowledged + 1).padStart(6, "0")}`, "x".repeat(50_000))])
            )
            if (exit._tag === "Failure") break
            acknowledged++
          }
          assert.strictEqual((yield* failureOf(storage.write([put("more", "x")]))).reason, "Full")
        })
      )
      assert.isAbove(acknowledged, 20)
      execFileSync("mount", ["-o", "remount,size=16m", base])
      const rows = yield* withStorage(
        base,
        (storage) => storage.scan({ from: bytes("key"), to: bytes("kez"), limit: 10_000 })
      )
      assert.isAtLeast(rows.length, acknowledged)
    }))
})
