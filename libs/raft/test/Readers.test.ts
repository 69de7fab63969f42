import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Limits from "../src/Limits.ts"
import { Readers } from "../src/Readers.ts"
import * as Wakeup from "../src/Wakeup.ts"

const make = Effect.map(Wakeup.make, (bell) => {
  const readers = new Readers(bell, 1)
  const answers: Array<string | undefined> = []
  const add = (deadline = 1000) => {
    const position = answers.push(undefined) - 1
    return readers.add(deadline, (exit) => {
      assert.isUndefined(answers[position], "answered twice")
      const reason = exit._tag === "Failure" ? exit.cause.reasons[0] : undefined
      answers[position] = exit._tag === "Success"
        ? String(exit.value)
        : reason?._tag === "Fail"
        ? reason.error.reason
        : "?"
    })
  }
  return { readers, answers, add }
})

describe("readers", () => {
  it.effect("all that arrive together ask once, and go ahead when the index is applied here", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add()
      add()
      const id = readers.take(0)
      assert.strictEqual(readers.take(0), 0, "nobody else asks")
      readers.answered(id, 7, 5, 0)
      readers.applied(6)
      assert.deepStrictEqual(answers, [undefined, undefined])
      readers.applied(8)
      assert.deepStrictEqual(answers, ["8", "8"])
      assert.strictEqual(readers.size, 0)
    }))

  it.effect("an index that is applied already lets them go at once", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add()
      readers.answered(readers.take(0), 7, 9, 0)
      assert.deepStrictEqual(answers, ["9"])
    }))

  it.effect("who comes while others ask is not served by their answer", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add()
      const first = readers.take(0)
      add()
      readers.answered(first, 1, 1, 0)
      assert.deepStrictEqual(answers, ["1", undefined])
      assert.notStrictEqual(readers.take(0), first)
    }))

  it.effect("what an answer has shown counts from when it was asked for, and only once it is applied here", () =>
    Effect.gen(function*() {
      const { add, readers } = yield* make
      assert.isFalse(readers.isFresh(100, 1e9))
      add()
      const id = readers.take(100)
      readers.answered(id, 7, 5, 160)
      assert.isFalse(readers.isFresh(160, 60), "not applied yet")
      readers.applied(7)
      assert.isTrue(readers.isFresh(160, 60))
      assert.isFalse(readers.isFresh(161, 60))
    }))

  it.effect("a member that stops serves no stale read either", () =>
    Effect.gen(function*() {
      const { add, readers } = yield* make
      add()
      readers.answered(readers.take(0), 1, 1, 0)
      assert.isTrue(readers.isFresh(1, 10))
      readers.stop()
      assert.isFalse(readers.isFresh(1, 10))
    }))

  it.effect("an answer to a question that nobody asks any more is ignored", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add()
      const id = readers.take(0)
      readers.answered(id + 77, 1, 1, 0)
      assert.deepStrictEqual(answers, [undefined])
      readers.answered(id, 1, 1, 0)
      readers.answered(id, 2, 2, 0)
      assert.deepStrictEqual(answers, ["1"])
    }))

  it.effect("where every answer takes longer than they wait before they ask again, the first answer lets them go", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add(10_000)
      const ids: Array<number> = []
      for (let time = 0; time < 4 * Limits.readRetryMillis; time += Limits.readRetryMillis) {
        readers.expire(time)
        ids.push(readers.take(time))
      }
      assert.strictEqual(new Set(ids).size, 4)
      readers.answered(ids[2]!, -1, 0, 2000)
      assert.deepStrictEqual(answers, [undefined], "the last question is still out")
      readers.answered(ids[1]!, 7, 6, 2000)
      readers.applied(7)
      assert.deepStrictEqual(answers, ["7"])
      assert.isTrue(readers.isFresh(2000, 1500), "as of when the question was asked that has the answer")
      assert.isFalse(readers.isFresh(2000, 1499))
      readers.answered(ids[3]!, 8, 8, 2000)
      assert.strictEqual(readers.size, 0)
    }))

  it.effect("whose index is known, and not applied yet, does not ask again", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add(10_000)
      const first = readers.take(0)
      readers.expire(Limits.readRetryMillis)
      const second = readers.take(Limits.readRetryMillis)
      readers.answered(first, 7, 5, 600)
      readers.expire(10 * Limits.readRetryMillis)
      assert.strictEqual(readers.take(10 * Limits.readRetryMillis), 0)
      readers.answered(second, -1, 5, 6000)
      readers.unpark(7000, true)
      assert.strictEqual(readers.take(7000), 0)
      readers.applied(7)
      assert.deepStrictEqual(answers, ["7"])
    }))

  it.effect("questions that were asked again are remembered only for so many reads, and while somebody waits", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      const count = 100_000
      for (let reader = 0; reader < count; reader++) add(1e9)
      const ids: Array<number> = []
      for (let time = 0; ids.length <= Limits.lateReadsMax / count + 1; time += Limits.readRetryMillis) {
        readers.expire(time)
        ids.push(readers.take(time))
      }
      readers.answered(ids[0]!, 1, 1, 0)
      assert.isUndefined(answers[0], "forgotten")
      readers.answered(ids[1]!, 1, 1, 0)
      assert.strictEqual(answers[0], "1")
    }))

  it.effect("what is confirmed and not applied in time is not put down to the leader", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add(100)
      readers.answered(readers.take(0), 9, 1, 0)
      readers.expire(100)
      assert.deepStrictEqual(answers, ["Busy"])
      add(1000)
      const first = readers.take(100)
      readers.expire(100 + Limits.readRetryMillis)
      readers.take(100 + Limits.readRetryMillis)
      readers.answered(first, 9, 1, 700)
      readers.expire(1000)
      assert.deepStrictEqual(answers, ["Busy", "Busy"], "the second question, still out, changes nothing")
    }))

  it.effect("without a leader they wait a little, or until one is known, and ask again", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add()
      readers.answered(readers.take(0), -1, 0, 0)
      assert.strictEqual(readers.take(0), 0)
      readers.unpark(Limits.retryMillis - 1, false)
      assert.strictEqual(readers.take(0), 0)
      readers.unpark(Limits.retryMillis, false)
      const again = readers.take(Limits.retryMillis)
      assert.notStrictEqual(again, 0)
      readers.answered(again, -1, 0, 60)
      readers.unpark(60, true)
      readers.answered(readers.take(60), 3, 3, 60)
      assert.deepStrictEqual(answers, ["3"])
    }))

  it.effect("a silent leader is asked again", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add()
      readers.take(0)
      assert.strictEqual(readers.expire(0), Limits.readRetryMillis)
      readers.expire(Limits.readRetryMillis)
      readers.answered(readers.take(Limits.readRetryMillis), 2, 2, 0)
      assert.deepStrictEqual(answers, ["2"])
    }))

  it.effect("the deadline answers wherever they wait", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add(100)
      readers.answered(readers.take(0), 9, 1, 0)
      add(100)
      readers.take(0)
      add(100)
      readers.answered(readers.take(0), -1, 0, 0)
      add(100)
      add(101)
      assert.strictEqual(readers.expire(100), 50)
      assert.deepStrictEqual(answers, ["Busy", "NoLeader", "NoLeader", "NoLeader", undefined])
      assert.strictEqual(readers.size, 1)
    }))

  it.effect("who was answered at the deadline does not ask again for ever", () =>
    Effect.gen(function*() {
      const { add, readers } = yield* make
      add(100)
      readers.take(0)
      readers.expire(100)
      readers.expire(Limits.readRetryMillis)
      assert.strictEqual(readers.take(Limits.readRetryMillis), 0)
    }))

  it.effect("when the member stops everyone is told", () =>
    Effect.gen(function*() {
      const { add, answers, readers } = yield* make
      add()
      readers.answered(readers.take(0), 9, 1, 0)
      add()
      readers.take(0)
      add()
      readers.stop()
      assert.deepStrictEqual(answers, ["Stopped", "Stopped", "Stopped"])
    }))

  it.effect("only so many wait; more are told to come later", () =>
    Effect.gen(function*() {
      const { add, readers } = yield* make
      for (let count = 0; count < Limits.readsMax; count++) add()
      assert.strictEqual(add()?.reason, "Busy")
      readers.answered(readers.take(0), 1, 1, 0)
      assert.isUndefined(add())
    }))
})
