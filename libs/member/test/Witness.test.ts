import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { isUp, listOf, makeDisk, passing, services, stop, until, world } from "./Members.ts"
import type { Running } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]
const list = listOf(names)

/** Two members with data, and dkv-2 as a witness. */
const running = Effect.gen(function*() {
  const { start } = yield* world
  const disk = makeDisk()
  const members = [
    yield* start("dkv-0", list),
    yield* start("dkv-1", list),
    yield* start("dkv-2", list, { witness: true, disk })
  ] as const
  for (const member of members) yield* until(isUp(member))
  const witness = yield* services(members[2])
  yield* until(Effect.map(witness.dkv.status, ({ leader }) => Option.isSome(leader)))
  return { start, members, witness, disk }
})

const failure = (member: Running) =>
  Effect.gen(function*() {
    yield* until(isUp(member))
    const exit = yield* Fiber.await(member.fiber)
    return Exit.isFailure(exit) ? String(exit.cause) : ""
  })

describe("a member that is started as a witness", () => {
  it.effect("founds with the others, votes, and holds no copy", () =>
    Effect.gen(function*() {
      const { witness } = yield* running
      const status = yield* witness.dkv.status
      assert.deepStrictEqual([status.role, status.copies], ["Witness", 1])
      assert.deepStrictEqual(
        status.configuration.members.map(({ name, witness }) => [name, witness]),
        [["dkv-0", false], ["dkv-1", false], ["dkv-2", true]]
      )
      assert.strictEqual(status.configuration.voters.length, 3)
    }))

  it.effect("passes writes on, says that it has nothing to read, and answers about members", () =>
    Effect.gen(function*() {
      const { members, witness } = yield* running
      yield* passing(witness.client.put("greeting", "hello"))
      const other = yield* services(members[0])
      const found = yield* passing(other.client.get("greeting"))
      assert.strictEqual(new TextDecoder().decode(Option.getOrThrow(found).value), "hello")
      for (const consistency of ["linearizable", "stale"] as const) {
        const error = yield* passing(Effect.flip(witness.client.get("greeting", { consistency })))
        assert.strictEqual(error.reason, "Unavailable")
        assert.match(error.message, /is a witness.*read from another one/)
      }
      const { members: views } = yield* passing(witness.client.members())
      assert.deepStrictEqual(views.map(({ role }) => role), ["voter", "voter", "witness"])
      assert.strictEqual((yield* passing(witness.client.status)).copies, 1)
    }))

  it.effect("keeps the cluster going when one that holds data is gone", () =>
    Effect.gen(function*() {
      const { members, witness } = yield* running
      yield* passing(witness.client.put("k", "1"))
      yield* stop(members[1])
      yield* passing(witness.client.put("k", "2"), 120)
      const found = yield* passing((yield* services(members[0])).client.get("k"))
      assert.strictEqual(new TextDecoder().decode(Option.getOrThrow(found).value), "2")
    }))

  it.effect("goes on after a restart, as a witness only", () =>
    Effect.gen(function*() {
      const { disk, members, start, witness } = yield* running
      yield* passing(witness.client.put("k", "1"))
      yield* stop(members[2])
      assert.match(yield* failure(yield* start("dkv-2", list, { disk })), /dkv-2 as a witness: start it with --witness/)
      const again = yield* start("dkv-2", list, { disk, witness: true })
      yield* until(isUp(again))
      const { dkv, client } = yield* services(again)
      assert.strictEqual(dkv.memberId, witness.dkv.memberId)
      yield* passing(client.put("k", "2"))
    }))

  it.effect("cannot take over the data of a full member", () =>
    Effect.gen(function*() {
      const { start } = yield* world
      const disk = makeDisk()
      const alone = yield* start("dkv-0", listOf(["dkv-0"]), { disk })
      yield* until(isUp(alone))
      yield* stop(alone)
      const again = yield* start("dkv-0", listOf(["dkv-0"]), { disk, witness: true })
      assert.match(yield* failure(again), /dkv-0 as a full member: start it without --witness/)
    }))

  it.effect("is let in as one by member-join, because it says so itself", () =>
    Effect.gen(function*() {
      const { members, start } = yield* running
      const { client } = yield* services(members[0])
      const fourth = yield* start("dkv-3", listOf(["dkv-3"]), { initialClusterState: "existing", witness: true })
      yield* passing(client.joinMember({ name: "dkv-3", peerAddress: "dkv-3:2380" }))
      yield* until(isUp(fourth))
      yield* until(
        Effect.map(client.members(), ({ isJoint, members }) => !isJoint && members[3]?.role === "witness").pipe(
          passing,
          Effect.orDie
        )
      )
      const fifth = yield* start("dkv-4", listOf(["dkv-4"]), { initialClusterState: "existing" })
      const refused = yield* passing(
        Effect.flip(client.joinMember({ name: "dkv-4", peerAddress: "dkv-4:2380", witness: true }))
      )
      assert.match(refused.message, /dkv-4 was not started as a witness/)
      assert.isFalse(yield* isUp(fifth))
    }))

  it.effect("that lost its disk comes back as one, under a new id, and not as the other kind", () =>
    Effect.gen(function*() {
      const { members, start, witness } = yield* running
      yield* stop(members[2])
      const full = yield* start("dkv-2", list)
      yield* passing(Effect.sleep("10 seconds"))
      assert.isFalse(yield* isUp(full))
      yield* stop(full)
      const again = yield* start("dkv-2", list, { witness: true })
      yield* until(isUp(again))
      const { dkv } = yield* services(again)
      yield* until(
        Effect.map(
          dkv.status,
          ({ configuration }) => configuration.voters.includes(dkv.memberId) && configuration.outgoing.length === 0
        )
      )
      const { configuration } = yield* dkv.status
      assert.isFalse(configuration.members.some(({ id }) => id === witness.dkv.memberId))
      assert.deepStrictEqual(configuration.members.map((member) => member.witness).sort(), [false, false, true])
    }))
})
