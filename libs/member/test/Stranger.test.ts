import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { isUp, listOf, makeDisk, passing, services, stop, until, world } from "./Members.ts"
import type { Running } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]
const list = listOf(names)

const statusOf = (member: Running) => Effect.flatMap(services(member), ({ dkv }) => dkv.status)

describe("a member that was away while the cluster changed", () => {
  it.effect("follows a leader that it never heard of", () =>
    Effect.gen(function*() {
      const { start } = yield* world
      const disk = makeDisk()
      const members = yield* Effect.forEach(names, (name) => start(name, list, name === "dkv-2" ? { disk } : {}))
      for (const member of members) yield* until(isUp(member))
      yield* until(Effect.map(statusOf(members[2]!), ({ leader }) => Option.isSome(leader)))
      yield* stop(members[2]!)
      const newcomer = yield* start("dkv-3", listOf(["dkv-3"]), { initialClusterState: "existing" })
      yield* passing(Effect.sleep("3 seconds"))
      const { client, node } = yield* services(members[0]!)
      yield* passing(client.joinMember({ name: "dkv-3", peerAddress: "dkv-3:2380" }))
      yield* until(isUp(newcomer))
      yield* until(Effect.map(statusOf(members[0]!), ({ configuration }) =>
        configuration.voters.length === 4 && configuration.outgoing.length === 0))
      const { dkv: { memberId } } = yield* services(newcomer)
      yield* passing(node.transferLeadership(Option.some(memberId)))
      const again = yield* start("dkv-2", list, { disk })
      yield* until(isUp(again))
      yield* until(Effect.map(statusOf(again), ({ leader }) =>
        Option.getOrElse(leader, () => "") === memberId))
      yield* until(Effect.map(statusOf(again), ({ configuration }) => configuration.voters.length === 4))
      assert.strictEqual((yield* statusOf(again)).configuration.members.length, 4)
    }))
})
