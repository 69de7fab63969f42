/** Priorities, from the client to the election. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { isUp, listOf, passing, services, until, world } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]

const peers = names.map((name) => `${name}:2380`)

const running = Effect.gen(function*() {
  const { network, start } = yield* world
  const members = yield* Effect.forEach(names, (name) => start(name, listOf(names)))
  for (const member of members) yield* until(isUp(member))
  const all = yield* Effect.forEach(members, services)
  const leads = Effect.map(
    Effect.forEach(all, ({ dkv }) => dkv.status),
    (statuses) => statuses.findIndex(({ role }) => role === "Leader")
  )
  yield* until(Effect.map(leads, (index) => index >= 0))
  return { all, leads, network }
})

describe("member-update", () => {
  for (const distance of [1, 2]) {
    it.effect(`gives a voter a priority, and it leads when the leader is cut off (${distance} places on)`, () =>
      Effect.gen(function*() {
        const { all, leads, network } = yield* running
        const old = yield* leads
        const [next, other] = [(old + distance) % 3, (old + 3 - distance) % 3]
        const { client } = all[other]!
        const updated = yield* passing(client.updateMember(names[next]!, { priority: 5 }))
        assert.deepStrictEqual(
          updated.members.map(({ name, priority }) => [name, priority]),
          names.map((name, index) => [name, index === next ? 5 : 0])
        )
        assert.strictEqual(yield* leads, old)
        yield* network.partition([peers[old]!], peers)
        const roles = Effect.forEach([next, other], (index) => Effect.map(all[index]!.dkv.status, ({ role }) => role))
        yield* until(Effect.map(roles, (both) => both.includes("Leader")))
        assert.strictEqual((yield* roles)[0], "Leader")
      }).pipe(Effect.scoped))
  }

  it.effect("of nobody, or beyond 32 bits, is refused", () =>
    Effect.gen(function*() {
      const { all } = yield* running
      const { client } = all[0]!
      const nobody = yield* passing(Effect.flip(client.updateMember("nobody", { priority: 1 })))
      assert.deepInclude(nobody, { reason: "Refused", detail: "NotFound" })
      const tooLarge = yield* passing(Effect.flip(client.updateMember("dkv-1", { priority: 2 ** 40 })))
      assert.deepInclude(tooLarge, { reason: "Invalid" })
    }).pipe(Effect.scoped))
})
