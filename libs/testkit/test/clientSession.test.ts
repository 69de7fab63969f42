/** Writes of a client that has a session: sent again whenever there is no answer, each with the number that it had. */
import type { Session } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { passing, setUp } from "./clientParts.ts"

const open = (names: ReadonlyArray<string>) => setUp(names, names, names[0], true)

/** Writes beyond the first unanswered one that a client has on their way at most. */
const sessionWindow = 65_536

const show = (stamps: ReadonlyArray<Session.Stamp | undefined>) =>
  stamps.map((stamp) =>
    stamp === undefined
      ? "none"
      : `${stamp.session.index}/${stamp.lowestUnanswered}: ` +
        stamp.runs.map(({ count, sequence }) => `${sequence}+${count}`).join(",")
  )

describe("a client with a session", () => {
  it.effect("opens it once, numbers its writes, and says which answers it has", () =>
    Effect.gen(function*() {
      const { client, kvs, members } = yield* open(["a"])
      for (let count = 0; count < 3; count++) yield* passing(client.put("k", "v"))
      yield* passing(
        Effect.all([client.put("a", "v"), client.put("b", "v"), client.get("a")], { concurrency: "unbounded" })
      )
      assert.deepStrictEqual(show(kvs[0]!.stamps), ["1/1: 1+1", "1/2: 2+1", "1/3: 3+1", "1/4: 4+2"])
      assert.strictEqual(members[0]!.sessions(), 1)
    }).pipe(Effect.scoped))

  it.effect("repeats a write whose outcome is not known, with the number that it had", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* open(["a"])
      kvs[0]!.writeFaults = ["Unknown"]
      yield* passing(client.put("k", "v"))
      assert.deepStrictEqual(show(kvs[0]!.stamps), ["1/1: 1+1", "1/1: 1+1"])
    }).pipe(Effect.scoped))

  it.effect("repeats the write that a full session waits for, and goes on with the others then", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* open(["a"])
      yield* passing(client.put("k", "v"))
      kvs[0]!.writeFaults = ["Unknown"]
      const first = yield* Effect.forkChild(client.put("first", "v"), { startImmediately: true })
      while (kvs[0]!.stamps.length < 2) yield* Effect.yieldNow
      const puts = Effect.replicateEffect(client.put("k", "v"), sessionWindow + 1, { concurrency: "unbounded" })
      const others = yield* Effect.forkChild(Effect.asVoid(puts), { startImmediately: true })
      const written = () => kvs[0]!.writes.reduce((sum, count) => sum + count, 0)
      while (written() < sessionWindow - 1000) yield* Effect.yieldNow
      yield* passing(Effect.all([Fiber.join(first), Fiber.join(others)], { concurrency: "unbounded" }))
      const stamps = show(kvs[0]!.stamps)
      const again = stamps.lastIndexOf("1/2: 2+1")
      assert.isAbove(again, 2)
      assert.match(stamps[again - 1]!, /^1\/2: /)
      assert.strictEqual(written(), sessionWindow + 4)
    }).pipe(Effect.scoped))

  it.effect("takes a write that was on its way to a member that is gone to another one", () =>
    Effect.gen(function*() {
      const { client, kvs, members } = yield* open(["a", "b"])
      yield* passing(client.put("k", "v"))
      kvs[0]!.writeFaults = ["hang"]
      const call = yield* Effect.forkChild(client.put("k", "w", { timeoutMillis: 10_000 }), { startImmediately: true })
      yield* TestClock.adjust(100)
      assert.strictEqual(kvs[0]!.stamps.length, 2)
      yield* Effect.forkChild(members[0]!.stop)
      yield* passing(Fiber.join(call))
      assert.deepStrictEqual(show(kvs[1]!.stamps), ["1/2: 2+1"])
    }).pipe(Effect.scoped))

  it.effect("goes on behind a write that it has given up, whose outcome it does not know", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* open(["a"])
      kvs[0]!.writeFaults = ["hang"]
      assert.strictEqual((yield* passing(Effect.flip(client.put("k", "v")))).reason, "Unknown")
      yield* passing(client.put("k", "w"))
      assert.deepStrictEqual(show(kvs[0]!.stamps), ["1/1: 1+1", "1/2: 2+1"])
    }).pipe(Effect.scoped))

  it.effect("reports a write as unknown when its deadline comes between two attempts", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* open(["a"])
      kvs[0]!.writeFaults = ["Unknown", ...Array.from({ length: 100 }, () => "Busy" as const)]
      const error = yield* passing(Effect.flip(client.put("k", "v")))
      assert.strictEqual(error.reason, "Unknown")
      assert.match(error.message, /read before repeating it/)
      assert.notMatch(error.message, /nothing was written/)
    }).pipe(Effect.scoped))

  it.effect("reports a write as unknown that it has to give up between two attempts because it is closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { client, kvs } = yield* Scope.provide(open(["a"]), scope)
      kvs[0]!.writeFaults = ["Unknown", ...Array.from({ length: 100 }, () => "Busy" as const)]
      const call = yield* Effect.forkChild(Effect.flip(client.put("k", "v")), { startImmediately: true })
      yield* TestClock.adjust(300)
      yield* Effect.forkChild(Scope.close(scope, Exit.void))
      const error = yield* passing(Fiber.join(call))
      assert.strictEqual(error.reason, "Unknown")
      assert.match(error.message, /^the client is closed; the write may have been carried out/)
    }))

  it.effect("whose session was evicted opens another one for what certainly did nothing", () =>
    Effect.gen(function*() {
      const { client, kvs, members } = yield* open(["a"])
      kvs[0]!.writeFaults = ["Expired"]
      yield* passing(client.put("k", "v"))
      assert.deepStrictEqual(show(kvs[0]!.stamps), ["1/1: 1+1", "2/1: 1+1"])
      assert.strictEqual(members[0]!.sessions(), 2)
    }).pipe(Effect.scoped))

  it.effect("whose session was evicted never repeats a write in another session that may have taken effect in the first", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* open(["a"])
      kvs[0]!.writeFaults = ["Unknown", "Expired"]
      assert.strictEqual((yield* passing(Effect.flip(client.put("k", "v")))).reason, "Unknown")
      yield* passing(client.put("k", "w"))
      assert.deepStrictEqual(show(kvs[0]!.stamps), ["1/1: 1+1", "1/1: 1+1", "2/1: 1+1"])
    }).pipe(Effect.scoped))

  it.effect("that cannot open one fails as if it could not send, and knows that nothing was written", () =>
    Effect.gen(function*() {
      const { client } = yield* setUp([], ["nobody"], undefined, true)
      assert.strictEqual((yield* passing(Effect.flip(client.put("k", "v")))).reason, "Unavailable")
    }).pipe(Effect.scoped))

  it.effect("reads without one", () =>
    Effect.gen(function*() {
      const { client, members } = yield* open(["a"])
      yield* passing(client.get("k"))
      yield* passing(client.get("k", { consistency: { maxStalenessMillis: 100 } }))
      const error = yield* passing(Effect.flip(client.get("k", { consistency: { maxStalenessMillis: 0 } })))
      assert.strictEqual(error.reason, "Invalid")
      assert.strictEqual(members[0]!.sessions(), 0)
    }).pipe(Effect.scoped))
})
