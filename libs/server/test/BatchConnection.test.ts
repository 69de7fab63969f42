import type { Kv } from "@dkv/kv"
import { BatchReply, BatchRequest, Bytes, Frame, Limits as WireLimits } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import { Limits as RaftLimits } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Queue } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Socket } from "effect/socket"
import { TestClock } from "effect/testing"
import { BatchConnection } from "../src/BatchConnection.ts"
import { Account, Intake } from "../src/Intake.ts"
import * as Limits from "../src/Limits.ts"

const mebi = 1024 * 1024

type Chunks = NonEmptyReadonlyArray<Uint8Array>

/** What the other end takes at once. */
const gulp = 1024 * 1024

/** A connection whose other end is the test. Each gulp waits for `taken` before the next one. */
const connect = Effect.fnUntraced(function*(kv: Partial<Kv.Kv["Service"]>, options: {
  readonly intake?: Intake
  readonly taken?: Effect.Effect<void>
} = {}) {
  const intake = options.intake ?? new Intake()
  const input = yield* Queue.unbounded<Chunks>()
  const replies = new Map<number, ReadonlyArray<Operation.Result>>()
  const decoder = new Frame.Decoder(WireLimits.replyBytesMax)
  const notices: Array<string> = []
  const take = (bytes: Uint8Array) =>
    Effect.suspend(() => {
      decoder.push(bytes, (frame) => {
        const reply = BatchReply.decode(frame)
        if ("code" in reply) notices.push(reply.code)
        else replies.set(reply.id, reply.results)
      })
      return options.taken ?? Effect.void
    })
  const writeAll = (chunks: ReadonlyArray<Uint8Array | string>) => {
    const bytes = Buffer.concat(chunks as ReadonlyArray<Uint8Array>)
    const gulps = Array.from(
      { length: Math.ceil(bytes.length / gulp) },
      (_, each) => bytes.subarray(each * gulp, (each + 1) * gulp)
    )
    return Effect.forEach(gulps, take, { discard: true })
  }
  const writer: Socket.Writer = { write: (chunk) => writeAll([chunk as Uint8Array]), writeAll }
  const connection = new BatchConnection(
    { write: () => Effect.never, read: () => Effect.never, ...kv },
    intake,
    yield* Effect.context<never>(),
    yield* Effect.scope
  )
  yield* Effect.forkScoped(connection.run(Queue.take(input), writer), { startImmediately: true })
  const send = (...chunks: Array<Uint8Array>) => Queue.offerUnsafe(input, [Buffer.concat(chunks)])
  return { connection, intake, notices, replies, send, writer }
})

const until = (done: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => done() ? Effect.void : Effect.andThen(Effect.yieldNow, until(done)))

const settled = Effect.repeat(Effect.yieldNow, { times: 200 })

const batch = (
  id: number,
  operations: ReadonlyArray<Operation.Operation>,
  consistency: Operation.Consistency = "linearizable"
): Uint8Array => BatchRequest.encode({ id, consistency, timeoutMillis: 1000, operations })

const put = (bytes: number): Operation.Operation => ({
  _tag: "Put",
  key: Bytes.utf8("k"),
  value: new Uint8Array(bytes)
})
const get: Operation.Operation = { _tag: "Range", key: Bytes.utf8("k"), end: Bytes.empty, limit: 0, reverse: false }
const scan: Operation.Operation = { ...get, end: Bytes.utf8("z") }

/** Answers of 4 MiB each, and no more than four of them in one call, as the real service does. */
const bounded = (calls: Array<number>): Partial<Kv.Kv["Service"]> => ({
  read: (ops) =>
    Effect.sync(() => {
      calls.push(ops.length)
      return ops.map(({ key }, place): Kv.RangeResult =>
        place >= 4
          ? { _tag: "Invalid", reason: "AnswerTooLarge", message: "too large" }
          : {
            _tag: "Range",
            revision: 2,
            more: false,
            kvs: [{
              key,
              value: new Uint8Array(4 * mebi - 100).fill(7),
              createRevision: 2,
              modRevision: 2,
              version: 1,
              lease: 0
            }]
          }
      )
    })
})

/** Answers of `valueBytes` each, as many as there is room for; counts what it was asked, and with how much room. */
const sized = (valueBytes: number, calls: Array<readonly [count: number, room: number | undefined]>) => ({
  read: (ops, { answerBytesMax }) =>
    Effect.sync(() => {
      calls.push([ops.length, answerBytesMax])
      let left = answerBytesMax ?? Infinity
      return ops.map(({ key }): Kv.RangeResult => {
        left -= valueBytes
        return left < 0 ? { _tag: "Invalid", reason: "AnswerTooLarge", message: "too large" } : {
          _tag: "Range",
          revision: 2,
          more: false,
          kvs: [{ key, value: new Uint8Array(valueBytes), createRevision: 2, modRevision: 2, version: 1, lease: 0 }]
        }
      })
    })
} satisfies Partial<Kv.Kv["Service"]>)

const stamped = (id: number, session: number, sequence: number, lowestUnanswered: number): Uint8Array =>
  BatchRequest.encode({
    id,
    consistency: "linearizable",
    timeoutMillis: 1000,
    stamp: { session: { index: session, term: 1 }, lowestUnanswered, runs: [{ sequence, count: 1 }] },
    operations: [put(1)]
  })

describe("a batch connection", () => {
  it.effect("whose client takes a long reply slowly goes on, and one whose client takes nothing is stalled", () =>
    Effect.gen(function*() {
      const taken = yield* Queue.unbounded<void>()
      const { connection, replies, send } = yield* connect(bounded([]), { taken: Queue.take(taken) })
      send(batch(1, [scan]))
      yield* settled
      while (!replies.has(1)) {
        for (let look = 0; look < Limits.stallChecksMax; look++) assert.isFalse(connection.isStalled())
        Queue.offerUnsafe(taken, undefined)
        yield* settled
      }
      for (let look = 0; look < Limits.stallChecksMax; look++) assert.isFalse(connection.isStalled())
      assert.isTrue(connection.isStalled())
    }).pipe(Effect.scoped))

  it.effect("that the member does not read for want of memory is not stalled with its half-sent frame", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const [first, other] = [new Account(), new Account()]
      const { connection, send } = yield* connect({}, { intake })
      const whole = batch(1, [put(mebi)])
      send(whole.subarray(0, mebi / 2))
      yield* settled
      intake.hold(first, Limits.inflightFloorBytes)
      intake.hold(other, Limits.inflightBytesTotalMax)
      intake.enqueue(first)
      send(whole.subarray(mebi / 2, mebi / 2 + 1))
      yield* settled
      for (let look = 0; look < 20; look++) assert.isFalse(connection.isStalled())
      intake.forget(other)
      for (let look = 1; look < Limits.stallChecksMax; look++) connection.isStalled()
      assert.isTrue(connection.isStalled())
    }).pipe(Effect.scoped))

  it.effect("whose client falls silent within a frame is stalled, though others have filled the memory since", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const { connection, send } = yield* connect({}, { intake })
      send(batch(1, [put(mebi)]).subarray(0, mebi / 2))
      yield* settled
      intake.hold(new Account(), Limits.inflightBytesTotalMax)
      for (let look = 1; look < Limits.stallChecksMax; look++) assert.isFalse(connection.isStalled())
      assert.isTrue(connection.isStalled())
    }).pipe(Effect.scoped))

  it.effect("that ends in the middle of a reply still sends all of it, and then why, and nothing behind that", () =>
    Effect.gen(function*() {
      const taken = yield* Queue.unbounded<void>()
      const { connection, notices, replies, send, writer } = yield* connect(bounded([]), { taken: Queue.take(taken) })
      send(batch(1, [scan]))
      yield* settled
      assert.isFalse(replies.has(1))
      yield* Effect.forkChild(connection.notify(writer, "Stalled", ""), { startImmediately: true })
      send(batch(2, [get]))
      for (let count = 0; count < 40; count++) Queue.offerUnsafe(taken, undefined)
      yield* settled
      const { kvs } = replies.get(1)![0] as Kv.RangeResult & { readonly _tag: "Range" }
      assert.strictEqual(kvs[0]!.value.length, 4 * mebi - 100)
      assert.isTrue(kvs[0]!.value.every((byte) => byte === 7))
      assert.deepStrictEqual(notices, ["Stalled"])
      assert.isFalse(replies.has(2))
    }).pipe(Effect.scoped))

  it.effect("puts writes of one client session together, and never those of two, or of one and none", () =>
    Effect.gen(function*() {
      const groups: Array<string> = []
      const { replies, send } = yield* connect({
        write: (ops, { session }) => {
          const runs = session?.runs.map(({ count, sequence }) => `${sequence}+${count}`).join(",")
          groups.push(session === undefined ? "none" : `${session.session.index}/${session.lowestUnanswered}: ${runs}`)
          return Effect.succeed(ops.map(() => ({ _tag: "Put", revision: 2 })))
        }
      })
      send(stamped(1, 5, 1, 1), stamped(2, 5, 4, 2), stamped(3, 6, 1, 1), batch(4, [put(1)]), stamped(5, 5, 5, 3))
      yield* until(() => replies.size === 5)
      assert.deepStrictEqual(groups, ["5/1: 1+1,4+1", "6/1: 1+1", "none", "5/3: 5+1"])
    }))

  it.effect("gives what asks for days no more than the longest time", () =>
    Effect.gen(function*() {
      const given: Array<number> = []
      const { replies, send } = yield* connect({
        write: (ops, { timeoutMillis }) => {
          given.push(timeoutMillis)
          return Effect.succeed(ops.map(() => ({ _tag: "Put", revision: 2 })))
        },
        read: (ops, { timeoutMillis }) => {
          given.push(timeoutMillis)
          return Effect.succeed(ops.map(() => ({ _tag: "Range", revision: 2, kvs: [], more: false })))
        }
      })
      const timeoutMillis = WireLimits.timeoutMillisMax
      send(BatchRequest.encode({ id: 1, consistency: "linearizable", timeoutMillis, operations: [put(1), get] }))
      send(BatchRequest.encode({ id: 2, consistency: "stale", timeoutMillis, operations: [scan] }))
      yield* until(() => replies.size === 2)
      assert.deepStrictEqual(given, [1, 2, 3].map(() => Limits.batchTimeoutMillisMax))
    }).pipe(Effect.scoped))

  it.effect("asks for reads that may be stale as the most particular of them wants it", () =>
    Effect.gen(function*() {
      const asked: Array<Operation.Consistency> = []
      const { replies, send } = yield* connect({
        read: (ops, { consistency }) => {
          asked.push(consistency)
          return Effect.succeed(ops.map(() => ({ _tag: "Range", revision: 2, kvs: [], more: false })))
        }
      })
      send(batch(1, [get], { maxStalenessMillis: 500 }), batch(2, [get]), batch(3, [get], { maxStalenessMillis: 200 }))
      yield* until(() => replies.size === 3)
      assert.deepStrictEqual(asked, ["linearizable", { maxStalenessMillis: 200 }])
    }))

  it.effect("cuts what came together into groups that raft takes, in order", () =>
    Effect.gen(function*() {
      const groups: Array<ReadonlyArray<number>> = []
      const { replies, send } = yield* connect({
        write: (ops) => {
          groups.push(ops.map((op) => op._tag === "Put" ? op.value.length : 0))
          return Effect.succeed(ops.map(() => ({ _tag: "Put", revision: 2 })))
        }
      })
      const sizes = [mebi, mebi + 1, mebi + 2]
      send(...Array.from({ length: 8 }, (_, each) => batch(each + 1, sizes.map((size) => put(size + each)))))
      yield* until(() => replies.size === 8)
      for (const group of groups) {
        assert.isAtMost(group.reduce((sum, size) => sum + size + 64, 0), RaftLimits.groupBytesMax)
      }
      assert.deepStrictEqual(
        groups.flat(),
        Array.from({ length: 8 }, (_, each) => sizes.map((size) => size + each)).flat()
      )
      assert.strictEqual(groups.length, 4)
    }).pipe(Effect.scoped))

  it.effect("asks again for batches that others of the same read left no room for", () =>
    Effect.gen(function*() {
      const calls: Array<number> = []
      const { replies, send } = yield* connect(bounded(calls))
      send(...Array.from({ length: 10 }, (_, each) => batch(each + 1, [scan])))
      yield* until(() => replies.size === 10)
      assert.deepStrictEqual(calls, [10, 6, 2])
      for (const results of replies.values()) assert.strictEqual(results[0]!._tag, "Range")
    }).pipe(Effect.scoped))

  it.effect("leaves it to the client to cut a batch whose own answers are too large", () =>
    Effect.gen(function*() {
      const calls: Array<number> = []
      const { replies, send } = yield* connect(bounded(calls))
      send(batch(1, [scan, scan, scan, scan, scan, scan]), batch(2, [get]))
      yield* until(() => replies.size === 2)
      assert.deepStrictEqual(calls, [7, 1])
      const tags = replies.get(1)!.map((result) => "reason" in result ? result.reason : result._tag)
      assert.strictEqual(tags[0], "Range")
      assert.strictEqual(tags[5], "AnswerTooLarge")
      assert.strictEqual(replies.get(2)![0]!._tag, "Range")
    }).pipe(Effect.scoped))

  it.effect("does not read on for a client that does not take its answers", () =>
    Effect.gen(function*() {
      const calls: Array<number> = []
      const gate = yield* Deferred.make<void>()
      const { replies, send } = yield* connect(bounded(calls), { taken: Deferred.await(gate) })
      send(...Array.from({ length: 40 }, (_, each) => batch(each + 1, [scan])))
      yield* settled
      assert.isAtMost(calls.length, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => replies.size === 40)
    }).pipe(Effect.scoped))

  it.effect("reads keys at once as far as there is room for their answers, and the rest in turn", () =>
    Effect.gen(function*() {
      const calls: Array<readonly [number, number | undefined]> = []
      const { replies, send } = yield* connect(sized(mebi, calls))
      send(batch(1, [get, get]), batch(2, [get, get, get]), batch(3, [get]))
      yield* until(() => replies.size === 3)
      assert.deepStrictEqual(calls, [[6, Limits.answerBytesMax], [4, undefined]])
      for (const results of replies.values()) assert.isTrue(results.every(({ _tag }) => _tag === "Range"))
    }).pipe(Effect.scoped))

  it.effect("sets room aside for the answers of reads under way, and gives all of it back", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const gate = yield* Deferred.make<void>()
      const { read } = sized(100, [])
      const { replies, send } = yield* connect({
        read: (...asked) => Effect.andThen(Deferred.await(gate), read(...asked))
      }, { intake })
      const before = intake.allowance
      for (let id = 1; id <= 40; id++) {
        send(batch(id, [get]))
        yield* settled
      }
      assert.isBelow(intake.allowance, before * 0.9)
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => replies.size === 40)
      yield* settled
      assert.strictEqual(intake.allowance, before)
    }).pipe(Effect.scoped))

  it.effect("leaves large answers for later while others do not take theirs, and gives small ones", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const other = new Account()
      intake.hold(other, Limits.inflightBytesTotalMax)
      intake.owe(other, Limits.unsentBytesTotalMax)
      const calls: Array<readonly [number, number | undefined]> = []
      const large = yield* connect(sized(mebi, calls), { intake })
      const small = yield* connect(sized(100, []), { intake })
      large.send(batch(1, [get]))
      small.send(batch(1, [get]))
      yield* until(() => small.replies.has(1))
      yield* settled
      assert.deepStrictEqual(calls, [[1, Limits.answerBytesMin]])
      intake.forget(other)
      yield* until(() => large.replies.has(1))
      assert.strictEqual(large.replies.get(1)![0]!._tag, "Range")
    }).pipe(Effect.scoped))

  it.effect("counts the replies that wait for it to read, until it has, or is gone", () =>
    Effect.gen(function*() {
      const owed: Array<number> = []
      class Watched extends Intake {
        override owe(account: Account, bytes: number): void {
          super.owe(account, bytes)
          owed.push(bytes)
        }
      }
      const taken = yield* Queue.unbounded<void>()
      const { connection, replies, send } = yield* connect(sized(mebi, []), {
        intake: new Watched(),
        taken: Queue.take(taken)
      })
      send(batch(1, [get]))
      yield* until(() => owed.at(-1)! > mebi)
      for (let count = 0; count < 3; count++) Queue.offerUnsafe(taken, undefined)
      yield* until(() => replies.has(1) && owed.at(-1) === 0)
      send(batch(2, [get]))
      yield* until(() => owed.at(-1)! > mebi)
      connection.end()
      assert.strictEqual(owed.at(-1), 0)
    }).pipe(Effect.scoped))

  it.effect("carries out so many scans at once over all connections, and others beside them", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const gate = yield* Deferred.make<void>()
      let running = 0
      let most = 0
      const kv: Partial<Kv.Kv["Service"]> = {
        read: (ops, { consistency }) =>
          Effect.suspend(() => {
            const results = ops.map((): Kv.RangeResult => ({ _tag: "Range", revision: 1, kvs: [], more: false }))
            if (ops[0]!.end.length === 0 || consistency === "stale") return Effect.succeed(results)
            most = Math.max(most, ++running)
            return Effect.map(Deferred.await(gate), () => {
              running--
              return results
            })
          })
      }
      const peers = yield* Effect.forEach(Array.from({ length: 40 }), () => connect(kv, { intake }))
      for (const { send } of peers) {
        send(batch(1, [scan]))
        send(batch(2, [get]))
        send(batch(3, [scan], "stale"))
      }
      yield* until(() => peers.every(({ replies }) => replies.has(2) && replies.has(3)))
      assert.strictEqual(running, Limits.scanReadsMax)
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => peers.every(({ replies }) => replies.has(1)))
      assert.strictEqual(most, Limits.scanReadsMax)
    }).pipe(Effect.scoped))

  it.effect("does not keep scans waiting for their turn beyond their time, and carries out others later", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const gate = yield* Deferred.make<void>()
      let calls = 0
      const kv: Partial<Kv.Kv["Service"]> = {
        read: (ops) => {
          calls++
          return Effect.as(
            Deferred.await(gate),
            ops.map((): Kv.RangeResult => ({ _tag: "Range", revision: 1, kvs: [], more: false }))
          )
        }
      }
      const peers = yield* Effect.forEach(Array.from({ length: 40 }), () => connect(kv, { intake }))
      for (const { send } of peers) send(batch(1, [scan]))
      yield* until(() => calls === Limits.scanReadsMax)
      yield* TestClock.adjust(1000)
      const late = peers.filter(({ replies }) => replies.has(1))
      assert.strictEqual(late.length, 40 - Limits.scanReadsMax)
      for (const { replies } of late) assert.deepInclude(replies.get(1)![0]!, { _tag: "Failed", reason: "Busy" })
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => peers.every(({ replies }) => replies.has(1)))
      for (const { send } of peers) send(batch(2, [scan]))
      yield* until(() => peers.every(({ replies }) => replies.get(2)?.[0]?._tag === "Range"))
      assert.strictEqual(calls, Limits.scanReadsMax + 40)
    }).pipe(Effect.scoped))

  it.effect("gives a scan that has waited for its turn what is left of its time, and one that has not all of it", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const gate = yield* Deferred.make<void>()
      const given: Array<number> = []
      const kv: Partial<Kv.Kv["Service"]> = {
        read: (ops, { timeoutMillis }) => {
          given.push(timeoutMillis)
          return Effect.as(
            Deferred.await(gate),
            ops.map((): Kv.RangeResult => ({ _tag: "Range", revision: 1, kvs: [], more: false }))
          )
        }
      }
      const peers = yield* Effect.forEach(
        Array.from({ length: Limits.scanReadsMax + 1 }),
        () => connect(kv, { intake })
      )
      for (const { send } of peers) send(batch(1, [scan]))
      yield* until(() => given.length === Limits.scanReadsMax)
      yield* TestClock.adjust(400)
      yield* Deferred.succeed(gate, undefined)
      yield* until(() => peers.every(({ replies }) => replies.has(1)))
      assert.deepStrictEqual(given, [...Array.from({ length: Limits.scanReadsMax }, () => 1000), 600])
    }).pipe(Effect.scoped))

  it.effect("counts what it holds, half a frame included, and gives all of it back", () =>
    Effect.gen(function*() {
      const held: Array<number> = []
      class Watched extends Intake {
        override hold(account: Account, bytes: number): void {
          super.hold(account, bytes)
          held.push(bytes)
        }
      }
      const { connection, replies, send } = yield* connect({
        write: (ops) => Effect.as(Effect.yieldNow, ops.map(() => ({ _tag: "Put", revision: 2 })))
      }, { intake: new Watched() })
      const whole = batch(1, [put(mebi)])
      send(whole.subarray(0, mebi / 2))
      yield* until(() => held.at(-1)! >= mebi / 2 - 4)
      send(whole.subarray(mebi / 2))
      yield* until(() => replies.has(1))
      yield* settled
      assert.isAtLeast(Math.max(...held), mebi)
      assert.strictEqual(held.at(-1), 0)
      send(whole.subarray(0, mebi / 2))
      yield* until(() => held.at(-1)! >= mebi / 2 - 4)
      connection.end()
      assert.strictEqual(held.at(-1), 0)
    }).pipe(Effect.scoped))

  it.effect("waits while others fill the memory, but still finishes what it has begun to send", () =>
    Effect.gen(function*() {
      const intake = new Intake()
      const [first, other] = [new Account(), new Account()]
      intake.hold(first, Limits.inflightFloorBytes)
      intake.hold(other, Limits.inflightBytesTotalMax)
      intake.enqueue(first)
      const { replies, send } = yield* connect(
        { write: (ops) => Effect.succeed(ops.map(() => ({ _tag: "Put", revision: 2 }))) },
        { intake }
      )
      const whole = batch(1, [put(mebi)])
      send(whole.subarray(0, mebi / 2))
      yield* settled
      send(whole.subarray(mebi / 2))
      yield* settled
      assert.isFalse(replies.has(1))
      intake.answered(first)
      yield* until(() => replies.has(1))
    }).pipe(Effect.scoped))
})
