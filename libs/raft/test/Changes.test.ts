import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Changes } from "../src/Changes.ts"
import * as Limits from "../src/Limits.ts"
import * as Wakeup from "../src/Wakeup.ts"

const make = Effect.map(Wakeup.make, (bell) => {
  const changes = new Changes(bell, 1)
  const answers: Array<string | undefined> = []
  const add = (deadline = 1000) => {
    const position = answers.push(undefined) - 1
    changes.add({ _tag: "Transfer", to: "" }, deadline, (refusal, leader) => {
      assert.isUndefined(answers[position], "answered twice")
      answers[position] = refusal ?? `done by ${leader}`
    })
    return changes.take()[0]
  }
  return { changes, answers, add }
})

describe("changes of membership and leadership", () => {
  it.effect("the leader's answer reaches the caller once", () =>
    Effect.gen(function*() {
      const { add, answers, changes } = yield* make
      const one = add()!
      const other = add()!
      changes.settle(one.id, undefined, "l")
      changes.settle(one.id, "Pending", "l")
      changes.settle(other.id, "NotReady", "l")
      assert.deepStrictEqual(answers, ["done by l", "NotReady"])
      assert.strictEqual(changes.size, 0)
    }))

  it.effect("the deadline leaves unknown what a leader may have, and the rest undone", () =>
    Effect.gen(function*() {
      const { add, answers, changes } = yield* make
      add()!.underWay = true
      add()
      assert.strictEqual(changes.expire(999), 1000)
      assert.strictEqual(changes.expire(1000), Infinity)
      assert.deepStrictEqual(answers, ["Unknown", "NoLeader"])
    }))

  it.effect("a broken link makes unknown what was asked over it", () =>
    Effect.gen(function*() {
      const { add, answers, changes } = yield* make
      add()!.forwardedTo = "one"
      add()!.forwardedTo = "two"
      add()
      changes.linkLost("one")
      assert.deepStrictEqual(answers, ["Unknown", undefined, undefined])
    }))

  it.effect("what no leader took is tried again at its time, or as soon as one is known", () =>
    Effect.gen(function*() {
      const { add, answers, changes } = yield* make
      const change = add()!
      const { id } = change
      change.forwardedTo = "one"
      change.underWay = true
      changes.park(change, 0)
      assert.isUndefined(changes.get(id), "whoever had it would take it for a copy")
      assert.strictEqual(changes.get(change.id), change)
      changes.linkLost("one")
      assert.deepStrictEqual(answers, [undefined])
      changes.unpark(Limits.retryMillis - 1, false)
      assert.deepStrictEqual(changes.take(), [])
      changes.unpark(Limits.retryMillis, false)
      assert.strictEqual(changes.take().length, 1)
      changes.park(change, 100)
      changes.unpark(100, true)
      assert.strictEqual(changes.take().length, 1)
      changes.park(change, 200)
      changes.expire(1000)
      changes.unpark(2000, true)
      assert.deepStrictEqual(changes.take(), [])
      assert.deepStrictEqual(answers, ["NoLeader"])
    }))

  it.effect("when the member stops everyone is told", () =>
    Effect.gen(function*() {
      const { add, answers, changes } = yield* make
      add()!.underWay = true
      add()
      changes.stop()
      assert.deepStrictEqual(answers, ["Unknown", "Stopped"])
    }))

  it.effect("only so many wait; more are told to come later", () =>
    Effect.gen(function*() {
      const { add, answers } = yield* make
      for (let count = 0; count < Limits.changesMax; count++) add()
      add()
      assert.strictEqual(answers.at(-1), "Busy")
    }))
})
