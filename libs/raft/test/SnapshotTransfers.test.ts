import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Limits from "../src/Limits.ts"
import type { Member } from "../src/Member.ts"
import * as SnapshotTransfers from "../src/SnapshotTransfers.ts"
import * as Wakeup from "../src/Wakeup.ts"

describe("SnapshotTransfers", () => {
  it.effect("a peer is sent one snapshot at a time, also while the first is still being made", () =>
    Effect.gen(function*() {
      const peer = "000000000000000b"
      const done: Array<unknown> = []
      let made = 0
      const member = {
        stopped: yield* Deferred.make<never, never>(),
        random: { nextDoubleUnsafe: () => 0.5 },
        core: { role: "Leader", term: 2, progress: new Map([[peer, { match: 0 }]]) },
        applier: {
          head: () => ({ index: 100, term: 1 }),
          pause: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.andThen(Effect.sleep(5000), effect)
        },
        stateMachine: { snapshot: Effect.sync(() => ({ read: () => Effect.succeed(made++) })) },
        transport: { sendUnsafe: () => false },
        mailbox: { complete: (input: unknown) => void done.push(input) },
        transfers: new Map(),
        catchingUp: new Map(),
        snapshotsWanted: [] as Array<string>,
        snapshotsWakeup: yield* Wakeup.make
      }
      const want = Effect.sync(() => {
        member.snapshotsWanted.push(peer)
        member.snapshotsWakeup.ringUnsafe()
      })
      yield* Effect.forkChild(SnapshotTransfers.run(member as unknown as Member))
      yield* want
      yield* TestClock.adjust(1000)
      yield* want
      yield* TestClock.adjust(60_000)
      assert.strictEqual(done.length, 1)
      yield* want
      yield* TestClock.adjust(60_000)
      assert.strictEqual(done.length, 2, "the next one comes when it is asked for again")
    }))
})

describe("the log behind a snapshot that is being sent", () => {
  const pinned = (appendedBytes: number, bytes: number) => {
    const pin = { index: 70, startedAtBytes: 0, bytesUnsafe: () => bytes }
    const of = (transfers: ReadonlyMap<string, unknown>, catchingUp: ReadonlyMap<string, unknown>) =>
      SnapshotTransfers.pinnedIndex({
        appendedBytes,
        transfers,
        catchingUp: new Map(catchingUp),
        core: { commitIndex: 1000, progress: new Map([["one", { match: 0 }]]) }
      } as unknown as Member, 10)
    return [of(new Map([["one", pin]]), new Map()), of(new Map(), new Map([["one", pin]]))]
  }

  it("is kept up to a limit, or for as many bytes as the snapshot has, since that takes longer to send", () => {
    assert.deepStrictEqual(pinned(Limits.snapshotPinBytesMax, 0), [70, 70])
    assert.deepStrictEqual(pinned(Limits.snapshotPinBytesMax + 1, 0), [Infinity, Infinity])
    assert.deepStrictEqual(pinned(3 * Limits.snapshotPinBytesMax, 3 * Limits.snapshotPinBytesMax), [70, 70])
    assert.deepStrictEqual(pinned(3 * Limits.snapshotPinBytesMax + 1, 3 * Limits.snapshotPinBytesMax), [
      Infinity,
      Infinity
    ])
  })
})
