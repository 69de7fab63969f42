import type { LogStore } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option } from "effect"
import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Process from "node:process"
import * as AtomicFile from "../src/AtomicFile.ts"
import * as DataDirectory from "../src/DataDirectory.ts"
import { Disk } from "../src/Disk.ts"
import * as NodeDisk from "../src/NodeDisk.ts"
import { append, dump, failureOf, openLog, temporaryDirectory, withLog } from "./support.ts"

const nodeDisk = Effect.map(Layer.build(NodeDisk.layer), (context) => Context.get(context, Disk))
const modeOf = (path: string): number => Fs.statSync(path).mode & 0o777

/** Another process that holds the lock until it is killed. */
const holder = (path: string) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof spawn>>((resume) => {
      const script = `
        const { tryLock } = require("fs-native-extensions")
        const fs = require("fs")
        const fd = fs.openSync(${JSON.stringify(path)}, "a+")
        if (!tryLock(fd)) process.exit(9)
        fs.ftruncateSync(fd, 0)
        fs.writeSync(fd, process.pid + "\\n")
        console.log("held")
        setInterval(() => {}, 1000)`
      const child = spawn(Process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })
      child.stdout.once("data", () => resume(Effect.succeed(child)))
    }),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** A file system of two megabytes, where this process may mount one. */
const smallFileSystem = Effect.acquireRelease(
  Effect.flatMap(temporaryDirectory, (directory) =>
    Effect.sync(() => {
      try {
        execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", directory], { stdio: "ignore" })
        return Option.some(directory)
      } catch {
        return Option.none<string>()
      }
    })),
  (directory) => Effect.sync(() => Option.isSome(directory) && execFileSync("umount", [directory.value]))
)

describe("NodeDisk", () => {
  it.live("directories and files are private, and a directory that was not becomes so", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      const disk = yield* nodeDisk
      Fs.mkdirSync(`${base}/data`, { mode: 0o755 })
      yield* Effect.scoped(Effect.provideService(
        Effect.flatMap(DataDirectory.make({ path: `${base}/data/` }), ({ path }) =>
          AtomicFile.write(`${path}/small`, new Uint8Array(10))),
        Disk,
        disk
      ))
      yield* withLog(disk, (log) =>
        log.write([append(1, 1, 1)]), { directory: `${base}/data/log` })
      for (const path of ["", "/log"]) {
        assert.strictEqual(modeOf(`${base}/data${path}`), 0o700)
      }
      for (const path of ["LOCK", "FORMAT", "small", "log/LOCK", "log/00000000000000000001.log"]) {
        assert.strictEqual(modeOf(`${base}/data/${path}`), 0o600, path)
      }
    }))

  it.live("a directory that belongs to another user and may be written is used as it is, and a warning says so", () =>
    Effect.gen(function*() {
      // Only root can act as somebody else.
      if (Process.geteuid?.() !== 0) return
      const base = yield* temporaryDirectory
      const disk = yield* nodeDisk
      Fs.chmodSync(base, 0o755)
      Fs.mkdirSync(`${base}/data`)
      Fs.chmodSync(`${base}/data`, 0o2777)
      const warnings: Array<unknown> = []
      const logger = Logger.layer([Logger.make(({ message }) => void warnings.push(message))])
      const open = Effect.acquireUseRelease(
        Effect.sync(() => Process.seteuid!(65534)),
        () => Effect.scoped(Effect.provideService(DataDirectory.make({ path: `${base}/data` }), Disk, disk)),
        () => Effect.sync(() => Process.seteuid!(0))
      )
      yield* Effect.provide(open, logger)
      assert.match(String(warnings), /data belongs to another user, .*check who may see/)
      assert.strictEqual(modeOf(`${base}/data`), 0o777)
      assert.strictEqual(modeOf(`${base}/data/FORMAT`), 0o600)
    }))

  it.live("a directory that another process has open is refused with its process id, until that one is killed", () =>
    Effect.gen(function*() {
      const path = `${yield* temporaryDirectory}/data`
      const disk = yield* nodeDisk
      Fs.mkdirSync(path)
      const open = Effect.scoped(Effect.provideService(DataDirectory.make({ path }), Disk, disk))
      const child = yield* holder(`${path}/LOCK`)
      const error = yield* failureOf(open)
      assert.strictEqual((error as DataDirectory.DataDirectoryError).reason, "Locked")
      assert.include((error as DataDirectory.DataDirectoryError).message, `in use by process ${child.pid}`)
      yield* Effect.callback<void>((resume) => {
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
      yield* open
    }))

  it.live("a path that is a file, or lies below one, is an error and no crash", () =>
    Effect.gen(function*() {
      const base = yield* temporaryDirectory
      const disk = yield* nodeDisk
      Fs.writeFileSync(`${base}/file`, "x")
      for (const path of [`${base}/file`, `${base}/file/below`]) {
        const error = yield* failureOf(Effect.scoped(Effect.provideService(DataDirectory.make({ path }), Disk, disk)))
        assert.include((error as DataDirectory.DataDirectoryError).message, path)
      }
    }))

  it.live("a full file system fails the write with Full, and the log opens again with all that was acknowledged", () =>
    Effect.gen(function*() {
      const mounted = yield* smallFileSystem
      // Where nothing may be mounted, the same rule is tested over MemoryDisk.
      if (Option.isNone(mounted)) return
      const disk = yield* nodeDisk
      const options = { directory: `${mounted.value}/log`, segmentBytes: 600_000 }
      let acknowledged = 0
      yield* Effect.scoped(Effect.gen(function*() {
        const log = yield* openLog(disk, options)
        while (true) {
          const result = yield* Effect.exit(log.write([append(acknowledged + 1, acknowledged + 50, 1, 1000)]))
          if (result._tag === "Failure") break
          acknowledged += 50
        }
        const error = yield* failureOf(log.write([append(acknowledged + 1, acknowledged + 1, 1)]))
        assert.strictEqual(error.reason, "Full")
        assert.include(error.message, "no space left")
      }))
      assert.isAbove(acknowledged, 500)
      const again = yield* failureOf(
        withLog(disk, (log) => log.write([append(acknowledged + 1, acknowledged + 2000, 1, 1000)]), options)
      )
      assert.strictEqual((again as LogStore.LogStoreError).reason, "Full")
      execFileSync("mount", ["-o", "remount,size=8m", mounted.value])
      const entries = yield* withLog(disk, (log) =>
        Effect.gen(function*() {
          const entries = yield* dump(log)
          yield* log.write([append(acknowledged + 1, acknowledged + 50, 1, 1000)])
          return entries
        }), options)
      assert.strictEqual(entries.length, acknowledged)
    }))
})
