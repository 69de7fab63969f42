/** What members tell the clients of their batch connections about leadership. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { isUp, listen, listOf, passing, services, stop, until, world } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]

const cluster = Effect.gen(function*() {
  const { loopback, start } = yield* world
  const members = yield* Effect.forEach(names, (name) => start(name, listOf(names)))
  for (const member of members) yield* until(isUp(member))
  const all = yield* Effect.forEach(members, services)
  const leads = Effect.map(
    Effect.forEach(all, ({ dkv }) => dkv.status),
    (statuses) => statuses.findIndex(({ role }) => role === "Leader")
  )
  yield* until(Effect.map(leads, (index) => index >= 0))
  const heard = yield* Effect.forEach(names, (name) => listen(loopback, `${name}:3000`))
  yield* until(Effect.sync(() => heard.every((codes) => codes.length > 0)))
  return { all, heard, leads, members }
})

describe("a member says", () => {
  it.effect("whether it leads, at once and whenever another one becomes leader", () =>
    Effect.gen(function*() {
      const { all, heard, leads } = yield* cluster
      const old = yield* leads
      assert.deepStrictEqual(heard, names.map((_, index) => [index === old ? "Leading" : "NotLeading"]))
      yield* passing(all[old]!.node.transferLeadership(Option.none()))
      yield* until(Effect.sync(() => heard.every((codes) => codes.length > 1)))
      const fresh = yield* leads
      assert.notStrictEqual(fresh, old)
      assert.deepStrictEqual(
        heard.map((codes) => codes.at(-1)),
        names.map((_, index) => index === fresh ? "Leading" : "NotLeading")
      )
    }).pipe(Effect.scoped))

  it.effect("that it leads no more when the others are gone, though nobody follows it", () =>
    Effect.gen(function*() {
      const { heard, leads, members } = yield* cluster
      const leader = yield* leads
      for (const member of members) if (member !== members[leader]) yield* stop(member)
      yield* until(Effect.sync(() => heard[leader]!.length > 1))
      assert.deepStrictEqual(heard[leader], ["Leading", "NotLeading"])
    }).pipe(Effect.scoped))
})
