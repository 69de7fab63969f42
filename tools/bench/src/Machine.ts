/** What the figures were measured on, and with which versions. */
import { Effect, FileSystem } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { createRequire } from "node:module"
import * as Os from "node:os"
import * as EtcdCluster from "./clusters/EtcdCluster.ts"

const output = Effect.fnUntraced(function*(command: string, args: ReadonlyArray<string>) {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  return (yield* spawner.string(ChildProcess.make(command, args, { cwd: import.meta.dirname }))).trim()
}, Effect.orElseSucceed(() => ""))

const versionOf = Effect.fnUntraced(function*(packageFile: string) {
  const files = yield* FileSystem.FileSystem
  const require = createRequire(import.meta.url)
  const text = yield* files.readFileString(require.resolve(packageFile))
  return (JSON.parse(text) as { readonly version: string }).version
}, Effect.orElseSucceed(() => "unknown"))

/** The machine as it is now; `directory` tells which file system counts. */
export const describe = Effect.fnUntraced(function*(directory: string) {
  const processors = Os.cpus()
  const fileSystem = yield* output("stat", ["--file-system", "--format=%T", directory])
  return {
    processor: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memoryBytes: Os.totalmem(),
    system: `${Os.type()} ${Os.release()} ${Os.arch()}`,
    fileSystem: fileSystem === "" ? "unknown" : fileSystem,
    loadAverageBefore: Os.loadavg()[0] ?? 0
  }
})

/** Versions of everything that a figure depends on. A commit with a `+` behind it had changes that were not committed. */
export const versions = Effect.gen(function*() {
  const commit = yield* output("git", ["rev-parse", "HEAD"])
  const changes = yield* output("git", ["status", "--porcelain"])
  const etcd = yield* EtcdCluster.version.pipe(Effect.orElseSucceed(() => null))
  return {
    dkv: yield* versionOf("../package.json"),
    commit: commit === "" ? "unknown" : `${commit}${changes === "" ? "" : "+"}`,
    node: process.version,
    effect: yield* versionOf("effect/package.json"),
    rocksdbNative: yield* versionOf("rocksdb-native/package"),
    etcd
  }
})
