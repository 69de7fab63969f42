import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Account, Intake } from "../src/Intake.ts"
import * as Limits from "../src/Limits.ts"

const some = Limits.inflightFloorBytes
const all = Limits.inflightBytesTotalMax

/** Reads as a connection does; each read adds `some`. */
const reader = (intake: Intake, account: Account, reads: Array<Account>) => {
  const untilRoom: Effect.Effect<void> = Effect.suspend(() => {
    if (intake.mayRead(account)) return Effect.void
    intake.enqueue(account)
    return Effect.andThen(account.room.wait, untilRoom)
  })
  return Effect.forever(Effect.andThen(
    untilRoom,
    Effect.andThen(
      Effect.sync(() => {
        reads.push(account)
        intake.hold(account, account.held + some)
      }),
      Effect.yieldNow
    )
  ))
}

/** An intake that is full but for what is over the limit, and two readers that hold something. */
const crowded = Effect.gen(function*() {
  const intake = new Intake()
  const [a, b, other] = [new Account(), new Account(), new Account()]
  const reads: Array<Account> = []
  intake.hold(a, some)
  intake.hold(b, some)
  intake.hold(other, all)
  return { intake, a, b, other, reads }
})

describe("the memory of all batch connections", () => {
  it("is open to everyone while there is room", () => {
    const intake = new Intake()
    const account = new Account()
    intake.hold(account, all - 1)
    assert.isTrue(intake.mayRead(account))
  })

  it("when full, is closed to those who hold something, and open to those who do not", () => {
    const intake = new Intake()
    const [greedy, modest] = [new Account(), new Account()]
    intake.hold(greedy, all)
    intake.hold(modest, some - 1)
    assert.isFalse(intake.mayRead(greedy))
    assert.isTrue(intake.mayRead(modest))
  })

  it.effect("when full, is open to one at a time, so that half-sent frames do not wait for each other", () =>
    Effect.gen(function*() {
      const { a, b, intake, reads } = yield* crowded
      yield* Effect.forkChild(reader(intake, a, reads), { startImmediately: true })
      yield* Effect.forkChild(reader(intake, b, reads), { startImmediately: true })
      while (reads.length < 10) yield* Effect.yieldNow
      assert.isTrue(reads.every((each) => each === a))
      intake.answered(a)
      const before = reads.length
      while (reads.length < before + 10) yield* Effect.yieldNow
      assert.isTrue(reads.slice(before).every((each) => each === b))
    }))

  it.effect("goes to the next one when the connection whose turn it is ends", () =>
    Effect.gen(function*() {
      const { a, b, intake, reads } = yield* crowded
      const first = yield* Effect.forkChild(reader(intake, a, reads), { startImmediately: true })
      yield* Effect.forkChild(reader(intake, b, reads), { startImmediately: true })
      yield* Fiber.interrupt(first)
      intake.forget(a)
      while (!reads.includes(b)) yield* Effect.yieldNow
    }))

  it.effect("is open again to all who waited once something has been given back", () =>
    Effect.gen(function*() {
      const { a, b, intake, other } = yield* crowded
      const favoured = new Account()
      intake.hold(favoured, some)
      intake.enqueue(favoured)
      let served = 0
      for (const account of [a, b]) {
        intake.enqueue(account)
        yield* Effect.forkChild(Effect.andThen(account.room.wait, Effect.sync(() => served++)), {
          startImmediately: true
        })
      }
      assert.strictEqual(served, 0)
      intake.forget(other)
      assert.strictEqual(served, 2)
    }))

  it("survives as many waiting connections as there can be", () => {
    const intake = new Intake()
    const other = new Account()
    intake.hold(other, all)
    const accounts = Array.from({ length: Limits.connectionsMax }, () => new Account())
    for (const account of accounts) {
      intake.hold(account, some)
      intake.enqueue(account)
      // what it reads then is again room for the next
      Effect.runFork(Effect.andThen(account.room.wait, Effect.sync(() => intake.hold(account, 0))))
    }
    intake.forget(other)
    for (const account of accounts) assert.strictEqual(account.held, 0)
  })
})
