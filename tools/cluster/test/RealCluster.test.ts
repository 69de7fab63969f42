import { Client } from "@dkv/client"
import { NodeDisk } from "@dkv/storage/node"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Option } from "effect"
import { fileURLToPath } from "node:url"
import * as ClientProbe from "../src/ClientProbe.ts"
import * as Plan from "../src/Plan.ts"
import { Ports } from "../src/Ports.ts"
import { Processes } from "../src/Processes.ts"
import { makePlan, start, temporaryDirectory } from "./Runner.ts"

const program = {
  command: process.execPath,
  args: [fileURLToPath(new URL("../../../apps/node/bin/dkv.mjs", import.meta.url))]
}

const layer = Layer.mergeAll(
  NodeServices.layer,
  NodeDisk.layer,
  Ports.layerNode,
  Processes.layerNode,
  ClientProbe.layer
)

/** Value of `key` as the member itself gives it, linearizable; waits until it does. */
const valueAt = (member: Plan.PlannedMember, key: string) =>
  Effect.flatMap(Client.Client, (client) => client.get(key, { timeoutMillis: 30_000 })).pipe(
    Effect.map(Option.map((found) => new TextDecoder().decode(found.value))),
    Effect.provide(Client.layer({ endpoints: [Plan.clientAddress(member)] }))
  )

const write = (plan: Plan.Plan, key: string, value: string) =>
  Effect.flatMap(Client.Client, (client) => client.put(key, value, { timeoutMillis: 30_000 })).pipe(
    Effect.provide(Client.layer({ endpoints: plan.members.map(Plan.clientAddress) }))
  )

describe("a cluster of real processes", () => {
  it.live("killing one member, killing all, stopping, and losing a data directory cost no acknowledged write", () =>
    Effect.gen(function*() {
      const plan = yield* makePlan(yield* temporaryDirectory)
      const first = yield* start(plan, program)
      yield* first.says(/Ready/)
      yield* write(plan, "a", "1")

      process.kill(first.pidOf("dkv-0"), "SIGKILL")
      yield* write(plan, "b", "2")
      yield* first.says(/dkv-0 is down[^]*dkv-0 started/)

      for (const { name } of plan.members) process.kill(first.pidOf(name), "SIGKILL")
      for (const member of plan.members) {
        assert.deepStrictEqual(yield* valueAt(member, "a"), Option.some("1"))
        assert.deepStrictEqual(yield* valueAt(member, "b"), Option.some("2"))
      }
      yield* write(plan, "c", "3")
      yield* first.stop

      const fs = yield* FileSystem.FileSystem
      yield* fs.remove(plan.members[1]!.dataDir, { recursive: true })
      const second = yield* start(plan, program)
      yield* second.says(/Ready/)
      for (const key of [["a", "1"], ["b", "2"], ["c", "3"]] as const) {
        assert.deepStrictEqual(yield* valueAt(plan.members[1]!, key[0]), Option.some(key[1]))
      }
      yield* second.stop
    }).pipe(Effect.provide(layer), Effect.scoped))
})
