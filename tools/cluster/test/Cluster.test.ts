import { Disk } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Option } from "effect"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import type { MemberStatus } from "../src/Board.ts"
import * as Plan from "../src/Plan.ts"
import { Ports } from "../src/Ports.ts"
import { Processes } from "../src/Processes.ts"
import { StatusProbe } from "../src/StatusProbe.ts"
import { makePlan, start, temporaryDirectory } from "./Runner.ts"

const program = { command: process.execPath, args: [fileURLToPath(new URL("fakeDkv.mjs", import.meta.url))] }

const layerProbe = Layer.succeed(
  StatusProbe,
  StatusProbe.of({
    ask: (member) =>
      Effect.callback<Option.Option<MemberStatus>>((resume) => {
        let text = ""
        const socket = Net.connect(member.clientPort, "127.0.0.1")
        socket.on("data", (data) => (text += data))
        socket.on("error", () => resume(Effect.succeedNone))
        socket.on("close", () => resume(Effect.succeed(text === "" ? Option.none() : Option.some(JSON.parse(text)))))
        return Effect.sync(() => socket.destroy())
      })
  })
)

const layerSystem = Layer.mergeAll(NodeServices.layer, NodeDisk.layer, Ports.layerNode, Processes.layerNode, layerProbe)

const listenOn = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer()
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const listen = listenOn(0)

const portOf = (server: Net.Server): number => (server.address() as Net.AddressInfo).port

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

const names = ["dkv-0", "dkv-1", "dkv-2"]

/** The processes that the next runner would find, should this one be killed. */
const runningOf = Effect.fnUntraced(function*(plan: Plan.Plan) {
  const fs = yield* FileSystem.FileSystem
  return JSON.parse(yield* fs.readFileString(`${plan.options.dataDir}/cluster.running.json`))
})

describe("Cluster", () => {
  it.live("it says when all are voters, restarts a killed member, and stops all when asked", () =>
    Effect.gen(function*() {
      const plan = yield* makePlan(yield* temporaryDirectory)
      const runner = yield* start(plan, program)
      yield* runner.says(/Ready\. Try/)
      assert.match(runner.text(), new RegExp(`npx dkvctl --endpoint=127.0.0.1:${plan.members[0]!.clientPort} set`))
      const killed = Number((yield* runner.says(/dkv-1 started as process (\d+)/))[1])
      process.kill(killed, "SIGKILL")
      yield* runner.says(new RegExp(`dkv-1 is down: process ${killed} was ended by SIGKILL; next start in 0.5 s`))
      yield* runner.says(/dkv-1 started as process [^]*dkv-1 started as process/)
      const running = yield* runningOf(plan)
      assert.deepStrictEqual(running, Object.fromEntries(names.map((name) => [name, runner.pidOf(name)])))
      yield* runner.stop
      assert.deepStrictEqual(yield* runningOf(plan), {})
      const pids = [...runner.text().matchAll(/started as process (\d+)/g)].map((match) => Number(match[1]))
      assert.strictEqual(pids.length, 4)
      assert.deepStrictEqual(pids.filter(isAlive), [])
      for (const name of names) assert.match(runner.text(), new RegExp(`${name} .* stopped`))
    }).pipe(Effect.provide(layerSystem), Effect.scoped))

  it.live("a second runner on the same directory is refused with the process that holds it", () =>
    Effect.gen(function*() {
      const dataDir = yield* temporaryDirectory
      const runner = yield* start(yield* makePlan(dataDir, { nodes: 1 }), program)
      yield* runner.says(/Ready/)
      const second = yield* start(yield* makePlan(dataDir, { nodes: 1 }), program)
      const error = yield* Effect.flip(Fiber.join(second.fiber))
      assert.strictEqual(
        error.message,
        `${dataDir} is in use by process ${process.pid}, another \`npm start\`: end that one, or choose another directory with --data-dir`
      )
      yield* runner.stop
    }).pipe(Effect.provide(layerSystem), Effect.scoped))

  it.live("a member's directory that a program started by hand holds is refused with that process", () =>
    Effect.gen(function*() {
      const plan = yield* makePlan(yield* temporaryDirectory, { nodes: 1 })
      const fs = yield* FileSystem.FileSystem
      const disk = yield* Disk.Disk
      const { dataDir } = plan.members[0]!
      yield* fs.makeDirectory(dataDir)
      yield* disk.lock(`${dataDir}/LOCK`)
      const error = yield* Effect.flip(Fiber.join((yield* start(plan, program)).fiber))
      assert.strictEqual(
        error.message,
        `${dataDir} is in use by process ${process.pid}: end that one, or choose another directory with --data-dir`
      )
    }).pipe(Effect.provide(layerSystem), Effect.scoped))

  it.live("members left by a runner that was killed are stopped by the next one", () =>
    Effect.gen(function*() {
      const plan = yield* makePlan(yield* temporaryDirectory, { nodes: 1 })
      const processes = yield* Processes
      const fs = yield* FileSystem.FileSystem
      yield* fs.makeDirectory(`${plan.options.dataDir}/logs`)
      const left = yield* processes.spawn({
        command: program.command,
        args: [...program.args, ...Plan.argumentsFor(plan, plan.members[0]!)],
        logFile: plan.members[0]!.logFile
      })
      yield* fs.writeFileString(`${plan.options.dataDir}/cluster.running.json`, JSON.stringify({ "dkv-0": left.pid }))
      const runner = yield* start(plan, program)
      yield* runner.says(new RegExp(`dkv-0 still runs as process ${left.pid}, left by`))
      yield* left.ended
      yield* runner.says(/Ready/)
      yield* runner.stop
    }).pipe(Effect.provide(layerSystem), Effect.scoped))

  it.live("a noted process id that now belongs to another program is left alone", () =>
    Effect.gen(function*() {
      const plan = yield* makePlan(yield* temporaryDirectory, { nodes: 1 })
      const fs = yield* FileSystem.FileSystem
      yield* fs.writeFileString(
        `${plan.options.dataDir}/cluster.running.json`,
        JSON.stringify({ "dkv-0": process.pid })
      )
      const runner = yield* start(plan, program)
      yield* runner.says(/Ready/)
      assert.notMatch(runner.text(), /still runs/)
      yield* runner.stop
    }).pipe(Effect.provide(layerSystem), Effect.scoped))

  it.live("a taken port is named with the flag that moves it, and nothing is started", () =>
    Effect.gen(function*() {
      const taken = portOf(yield* listen)
      const plan = yield* makePlan(yield* temporaryDirectory, { nodes: 1, clientPort: taken })
      const runner = yield* start(plan, program)
      const error = yield* Effect.flip(Fiber.join(runner.fiber))
      assert.strictEqual(
        error.message,
        `port ${taken} is taken by another program: end that program, or start on other ports, for example \`npm start -- --client-port ${
          taken + 1000
        }\``
      )
      assert.notMatch(runner.text(), /started as process/)
    }).pipe(Effect.provide(layerSystem), Effect.scoped))

  it.live("what is recommended for a taken peer port works, and for a cluster that has been founded no other port is", () =>
    Effect.gen(function*() {
      const dataDir = yield* temporaryDirectory
      const taken = portOf(yield* listen)
      const refused = yield* start(yield* makePlan(dataDir, { nodes: 1, peerPort: taken }), program)
      assert.match(
        (yield* Effect.flip(Fiber.join(refused.fiber))).message,
        new RegExp(`^port ${taken} is taken by another program: .*npm start -- --peer-port ${taken + 1000}`)
      )
      const plan = yield* makePlan(dataDir, { nodes: 1 })
      const first = yield* start(plan, program)
      yield* first.says(/Ready/)
      yield* first.stop
      yield* listenOn(plan.options.peerPort)
      const second = yield* start(plan, program)
      assert.match(
        (yield* Effect.flip(Fiber.join(second.fiber))).message,
        new RegExp(`^port ${plan.options.peerPort} is taken by another program: .* know each other by their peer ports`)
      )
    }).pipe(Effect.provide(layerSystem), Effect.scoped))

  it.live("a directory that holds a cluster of another size is refused", () =>
    Effect.gen(function*() {
      const dataDir = yield* temporaryDirectory
      const plan = yield* makePlan(dataDir, { nodes: 1 })
      const first = yield* start(plan, program)
      yield* first.says(/Ready/)
      yield* first.stop
      const second = yield* start(yield* makePlan(dataDir, { peerPort: plan.options.peerPort }), program)
      const error = yield* Effect.flip(Fiber.join(second.fiber))
      assert.match(error.message, /holds a cluster started with --nodes 1 --peer-port \d+: start it so, or choose/)
    }).pipe(Effect.provide(layerSystem), Effect.scoped))
})
