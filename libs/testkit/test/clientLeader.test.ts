/** Where a client of several members brings its writes and its reads. */
import { Limits } from "@dkv/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Client } from "@dkv/client"
import { type Member, passing, setUp } from "./clientParts.ts"

const names = ["a", "b", "c"]

/** Lets time pass while somebody writes and reads at the same time, again and again. */
const use = (client: Client.Client["Service"], calls: number) =>
  passing(
    Effect.gen(function*() {
      for (let call = 0; call < calls; call++) {
        yield* Effect.all([client.get(`k${call}`, { consistency: "stale" }), client.put(`k${call}`, "v")], {
          concurrency: "unbounded"
        })
        yield* Effect.sleep(10)
      }
    }),
    60_000
  )

/** Has each member say whether it is the one at `leader`, and be heard. */
const elect = (members: ReadonlyArray<Member>, leader: number, silent: number | undefined = undefined) =>
  passing(
    Effect.andThen(
      Effect.forEach(members, (member, at) => at === silent ? Effect.void : member.leads(at === leader)),
      Effect.sleep(10)
    )
  )

const sum = (counts: ReadonlyArray<number>): number => counts.reduce((total, count) => total + count, 0)

/** What each member was asked since the last time. */
const asked = (members: ReadonlyArray<Member>) =>
  members.map(({ kv }) => {
    const counts = { writes: sum(kv.writes), reads: sum(kv.reads) }
    kv.writes = []
    kv.reads = []
    return counts
  })

describe("a client of several members", () => {
  it.effect("brings its writes to the one that leads, after a few through the one in use, which keeps the reads", () =>
    Effect.gen(function*() {
      const { client, members } = yield* setUp(names, names, "c")
      yield* use(client, 40)
      const [first, second, third] = asked(members)
      assert.strictEqual(first!.reads, 40)
      assert.isAtLeast(first!.writes, Limits.detoursMax)
      assert.deepStrictEqual(second, { writes: 0, reads: 0 })
      assert.deepStrictEqual(third, { writes: 40 - first!.writes, reads: 0 })
      yield* use(client, 20)
      assert.deepStrictEqual(asked(members), [{ writes: 0, reads: 20 }, { writes: 0, reads: 0 }, {
        writes: 20,
        reads: 0
      }])
    }).pipe(Effect.scoped))

  it.effect("makes no second connection for a few writes, nor when the one in use leads", () =>
    Effect.gen(function*() {
      const few = yield* setUp(names, names, "c")
      yield* use(few.client, Limits.detoursMax - 1)
      assert.deepStrictEqual(few.members.map((member) => member.connections()), [1, 0, 0])
      const near = yield* setUp(names, names, "a")
      yield* use(near.client, 100)
      assert.deepStrictEqual(near.members.map((member) => member.connections()), [1, 0, 0])
    }).pipe(Effect.scoped))

  it.effect("follows when another member becomes leader, be it the one in use", () =>
    Effect.gen(function*() {
      const { client, members } = yield* setUp(names, names, "c")
      yield* use(client, 40)
      asked(members)
      yield* elect(members, 1)
      yield* use(client, 60)
      const [first, second, third] = asked(members)
      assert.strictEqual(third!.writes, 0)
      assert.isAtLeast(second!.writes, 30)
      assert.deepStrictEqual(first, { writes: 60 - second!.writes, reads: 60 })
      yield* elect(members, 0)
      const connections = members.map((member) => member.connections())
      yield* use(client, 20)
      assert.deepStrictEqual(members.map((member) => member.connections()), connections)
      assert.deepStrictEqual(asked(members), [{ writes: 20, reads: 20 }, { writes: 0, reads: 0 }, {
        writes: 0,
        reads: 0
      }])
    }).pipe(Effect.scoped))

  it.effect("leaves a leader that the member in use no longer takes for one, even if it says nothing itself", () =>
    Effect.gen(function*() {
      const { client, members } = yield* setUp(names, names, "c")
      yield* use(client, 40)
      asked(members)
      yield* elect(members, 1, 2)
      yield* use(client, Limits.detoursMax - 1)
      assert.strictEqual(asked(members)[2]!.writes, 0)
    }).pipe(Effect.scoped))

  it.effect("leaves a leader that says it is none any more", () =>
    Effect.gen(function*() {
      const { client, members } = yield* setUp(names, names, "c")
      yield* use(client, 40)
      asked(members)
      yield* passing(Effect.andThen(members[2]!.leads(false), Effect.sleep(10)))
      yield* use(client, 40)
      assert.strictEqual(asked(members)[2]!.writes, 0)
    }).pipe(Effect.scoped))

  it.effect("goes on through the member in use when the leader is gone, and the other way round", () =>
    Effect.gen(function*() {
      const { client, members } = yield* setUp(names, names, "c")
      yield* use(client, 40)
      asked(members)
      yield* members[2]!.stop
      yield* use(client, 20)
      assert.deepStrictEqual(asked(members)[0], { writes: 20, reads: 20 })
      const others = yield* setUp(names, names, "c")
      yield* use(others.client, 40)
      asked(others.members)
      yield* others.members[0]!.stop
      yield* use(others.client, 20)
      assert.deepStrictEqual(asked(others.members).slice(1), [{ writes: 0, reads: 20 }, { writes: 20, reads: 0 }])
    }).pipe(Effect.scoped))

  it.effect("looks for the leader less and less often when it is not among its endpoints", () =>
    Effect.gen(function*() {
      const { client, members } = yield* setUp(names, ["a", "b"], "c")
      yield* use(client, 1000)
      const [, second, third] = members
      assert.isAtLeast(second!.connections(), 4)
      assert.isAtMost(second!.connections(), 14)
      assert.strictEqual(third!.connections(), 0)
      assert.deepStrictEqual(asked(members)[0], { writes: 1000, reads: 1000 })
      const connections = second!.connections()
      yield* passing(Effect.sleep(60_000), 70_000)
      assert.isAtMost(second!.connections(), connections + 1, "while nobody calls")
    }).pipe(Effect.scoped))

  it.effect("looks for the leader soon when there is news of another one, however long it has looked in vain", () =>
    Effect.gen(function*() {
      const { client, members } = yield* setUp(names, ["a", "b"], "c")
      yield* use(client, 2000)
      yield* passing(Effect.andThen(members[0]!.leads(false), Effect.sleep(10)))
      yield* use(client, 20)
      yield* passing(Effect.andThen(members[1]!.leads(true), Effect.sleep(10)))
      asked(members)
      yield* use(client, 100)
      assert.isAtLeast(asked(members)[1]!.writes, 50)
    }).pipe(Effect.scoped))
})
