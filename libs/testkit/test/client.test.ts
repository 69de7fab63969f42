/** The client through the real client port and gateways, over a key-value service that the test controls. */
import { Client } from "@dkv/client"
import { Kv } from "@dkv/kv"
import { Loopback } from "@dkv/protocol"
import { RaftError } from "@dkv/raft"
import { BatchGateway, ClientPort, Gateways } from "@dkv/server"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option, type Scope } from "effect"
import { TestClock } from "effect/testing"

const text = (value: Uint8Array): string => new TextDecoder().decode(value)

/** A store in memory that counts its calls, and fails or hangs when the test says so. */
class FakeKv {
  readonly rows = new Map<string, Kv.KeyValue>()
  revision = 1
  writes: Array<number> = []
  reads: Array<number> = []
  /** What the next write does instead; taken from the front. */
  writeFaults: Array<RaftError["reason"] | "hang"> = []
  readFaults: Array<RaftError["reason"] | "hang"> = []

  readonly service: Kv.Kv["Service"] = {
    write: (ops) =>
      Effect.suspend(() => {
        this.writes.push(ops.length)
        return this.faulty(this.writeFaults.shift(), () => ops.map((op) => this.apply(op)))
      }),
    read: (ops) =>
      Effect.suspend(() => {
        this.reads.push(ops.length)
        return this.faulty(this.readFaults.shift(), () => ops.map((op) => this.range(op)))
      })
  }

  private faulty<A>(fault: RaftError["reason"] | "hang" | undefined, answer: () => A): Effect.Effect<A, RaftError> {
    if (fault === "hang") return Effect.never
    return fault === undefined
      ? Effect.sync(answer)
      : Effect.fail(new RaftError({ reason: fault, message: `fault ${fault}` }))
  }

  private apply(op: Kv.WriteOp): Kv.WriteResult {
    const key = text(op.key)
    if (op._tag === "Delete") {
      const deleted = this.rows.delete(key) ? 1 : 0
      this.revision += deleted
      return { _tag: "Delete", revision: this.revision, deleted }
    }
    const present = this.rows.get(key)
    if (op._tag !== "Put" && op.expected !== (present?.modRevision ?? 0)) {
      return { _tag: "Compared", revision: this.revision, succeeded: false, current: Option.fromNullishOr(present) }
    }
    this.revision++
    if (op._tag === "CompareAndDelete") this.rows.delete(key)
    else {
      this.rows.set(key, {
        key: op.key.slice(),
        value: op.value.slice(),
        createRevision: present?.createRevision ?? this.revision,
        modRevision: this.revision,
        version: (present?.version ?? 0) + 1,
        lease: 0
      })
    }
    return op._tag === "Put"
      ? { _tag: "Put", revision: this.revision }
      : { _tag: "Compared", revision: this.revision, succeeded: true, current: Option.none() }
  }

  private range(op: Kv.RangeOp): Kv.RangeResult {
    const end = text(op.end)
    const kvs = [...this.rows.values()].filter(({ key }) =>
      end === "" ? text(key) === text(op.key) : text(key) >= text(op.key) && (end === "\0" || text(key) < end)
    ).sort((a, b) => text(a.key) < text(b.key) ? -1 : 1)
    if (op.reverse) kvs.reverse()
    const limit = op.limit === 0 ? kvs.length : op.limit
    return { _tag: "Range", revision: this.revision, kvs: kvs.slice(0, limit), more: kvs.length > limit }
  }
}

const serve = Effect.fnUntraced(function*(loopback: Loopback.Loopback["Service"], address: string) {
  const kv = new FakeKv()
  const gateways = BatchGateway.layer.pipe(
    Layer.provide(Layer.succeed(Kv.Kv, kv.service)),
    Layer.provideMerge(Gateways.Gateways.layer)
  )
  yield* Layer.build(
    ClientPort.layerLoopback({ address }).pipe(
      Layer.provide(gateways),
      Layer.provide(Layer.succeed(Loopback.Loopback, loopback))
    )
  )
  return kv
})

/** Members at the given names, and a client of `endpoints`. */
const setUp = Effect.fnUntraced(function*(
  members: ReadonlyArray<string>,
  endpoints: ReadonlyArray<string> = members
): Effect.fn.Return<{ readonly kvs: ReadonlyArray<FakeKv>; readonly client: Client.Client["Service"] }, unknown,
  Scope.Scope>
{
  const loopback = Loopback.make()
  const kvs: Array<FakeKv> = []
  for (const member of members) kvs.push(yield* serve(loopback, member))
  const context = yield* Layer.build(
    Client.layerLoopback({ endpoints, timeoutMillis: 1000 }).pipe(
      Layer.provide(Layer.succeed(Loopback.Loopback, loopback))
    )
  )
  return { kvs, client: Context.get(context, Client.Client) }
})

/** Lets time pass until the effect is done. */
const passing = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>, millis = 10_000) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  for (let passed = 0; passed < millis && fiber.pollUnsafe() === undefined; passed += 5) yield* TestClock.adjust(5)
  return yield* Fiber.join(fiber)
})

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
      assert.strictEqual(text(Option.getOrThrow(refused.current).value), "x")
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

  it.effect("an operation that breaks a rule fails alone", () =>
    Effect.gen(function*() {
      const { client } = yield* setUp(["a"])
      const error = yield* passing(Effect.flip(client.range({ prefix: "a", from: "b" })))
      assert.strictEqual(error.reason, "Invalid")
    }).pipe(Effect.scoped))
})
