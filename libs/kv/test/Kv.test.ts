import { Configuration, RaftError, RaftNode } from "@dkv/raft"
import type { Session } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Latch, Layer, Option, PubSub, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Kv, KvReader, Limits } from "../src/index.ts"
import { bytes, del, open, put, range, remove, show, swap, text } from "./Harness.ts"
import { MapStorage } from "./MapStorage.ts"

/** `Kv` over a raft node that commits at once and counts what it is asked. */
const openKv = Effect.fnUntraced(function*() {
  const storage = new MapStorage()
  const { applyBytes, reader } = yield* open(storage)
  const asked = {
    groups: [] as Array<number>,
    stamps: [] as Array<Session.Stamp | undefined>,
    barriers: 0,
    staleness: [] as Array<number | undefined>,
    timeouts: [] as Array<number | undefined>
  }
  let failure: RaftError | undefined
  /** Position of a command that is refused for its session's sake. */
  let refused = -1
  let barrierMillis = 0
  let confirmations = 0
  const leader = yield* PubSub.sliding<Option.Option<string>>({ capacity: 1, replay: 1 })
  const leads = (id: string | undefined) =>
    Effect.andThen(PubSub.publish(leader, Option.fromUndefinedOr(id)), Effect.repeat(Effect.yieldNow, { times: 10 }))
  const node = Layer.mock(RaftNode.RaftNode, {
    id: "0000000000000001",
    leader: Stream.fromPubSub(leader),
    proposeEach: (commands, options) =>
      Effect.suspend(() => {
        if (failure !== undefined) return Effect.fail(failure)
        asked.groups.push(commands.length)
        asked.stamps.push(options?.session)
        asked.timeouts.push(options?.timeoutMillis)
        const gone = new RaftError({ reason: "Unknown", message: "" })
        return Effect.map(
          Effect.orDie(applyBytes(commands)),
          (results) => results.map((result, position) => position === refused ? gone : result)
        )
      }),
    readBarrier: (options) =>
      Effect.suspend(() => {
        if (failure !== undefined) return Effect.fail(failure)
        asked.barriers++
        asked.staleness.push(options?.maxStalenessMillis)
        asked.timeouts.push(options?.timeoutMillis)
        return barrierMillis === 0 ? Effect.succeed(1) : Effect.delay(Effect.succeed(1), barrierMillis)
      }),
    configuration: (options) => {
      confirmations++
      return Effect.raceFirst(
        Effect.as(
          Stream.runHead(Stream.filter(Stream.fromPubSub(leader), Option.isSome)),
          Configuration.empty
        ),
        Effect.delay(
          Effect.fail(new RaftError({ reason: "NoLeader", message: "no leader" })),
          options?.timeoutMillis ?? 0
        )
      )
    }
  })
  const layer = Kv.layer.pipe(Layer.provide([node, Layer.succeed(KvReader, reader)]))
  const kv = Context.get(yield* Layer.build(layer), Kv.Kv)
  yield* leads("0000000000000001")
  return {
    kv,
    asked,
    storage,
    fail: (error: RaftError) => (failure = error),
    refuse: (position: number) => (refused = position),
    leads,
    confirmations: () => confirmations,
    delayBarriers: (millis: number) => (barrierMillis = millis)
  }
})

const timeoutMillis = 1234
const linearizable = { consistency: "linearizable", timeoutMillis } as const
const stale = { consistency: "stale", timeoutMillis } as const

describe("Kv", () => {
  it.effect("gives each operation of a session its own number, and leaves out those of operations that are refused", () =>
    Effect.gen(function*() {
      const { asked, kv } = yield* openKv()
      const session: Session.Stamp = {
        session: { index: 7, term: 2 },
        lowestUnanswered: 3,
        runs: [{ sequence: 3, count: 2 }, { sequence: 9, count: 2 }]
      }
      yield* kv.write([put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")], { timeoutMillis, session })
      yield* kv.write([put("a", "1"), put("", "1"), put("c", "1"), put("d", "1")], { timeoutMillis, session })
      yield* kv.write([put("a", "1")], { timeoutMillis })
      const runs = [{ sequence: 3, count: 1 }, { sequence: 9, count: 2 }]
      assert.deepStrictEqual(asked.stamps, [session, { ...session, runs }, undefined])
      const last = { ...session, runs: [{ sequence: Number.MAX_SAFE_INTEGER, count: 4 }] }
      yield* kv.write([put("a", "1"), put("", "1"), put("c", "1"), put("d", "1")], { timeoutMillis, session: last })
      assert.strictEqual(asked.stamps.length, 4, "numbers that cannot be told apart are for raft to refuse")
    }))

  it.effect("says of one operation of a session that it has no answer any more, and answers the others", () =>
    Effect.gen(function*() {
      const { kv, refuse } = yield* openKv()
      refuse(1)
      const runs = [{ sequence: 1, count: 4 }]
      const session: Session.Stamp = { session: { index: 7, term: 2 }, lowestUnanswered: 1, runs }
      const results = yield* kv.write([put("", "1"), put("a", "1"), put("b", "1"), put("c", "1")], {
        timeoutMillis,
        session
      })
      assert.deepStrictEqual(results.map((result) => "reason" in result ? result.reason : result._tag), [
        "KeyEmpty",
        "Put",
        "Unknown",
        "Put"
      ])
      assert.strictEqual(results[2]!._tag, "Failed")
    }))

  it.effect("passes on how stale a read may be", () =>
    Effect.gen(function*() {
      const { asked, kv } = yield* openKv()
      yield* kv.read([range("a")], { consistency: { maxStalenessMillis: 250 }, timeoutMillis })
      yield* kv.read([range("a")], linearizable)
      yield* kv.read([range("a")], stale)
      assert.deepStrictEqual(asked.staleness, [250, 0])
    }))

  it.effect("gives a write that has time back when no leader comes in a part of it, for another member to try", () =>
    Effect.gen(function*() {
      const { asked, kv, leads } = yield* openKv()
      yield* leads(undefined)
      const write = yield* Effect.forkChild(Effect.flip(kv.write([put("a", "1")], { timeoutMillis: 5000 })), {
        startImmediately: true
      })
      yield* TestClock.adjust(Limits.leaderWaitMillis)
      assert.strictEqual((yield* Fiber.join(write)).reason, "NoLeader")
      assert.deepStrictEqual(asked.groups, [])
    }))

  it.effect("proposes a write that has waited for a leader with what is left of its time, and at once if there is one", () =>
    Effect.gen(function*() {
      const { asked, confirmations, kv, leads } = yield* openKv()
      yield* leads(undefined)
      const write = yield* Effect.forkChild(kv.write([put("a", "1")], { timeoutMillis: 5000 }), {
        startImmediately: true
      })
      yield* TestClock.adjust(700)
      assert.deepStrictEqual(asked.groups, [])
      yield* leads("0000000000000002")
      yield* Fiber.join(write)
      yield* kv.write([put("a", "1")], { timeoutMillis: 5000 })
      yield* leads(undefined)
      yield* kv.write([put("a", "1")], { timeoutMillis: Limits.leaderWaitMillis })
      assert.deepStrictEqual(asked.timeouts, [4300, 5000, Limits.leaderWaitMillis])
      assert.strictEqual(confirmations(), 1)
    }))

  it.effect("writes valid operations as one group, and puts refusals in their places", () =>
    Effect.gen(function*() {
      const { asked, kv } = yield* openKv()
      const long = "k".repeat(Limits.keyBytesMax + 1)
      const results = yield* kv.write([
        put("", "1"),
        put("a", "1"),
        put(long, "1"),
        put("b", "x".repeat(Limits.valueBytesMax + 1)),
        swap("a", "2", 2),
        swap("a", "2", -1),
        swap("", "2", 0),
        remove("a", 0.5),
        remove("a", 1),
        del("", "z"),
        del("a", long + "x"),
        del("a", "z")
      ], { timeoutMillis })
      assert.deepStrictEqual(results.map((result) => result._tag === "Invalid" ? result.reason : result._tag), [
        "KeyEmpty",
        "Put",
        "KeyTooLarge",
        "ValueTooLarge",
        "Compared",
        "RevisionInvalid",
        "KeyEmpty",
        "RevisionInvalid",
        "Compared",
        "KeyEmpty",
        "KeyTooLarge",
        "Delete"
      ])
      assert.deepStrictEqual(asked, {
        groups: [4],
        stamps: [undefined],
        barriers: 0,
        staleness: [],
        timeouts: [timeoutMillis]
      })
    }))

  it.effect("takes keys and values of exactly the largest size", () =>
    Effect.gen(function*() {
      const { kv } = yield* openKv()
      const key = "k".repeat(Limits.keyBytesMax)
      const value = "v".repeat(Limits.valueBytesMax)
      assert.deepStrictEqual(yield* kv.write([put(key, value)], { timeoutMillis }), [{ _tag: "Put", revision: 2 }])
      const [result] = yield* kv.read([range(key)], stale)
      assert(result?._tag === "Range")
      assert.strictEqual(text(result.kvs[0]!.value), value)
    }))

  it.effect("asks raft for nothing when every operation is refused", () =>
    Effect.gen(function*() {
      const { asked, kv } = yield* openKv()
      yield* kv.write([put("", "")], { timeoutMillis })
      yield* kv.write([], { timeoutMillis })
      const results = yield* kv.read(
        [range(""), range("a", "", { limit: -1 }), range("a", "", { limit: 1.5 })],
        linearizable
      )
      assert.deepStrictEqual(results.map((result) => result._tag === "Invalid" && result.reason), [
        "KeyEmpty",
        "LimitInvalid",
        "LimitInvalid"
      ])
      assert.deepStrictEqual(asked, { groups: [], stamps: [], barriers: 0, staleness: [], timeouts: [] })
    }))

  it.effect("reads behind one barrier per call, stale ones behind none", () =>
    Effect.gen(function*() {
      const { asked, kv } = yield* openKv()
      yield* kv.write([put("a", "1"), put("b", "2")], { timeoutMillis })
      const ops = [range("a"), range(""), range("a", "\0", { limit: 1 }), range("nothing")]
      const results = yield* kv.read(ops, linearizable)
      assert.deepStrictEqual(results.map(show), ["a=1@2/2/1", "KeyEmpty", "a=1@2/2/1 …", ""])
      assert.strictEqual(asked.barriers, 1)
      assert.deepStrictEqual(yield* kv.read(ops, stale), results)
      assert.strictEqual(asked.barriers, 1)
    }))

  it.effect("hands raft's refusals on as they are", () =>
    Effect.gen(function*() {
      const { fail, kv } = yield* openKv()
      fail(new RaftError({ reason: "Unknown", message: "who knows" }))
      assert.strictEqual((yield* Effect.flip(kv.write([put("a", "1")], { timeoutMillis }))).reason, "Unknown")
      assert.strictEqual((yield* Effect.flip(kv.read([range("a")], linearizable))).reason, "Unknown")
      assert.deepStrictEqual((yield* kv.read([range("a")], stale)).map(show), [""])
    }))

  it.effect("of a witness writes, and refuses every read", () =>
    Effect.gen(function*() {
      const groups: Array<number> = []
      const node = Layer.mock(RaftNode.RaftNode, {
        id: "0000000000000001",
        proposeEach: (commands) => {
          groups.push(commands.length)
          return Effect.fail(new RaftError({ reason: "NoLeader", message: "" }))
        }
      })
      const kv = yield* Effect.provide(Kv.Kv, Kv.layerWitness.pipe(Layer.provide(node)))
      assert.strictEqual((yield* Effect.flip(kv.write([put("a", "1")], { timeoutMillis }))).reason, "NoLeader")
      assert.deepStrictEqual(groups, [1])
      for (const options of [linearizable, stale]) {
        assert.strictEqual((yield* Effect.flip(kv.read([range("a", "")], options))).reason, "Witness")
      }
    }))

  it.effect("says Stopped when the member's own state cannot be read", () =>
    Effect.gen(function*() {
      const { kv, storage } = yield* openKv()
      storage.rows.set("Ka", Uint8Array.of(255))
      assert.strictEqual((yield* Effect.flip(kv.read([range("a")], stale))).reason, "Stopped")
    }))

  it.effect("ends a range at the size of an answer, so that asking again from behind the last key gives the rest", () =>
    Effect.gen(function*() {
      const { kv } = yield* openKv()
      const value = "x".repeat(1024 * 1024)
      for (const key of ["a", "b", "c", "d", "e", "f"]) yield* kv.write([put(key, value)], { timeoutMillis })
      const seen: Array<string> = []
      let from = "a"
      for (let more = true; more;) {
        const [result] = yield* kv.read([range(from, "\0")], stale)
        assert(result?._tag === "Range")
        assert.isAtMost(result.kvs.length, Limits.rangeBytesMax / value.length)
        for (const found of result.kvs) seen.push(text(found.key))
        more = result.more
        from = seen.at(-1) + "\0"
      }
      assert.deepStrictEqual(seen, ["a", "b", "c", "d", "e", "f"])
    }))

  it.effect("answers AnswerTooLarge for what one answer cannot hold, and everything else", () =>
    Effect.gen(function*() {
      const { kv, storage } = yield* openKv()
      const value = "x".repeat(Limits.valueBytesMax)
      yield* kv.write([put("a", value), put("b", "1")], { timeoutMillis })
      const fits = Math.floor(Limits.readBytesMax / Limits.valueBytesMax)
      const ops = [...Array.from({ length: fits + 2 }, () => range("a")), range("none")]
      for (const more of [[], [range("b", "c")]]) {
        const results = yield* kv.read([...ops, ...more], stale)
        const reasons = results.map((result) => result._tag === "Invalid" ? result.reason : result.kvs.length)
        const refused = Array.from({ length: results.length - fits }, () => "AnswerTooLarge")
        // A key that does not exist takes no room.
        if (more.length === 0) refused.splice(2, 1, 0 as never)
        assert.deepStrictEqual(reasons, [...Array.from({ length: fits }, () => 1), ...refused])
      }
      storage.gate.openUnsafe()
    }))

  it.effect("answers no more than it was given room for, whether it looks in memory or in the storage", () =>
    Effect.gen(function*() {
      const { kv } = yield* openKv()
      const ops = [range("a"), range("b"), range("c")]
      for (
        const [size, more] of [[1000, []], [Limits.cacheValueBytesMax + 1, []], [1000, [range("x", "y")]]] as const
      ) {
        for (const key of ["a", "b", "c"]) yield* kv.write([put(key, "x".repeat(size))], { timeoutMillis })
        for (let again = 0; again < 3; again++) {
          const results = yield* kv.read([...ops, ...more], { ...stale, answerBytesMax: size * 2.5 })
          const reasons = results.map((result) => result._tag === "Invalid" ? result.reason : result.kvs.length)
          assert.deepStrictEqual(reasons.slice(0, 3), [1, 1, "AnswerTooLarge"])
        }
      }
    }))

  it.effect("reads ranges with every kind of bound", () =>
    Effect.gen(function*() {
      const { kv } = yield* openKv()
      yield* kv.write(["a", "a\0", "b", "c", "\xff"].map((key) => put(key, "")), { timeoutMillis })
      const keys = (op: Kv.RangeOp) =>
        Effect.map(kv.read([op], stale), ([result]) => {
          assert(result?._tag === "Range")
          return result.kvs.map((found) => text(found.key)).join() + (result.more ? "…" : "")
        })
      assert.strictEqual(yield* keys(range("a")), "a")
      assert.strictEqual(yield* keys(range("a", "b")), "a,a\0")
      assert.strictEqual(yield* keys(range("b", "\0")), "b,c,\xff")
      assert.strictEqual(yield* keys(range("\0", "\0", { reverse: true, limit: 2 })), "\xff,c…")
      assert.strictEqual(yield* keys(range("\0", "\0", { limit: 5 })), "a,a\0,b,c,\xff")
      assert.strictEqual(yield* keys(range("b", "a")), "")
      assert.strictEqual(yield* keys(range("b", "b")), "")
      assert.strictEqual(yield* keys({ ...range("a"), end: bytes("\xff\xff") }), "a,a\0,b,c,\xff")
    }))

  it.effect("finds the living among any number of tombstones", () =>
    Effect.gen(function*() {
      const { kv } = yield* openKv()
      const names = Array.from({ length: 3000 }, (_, i) => `k${String(i).padStart(5, "0")}`)
      yield* kv.write(names.map((name) => put(name, "")), { timeoutMillis })
      yield* kv.write([del(names[1]!, names[2998])], { timeoutMillis })
      const found = yield* kv.read([range("k", "l"), range("k", "l", { limit: 2, reverse: true })], stale)
      assert.deepStrictEqual(found.map(show), [
        "k00000=@2/2/1 k02998=@3000/3000/1 k02999=@3001/3001/1",
        "k02999=@3001/3001/1 k02998=@3000/3000/1 …"
      ])
    }))

  it.effect("asks the storage for more with each page when there is nothing but tombstones", () =>
    Effect.gen(function*() {
      const { kv, storage } = yield* openKv()
      const names = Array.from({ length: 4000 }, (_, i) => `k${String(i).padStart(5, "0")}`)
      yield* kv.write(names.map((name) => put(name, "")), { timeoutMillis })
      yield* kv.write([del(names[0]!, names[3999])], { timeoutMillis })
      const before = storage.reads
      const found = yield* kv.read([range("k", "l", { limit: 1 })], stale)
      assert.deepStrictEqual(found.map(show), ["k03999=@4001/4001/1"])
      assert.isAtMost(storage.reads - before, 12)
    }))

  for (const read of [linearizable, stale]) {
    it.effect(`gives up a range at its deadline, which holds for barrier and walk together, if it is ${read.consistency}`, () =>
      Effect.gen(function*() {
        const { delayBarriers, kv, storage } = yield* openKv()
        yield* kv.write([put("a", "1")], { timeoutMillis })
        storage.answers = Latch.makeUnsafe(false)
        delayBarriers(1000)
        const late = yield* Effect.forkChild(Effect.flip(kv.read([range("a", "b")], read)), { startImmediately: true })
        yield* TestClock.adjust(timeoutMillis - 1)
        assert.isUndefined(late.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual((yield* Fiber.join(late)).reason, "Busy")
      }))
  }

  it.effect("answers an empty range for a key that does not exist", () =>
    Effect.gen(function*() {
      const { kv } = yield* openKv()
      assert.deepStrictEqual(yield* kv.read([range("a")], linearizable), [
        { _tag: "Range", revision: 1, kvs: [], more: false }
      ])
      const [compared] = yield* kv.write([swap("a", "1", 9)], { timeoutMillis })
      assert.deepStrictEqual(compared, { _tag: "Compared", revision: 1, succeeded: false, current: Option.none() })
    }))
})
