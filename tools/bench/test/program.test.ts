import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Option, Schema } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { fileURLToPath } from "node:url"
import * as DkvCluster from "../src/clusters/DkvCluster.ts"
import * as EtcdCluster from "../src/clusters/EtcdCluster.ts"
import { keys } from "../src/Limits.ts"
import * as Generator from "../src/load/Generator.ts"
import * as Report from "../src/Report.ts"

const program = fileURLToPath(new URL("../src/main.ts", import.meta.url))

const bench = (...args: ReadonlyArray<string>) => ChildProcess.make(process.execPath, [program, ...args])

describe("npm run bench", () => {
  it.live("prints a table per row and writes a report that can be read again", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
      const directory = yield* files.makeTempDirectoryScoped({ prefix: "dkv-bench-test-" })
      const json = `${directory}/report.json`
      const output = yield* spawner.string(
        bench("--only", "core", "--rounds", "2", "--seconds", "0.05", "--warmup", "0", "--json", json)
      )
      assert.include(output, "three cores, 1000 in flight")
      const report = yield* Schema.decodeEffect(Report.Json)(yield* files.readFileString(json))
      const [row] = report.rows
      assert.isTrue(row?._tag === "Series" && row.series.every(({ figure }) => figure.values.length === 2))
      assert.strictEqual(report.versions.node, process.version)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("refuses a row that does not exist, naming those that do", () =>
    Effect.gen(function*() {
      const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
      const output = yield* spawner.string(bench("--only", "core,speed"), { includeStderr: true })
      assert.include(output, "memory-cluster")
      assert.include(output, "not speed")
      assert.notStrictEqual(yield* spawner.exitCode(bench("--only", "core,speed")), 0)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("a system that is not installed", () => {
  it.live("is missing, with the command that installs it", () =>
    Effect.gen(function*() {
      const path = process.env.PATH
      yield* Effect.acquireRelease(
        Effect.sync(() => process.env.PATH = "/nowhere"),
        () => Effect.sync(() => process.env.PATH = path)
      )
      const missing = yield* Effect.flip(EtcdCluster.version)
      assert.strictEqual(missing._tag, "Missing")
      assert.include(missing.message, "apt-get install etcd-server")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("the load on a dkv cluster", () => {
  it.live("makes exactly the changes that it counts as answered", () =>
    Effect.gen(function*() {
      const files = yield* FileSystem.FileSystem
      const directory = yield* files.makeTempDirectoryScoped({ prefix: "dkv-bench-test-" })
      const cluster = yield* DkvCluster.start(directory)
      const generator = yield* Generator.start(
        { system: "dkv", endpoints: cluster.endpoints, dkvClients: 1, etcdClient: "raw" },
        `${directory}/generator.log`
      )
      const revision = Option.getOrThrow(cluster.revision)
      const before = yield* revision
      yield* generator.fill
      assert.strictEqual(yield* revision, before + keys)
      const read = yield* generator.measure({
        operation: "get",
        callers: 10,
        connections: 1,
        warmupMillis: 0,
        measureMillis: 100,
        pids: cluster.members.map((member) => member.pid)
      })
      assert.isAbove(read.calls, 0)
      assert.strictEqual(read.cpuSeconds.length, 3)
      assert.strictEqual(yield* revision, before + keys)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 120_000)
})
