import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Wakeup from "../src/Wakeup.ts"

describe("wake-up", () => {
  it.effect("a ring before the wait is not lost, and many count as one", () =>
    Effect.gen(function*() {
      const wakeup = yield* Wakeup.make
      for (let count = 0; count < 5; count++) wakeup.ringUnsafe()
      yield* wakeup.wait
      const second = yield* Effect.forkChild(wakeup.wait)
      yield* Effect.yieldNow
      assert.isUndefined(second.pollUnsafe())
      wakeup.ringUnsafe()
      yield* Fiber.join(second)
    }))

  it.effect("the waiter runs in a turn of its own, not on the stack of the one who rings", () =>
    Effect.gen(function*() {
      const wakeup = yield* Wakeup.make
      let woken = 0
      yield* Effect.forkChild(Effect.forever(Effect.andThen(wakeup.wait, Effect.sync(() => woken++))))
      yield* Effect.yieldNow
      wakeup.ringUnsafe()
      wakeup.ringUnsafe()
      assert.strictEqual(woken, 0)
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.strictEqual(woken, 1)
    }))

  it.effect("a ring during the waiter's work brings it back once more", () =>
    Effect.gen(function*() {
      const wakeup = yield* Wakeup.make
      let rounds = 0
      const work = Effect.sync(() => {
        if (++rounds < 3) wakeup.ringUnsafe()
      })
      yield* Effect.forkChild(Effect.forever(Effect.andThen(wakeup.wait, work)))
      yield* Effect.yieldNow
      wakeup.ringUnsafe()
      for (let turn = 0; turn < 10; turn++) yield* Effect.yieldNow
      assert.strictEqual(rounds, 3)
    }))

  it.effect("a ring whose waiter gave up wakes the next one", () =>
    Effect.gen(function*() {
      const wakeup = yield* Wakeup.make
      const impatient = yield* Effect.forkChild(wakeup.wait.pipe(Effect.timeoutOption(10)))
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(impatient))._tag, "None")
      wakeup.ringUnsafe()
      yield* wakeup.wait

      const interrupted = yield* Effect.forkChild(wakeup.wait)
      yield* Effect.yieldNow
      wakeup.ringUnsafe()
      yield* Fiber.interrupt(interrupted)
      yield* wakeup.wait
    }))
})
