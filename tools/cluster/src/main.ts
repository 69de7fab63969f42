/** `npm start`: a real cluster of local processes, watched and restarted until Ctrl-C. */
import { NodeDisk } from "@dkv/storage/node"
import { NodeServices } from "@effect/platform-node"
import { Clock, Console, Effect, Layer, Queue, Runtime } from "effect"
import { Command, Flag } from "effect/cli"
import { dirname, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import * as ClientProbe from "./ClientProbe.ts"
import * as Cluster from "./Cluster.ts"
import * as Limits from "./Limits.ts"
import * as Plan from "./Plan.ts"
import { Ports } from "./Ports.ts"
import { Processes } from "./Processes.ts"
import { Output } from "./Screen.ts"

const workspace = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))

const flags = {
  nodes: Flag.Int("nodes").pipe(
    Flag.withDescription(`How many members, 1 to ${Limits.nodesMax} (default: 3)`),
    Flag.withDefault(3)
  ),
  dataDir: Flag.String("data-dir").pipe(
    Flag.withDescription("Where the members keep their data and logs (default: .data in the clone)"),
    Flag.withDefault(`${workspace}/.data`)
  ),
  clientPort: Flag.Int("client-port").pipe(
    Flag.withDescription("Client port of the first member; the others follow (default: 3000)"),
    Flag.withDefault(3000)
  ),
  peerPort: Flag.Int("peer-port").pipe(
    Flag.withDescription("Peer port of the first member; the others follow (default: 2380)"),
    Flag.withDefault(2380)
  )
}

const command = Command.make(
  "npm start --",
  flags,
  Effect.fnUntraced(function*(options) {
    const plan = Plan.make({ ...options, dataDir: resolve(process.env.INIT_CWD ?? process.cwd(), options.dataDir) })
    if (plan instanceof Plan.ClusterError) return yield* plan
    yield* Effect.scoped(Cluster.run(plan, {
      command: process.execPath,
      args: [`${workspace}/apps/node/bin/dkv.mjs`]
    }))
  })
).pipe(
  Command.withDescription(
    "Runs a cluster of local dkv processes: starts them, restarts those that die, shows who leads, and stops all on Ctrl-C. The next start goes on with the same data."
  ),
  Command.withExamples([
    { command: "npm start", description: "Three members, client ports 3000 to 3002, data under .data" },
    { command: "npm start -- --nodes 5 --data-dir /tmp/five", description: "Five members elsewhere" }
  ])
)

/** SIGINT, SIGTERM and SIGHUP ask to stop, and so does the end of npm: it passes its signals to a shell that does not pass them on. */
const layerStop = Layer.effect(
  Cluster.Stop,
  Effect.gen(function*() {
    const names = { SIGINT: "Ctrl-C", SIGTERM: "SIGTERM", SIGHUP: "the terminal is gone" } as const
    const signals = yield* Queue.sliding<string>(Limits.eventsMax)
    for (const [name, words] of Object.entries(names)) {
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const listener = () => void Queue.offerUnsafe(signals, words)
          process.on(name, listener)
          return listener
        }),
        (listener) => Effect.sync(() => process.off(name, listener))
      )
    }
    const signal = Queue.take(signals)
    const parent = process.ppid
    const orphaned = Effect.sleep(Limits.parentIntervalMillis).pipe(
      Effect.repeat({ until: () => process.ppid !== parent }),
      Effect.as("npm has ended")
    )
    let firstAt = 0
    return Cluster.Stop.of({
      asked: Effect.tap(
        process.env.npm_lifecycle_event === undefined ? signal : Effect.raceFirst(signal, orphaned),
        () =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            firstAt = now
          })
      ),
      again: Effect.repeat(Effect.andThen(signal, Clock.currentTimeMillis), {
        until: (now) => now - firstAt >= Limits.secondSignalMillis
      }).pipe(Effect.asVoid)
    })
  })
)

/** Signals mean an orderly stop here, so nothing but the program itself ends the main fiber. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  fiber.addObserver((exit) => teardown(exit, (code) => process.exit(code === 0 ? process.exitCode : code)))
})

Command.run(command, { version: "0.1.0" }).pipe(
  Effect.catchTag("ClusterError", (error) =>
    Effect.andThen(
      Console.error(error.message),
      Effect.sync(() => {
        process.exitCode = 1
      })
    )),
  Effect.provide([
    NodeServices.layer,
    NodeDisk.layer,
    Ports.layerNode,
    Processes.layerNode,
    Output.layerNode,
    ClientProbe.layer,
    layerStop
  ]),
  runMain
)
