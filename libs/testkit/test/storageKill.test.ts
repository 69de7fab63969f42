import { LogStore } from "@dkv/raft"
import { SegmentLog, Storage } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Process from "node:process"
import { entryOf, keyOf, numberOf } from "./storageWritten.ts"

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-kill-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

/** Runs the writing process, kills it with SIGKILL after it has acknowledged `lines` writes, and gives the last thing it said. */
const killAfter = (what: "log" | "storage", directory: string, lines: number): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const child = spawn(Process.execPath, [Path.join(import.meta.dirname, "storageWriter.ts"), what, directory], {
      stdio: ["ignore", "pipe", "pipe"]
    })
    let said = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text
      if (said.split("\n").length > lines) child.kill("SIGKILL")
    })
    let complaint = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text))
    child.once(
      "close",
      (code, signal) =>
        resume(
          signal === "SIGKILL"
            ? Effect.succeed(said.slice(0, said.lastIndexOf("\n")).split("\n").at(-1)!)
            : Effect.die(new Error(`exit ${code}: ${complaint}`))
        )
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe("kill -9", () => {
  it.live(
    "a log that is killed in the middle of writing, again and again, opens with everything acknowledged",
    () =>
      Effect.gen(function*() {
        const directory = `${yield* temporaryDirectory}/log`
        for (const lines of [3, 40, 200, 1, 90, 301]) {
          const [index, term] = (yield* killAfter("log", directory, lines)).split(" ").map(Number)
          yield* Effect.scoped(Effect.gen(function*() {
            const context = yield* Layer.build(
              SegmentLog.layer({ directory, mustExist: true }).pipe(Layer.provide(NodeDisk.layer))
            )
            const log = Context.get(context, LogStore.LogStore)
            assert.isAtLeast(log.recovered.lastIndex, index!)
            assert.isAtLeast(log.recovered.hardState.term, term!)
            let next = log.recovered.previousIndex + 1
            while (next <= log.recovered.lastIndex) {
              for (const entry of yield* log.read(next, log.recovered.lastIndex, 100_000)) {
                assert.strictEqual(Buffer.compare(entry.data, entryOf(entry.index).data), 0, `entry ${entry.index}`)
                assert.strictEqual(entry.index, next++)
              }
            }
          }))
        }
      }),
    60_000
  )

  it.live(
    "a storage that is killed in the middle of writing, again and again, opens with a prefix that has everything written",
    () =>
      Effect.gen(function*() {
        const directory = `${yield* temporaryDirectory}/state`
        for (const lines of [1, 150, 600, 30, 1000]) {
          const written = Number(yield* killAfter("storage", directory, lines))
          yield* Effect.scoped(Effect.gen(function*() {
            const context = yield* Layer.build(RocksDbStorage.layer({ directory }))
            const storage = Context.get(context, Storage.Storage)
            const count = Option.match(yield* storage.get(keyOf("count")), { onNone: () => 0, onSome: numberOf })
            assert.isAtLeast(count, written)
            const values = yield* storage.getMany(Array.from({ length: 50 }, (_, key) => keyOf(key)))
            for (let key = 0; key < 50; key++) {
              const last = count - ((count - key) % 50 + 50) % 50
              const value = values[key]
              assert.strictEqual(value === undefined ? 0 : numberOf(value), Math.max(0, last), `key ${key} of ${count}`)
            }
          }))
        }
      }),
    60_000
  )
})
