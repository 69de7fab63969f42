/** The client through the real client port and gateways, over a key-value service that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { passing, setUp, text } from "./clientParts.ts"

describe("the client", () => {
  it.effect("does every operation, and keeps bytes as they are", () =>
    Effect.gen(function*() {
      const { client } = yield* setUp(["a"])
      const value = Uint8Array.of(0, 13, 10, 255)
      yield* passing(client.put("k/1", value))
      yield* passing(client.put("k/2", ""))
      const found = yield* passing(client.get("k/1"))
      assert.deepStrictEqual(Array.from(Option.getOrThrow(found).value), [0, 13, 10, 255])
      assert.isTrue(Option.isNone(yield* passing(client.get("nothing"))))
      const range = yield* passing(client.range({ prefix: "k/", limit: 1, reverse: true }))
      assert.deepStrictEqual([range.kvs.map(({ key }) => text(key)), range.more], [["k/2"], true])
      const { modRevision } = Option.getOrThrow(found)
      assert.isTrue((yield* passing(client.compareAndSwap("k/1", modRevision, "x"))).succeeded)
      const refused = yield* passing(client.compareAndSwap("k/1", modRevision, "y"))
      assert.isFalse(refused.succeeded)
      assert.strictEqual(text(Option.getOrThrow(Option.getOrThrow(refused.current).value)), "x")
      assert.strictEqual((yield* passing(client.delete("k/1"))).deleted, 1)
      assert.strictEqual((yield* passing(client.delete("k/1"))).deleted, 0)
    }).pipe(Effect.scoped))

  it.effect("calls made together travel together", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a"])
      yield* passing(Effect.all(
        Array.from({ length: 500 }, (_, number) => client.put(`k${number}`, "v")),
        { concurrency: "unbounded", discard: true }
      ))
      assert.strictEqual(kvs[0]!.writes.reduce((sum, count) => sum + count, 0), 500)
      assert.isAtMost(kvs[0]!.writes.length, 3)
    }).pipe(Effect.scoped))

  it.effect("a write whose outcome is not known is reported so and not repeated", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a"])
      kvs[0]!.writeFaults = ["Unknown"]
      const error = yield* passing(Effect.flip(client.put("k", "v")))
      assert.strictEqual(error.reason, "Unknown")
      assert.deepStrictEqual(kvs[0]!.writes, [1])
    }).pipe(Effect.scoped))

  for (const reason of ["NoLeader", "Busy", "Refused", "Lost", "Stopped"] as const) {
    it.effect(`a write that was turned away with ${reason} is tried again`, () =>
      Effect.gen(function*() {
        const { client, kvs } = yield* setUp(["a"])
        kvs[0]!.writeFaults = [reason, reason]
        assert.strictEqual((yield* passing(client.put("k", "v"))).revision, 2)
        assert.strictEqual(kvs[0]!.writes.length, 3)
      }).pipe(Effect.scoped))
  }

  it.effect("a read is tried again after any failure", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a"])
      yield* passing(client.put("k", "v"))
      kvs[0]!.readFaults = ["Unknown", "NoLeader", "Busy"]
      assert.isTrue(Option.isSome(yield* passing(client.get("k"))))
      assert.strictEqual(kvs[0]!.reads.length, 4)
    }).pipe(Effect.scoped))

  it.effect("a range has more time with each attempt, a key has not", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a"])
      kvs[0]!.readFaults = ["Busy", "Busy"]
      yield* passing(client.range({ prefix: "k", timeoutMillis: 60_000 }))
      kvs[0]!.readFaults = ["Busy", "Busy"]
      yield* passing(client.get("k", { timeoutMillis: 60_000 }))
      assert.deepStrictEqual(kvs[0]!.readTimeouts, [2000, 4000, 8000, 2000, 2000, 2000])
    }).pipe(Effect.scoped))

  it.effect("a write that gets no answer before its deadline is unknown, and a read unavailable", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a"])
      kvs[0]!.writeFaults = ["hang"]
      kvs[0]!.readFaults = ["hang"]
      assert.strictEqual((yield* passing(Effect.flip(client.put("k", "v")))).reason, "Unknown")
      assert.strictEqual((yield* passing(Effect.flip(client.get("k")))).reason, "Unavailable")
      assert.deepStrictEqual(kvs[0]!.writes, [1])
    }).pipe(Effect.scoped))

  it.effect("a write that could not be sent before its deadline certainly did nothing", () =>
    Effect.gen(function*() {
      const { client } = yield* setUp([], ["nobody"])
      assert.strictEqual((yield* passing(Effect.flip(client.put("k", "v")))).reason, "Unavailable")
    }).pipe(Effect.scoped))

  it.effect("an endpoint that nobody serves is passed over", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["b"], ["a", "b"])
      yield* passing(client.put("k", "v"))
      assert.strictEqual(kvs[0]!.rows.size, 1)
    }).pipe(Effect.scoped))

  it.effect("a member without a leader is left for another one", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a", "b"])
      kvs[0]!.writeFaults = Array.from({ length: 100 }, () => "NoLeader" as const)
      yield* passing(client.put("k", "v"))
      assert.strictEqual(kvs[1]!.rows.size, 1)
    }).pipe(Effect.scoped))

  it.effect("a witness is left for another member as soon as something is to be read", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a", "b"])
      kvs[0]!.readFaults = ["Witness"]
      yield* passing(client.put("k", "v"))
      assert.strictEqual(kvs[0]!.rows.size, 1)
      assert.isTrue(Option.isNone(yield* passing(client.get("k"))))
      assert.deepStrictEqual([kvs[0]!.reads, kvs[1]!.reads], [[1], [1]])
    }).pipe(Effect.scoped))

  it.effect("a witness alone is no place to read: that is said at once", () =>
    Effect.gen(function*() {
      const { client, kvs } = yield* setUp(["a"])
      kvs[0]!.readFaults = ["Witness"]
      const error = yield* passing(Effect.flip(client.get("k")))
      assert.deepStrictEqual([error.reason, error.message], ["Unavailable", "fault Witness"])
      assert.deepStrictEqual(kvs[0]!.reads, [1])
    }).pipe(Effect.scoped))

  it.effect("an operation that breaks a rule fails alone", () =>
    Effect.gen(function*() {
      const { client } = yield* setUp(["a"])
      const error = yield* passing(Effect.flip(client.range({ prefix: "a", from: "b" })))
      assert.strictEqual(error.reason, "Invalid")
    }).pipe(Effect.scoped))
})
