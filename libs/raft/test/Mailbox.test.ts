import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Limits from "../src/Limits.ts"
import * as Mailbox from "../src/Mailbox.ts"

const frame = new Uint8Array(10)

describe("mailbox", () => {
  it.effect("a peer's lane is bounded in frames: more are dropped, and other peers' are not", () =>
    Effect.gen(function*() {
      const mailbox = yield* Mailbox.make()
      for (let count = 0; count < Limits.peerFramesMax; count++) assert.isTrue(mailbox.receive("a", frame))
      assert.isFalse(mailbox.receive("a", frame))
      assert.isTrue(mailbox.receive("b", frame))
      assert.strictEqual(mailbox.takeFrames().length, Limits.peerFramesMax + 1)
      assert.isTrue(mailbox.receive("a", frame), "there is room again")
    }))

  it.effect("a peer's lane is bounded in bytes, but a frame of any size gets in when it is empty", () =>
    Effect.gen(function*() {
      const mailbox = yield* Mailbox.make()
      const half = new Uint8Array(Limits.peerFrameBytesMax / 2)
      assert.isTrue(mailbox.receive("a", half))
      assert.isTrue(mailbox.receive("a", half))
      assert.isFalse(mailbox.receive("a", frame))
      mailbox.takeFrames()
      assert.isTrue(mailbox.receive("a", new Uint8Array(Limits.peerFrameBytesMax + 1)))
      assert.isFalse(mailbox.receive("a", frame))
    }))

  it.effect("completions are never refused, whatever the peers do", () =>
    Effect.gen(function*() {
      const mailbox = yield* Mailbox.make()
      while (mailbox.receive("a", frame));
      for (let number = 1; number <= 10_000; number++) mailbox.complete({ _tag: "Written", number })
      const taken = mailbox.takeCompletions()
      assert.strictEqual(taken.length, 10_000)
      assert.deepStrictEqual(taken[9_999], { _tag: "Written", number: 10_000 })
      assert.strictEqual(mailbox.takeCompletions().length, 0)
    }))

  it.effect("frames come out in the order they came in, from all peers together", () =>
    Effect.gen(function*() {
      const mailbox = yield* Mailbox.make()
      for (const from of ["a", "b", "a"]) mailbox.receive(from, frame)
      assert.deepStrictEqual(mailbox.takeFrames().map(({ from }) => from), ["a", "b", "a"])
    }))

  it.effect("anything that comes wakes the one who waits", () =>
    Effect.gen(function*() {
      for (const knock of ["complete", "receive"] as const) {
        const mailbox = yield* Mailbox.make()
        const waiting = yield* Effect.forkChild(mailbox.wakeup.wait)
        yield* Effect.yieldNow
        if (knock === "complete") mailbox.complete({ _tag: "ElectionTimer" })
        else mailbox.receive("a", frame)
        yield* Fiber.join(waiting)
      }
    }))
})
