import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { isUp, listOf, makeDisk, passing, services, until, world } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]
const list = listOf(names)

const running = Effect.gen(function*() {
  const { start } = yield* world
  const members = yield* Effect.forEach(names, (name) => start(name, list))
  for (const member of members) yield* until(isUp(member))
  return { start, members, client: (yield* services(members[2]!)).client }
})

describe("member-join", () => {
  it.effect("asks the new member for its id and tells it, even one that knows no other member", () =>
    Effect.gen(function*() {
      const { client, members, start } = yield* running
      const fourth = yield* start("dkv-3", listOf(["dkv-3"]), { initialClusterState: "existing" })
      yield* passing(Effect.sleep("3 seconds"))
      const joined = yield* passing(client.joinMember({ name: "dkv-3", peerAddress: "dkv-3:2380" }))
      assert.deepInclude(joined, { name: "dkv-3", clientAddress: "dkv-3:3000", role: "learner" })
      yield* until(isUp(fourth))
      const { dkv } = yield* services(fourth)
      assert.strictEqual(dkv.memberId, joined.id)
      yield* until(
        Effect.map((yield* services(members[0]!)).dkv.status, ({ configuration }) => configuration.voters.length === 4)
      )
    }))

  const refused = (
    name: string,
    peerAddress: string,
    message: RegExp
  ) =>
    Effect.gen(function*() {
      const { client, start } = yield* running
      yield* start("dkv-3", listOf(["dkv-3"]), { initialClusterState: "existing" })
      const disk = makeDisk()
      yield* until(isUp(yield* start("other", listOf(["other"]), { disk })))
      const error = yield* passing(Effect.flip(client.joinMember({ name, peerAddress })))
      assert.strictEqual(error.reason, "Refused")
      assert.match(error.message, message)
    })

  it.effect("of an address where nobody answers fails and says so", () =>
    refused("dkv-9", "dkv-9:2380", /^dkv-9 does not answer at dkv-9:2380: start it first/))

  it.effect("under another name than the member has fails", () =>
    refused("dkv-4", "dkv-3:2380", /is called dkv-3, not dkv-4/))

  it.effect("of a member of another cluster fails", () =>
    refused("other", "other:2380", /other at other:2380 belongs to cluster \w+ already/))

  it.effect("the same again is no change", () =>
    Effect.gen(function*() {
      const { client } = yield* running
      const again = yield* passing(client.joinMember({ name: "dkv-1", peerAddress: "dkv-1:2380" }))
      assert.strictEqual(again.role, "voter")
      assert.strictEqual((yield* passing(client.members())).members.length, 3)
    }))
})
