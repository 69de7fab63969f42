import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Codec from "../src/codec/PeerMessageCodec.ts"
import * as Limits from "../src/Limits.ts"
import type { PeerMessage } from "../src/PeerMessage.ts"
import * as SnapshotSender from "../src/SnapshotSender.ts"
import { bytes } from "./support/Register.ts"

const transferred = {
  peer: "000000000000000b",
  snapshot: 7,
  index: 100,
  indexTerm: 1,
  term: 2,
  isCurrent: () => true,
  startedAtBytes: 0
}

/** A receiver that answers each message after `delayMillis`, over a transport that the test can take down. */
const transferTo = Effect.fnUntraced(function*(options: {
  readonly chunks: number
  readonly delayMillis: number
  /** From the last chunk until the snapshot is installed; offers are answered meanwhile. */
  readonly installMillis?: number
}) {
  let installedAt = 0
  const received: Array<number> = []
  const state = { isUp: true, offers: 0, chunks: 0 }
  const context = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  const answer = (message: PeerMessage): Effect.Effect<void> =>
    Effect.sync(() => {
      if (message._tag === "SnapshotChunk" && message.sequence === received.length) received.push(message.sequence)
      const time = clock.currentTimeMillisUnsafe()
      const isWhole = received.length === options.chunks
      if (isWhole && installedAt === 0) installedAt = time + (options.installMillis ?? 0)
      if (isWhole && time < installedAt && message._tag === "SnapshotChunk") return
      transfer.progressUnsafe({
        _tag: "SnapshotProgress",
        snapshot: 7,
        next: received.length,
        state: isWhole && time >= installedAt ? "installed" : "receiving"
      })
    })
  const transfer: SnapshotSender.Transfer = yield* SnapshotSender.make({
    ...transferred,
    reader: {
      read: (cursor) =>
        Effect.sync(() => {
          const at = cursor.length === 0 ? 0 : cursor[0]!
          return {
            data: bytes(`chunk ${at}`),
            next: at + 1 < options.chunks ? Option.some(Uint8Array.of(at + 1)) : Option.none()
          }
        })
    },
    transport: {
      serve: () => Effect.void,
      setPeers: () => Effect.void,
      sendUnsafe: (_peer, _lane, chunks) => {
        const message = Codec.decode(chunks[0]!)
        if (message._tag === "SnapshotOffer") state.offers++
        if (!state.isUp) return false
        if (message._tag === "SnapshotChunk") state.chunks++
        Effect.runForkWith(context)(Effect.andThen(Effect.sleep(options.delayMillis), answer(message)))
        return true
      }
    }
  })
  return { transfer, received, state }
})

describe("SnapshotSender", () => {
  it.effect("sends every chunk once, in order, to a receiver that answers", () =>
    Effect.gen(function*() {
      const { received, state, transfer } = yield* transferTo({ chunks: 20, delayMillis: 5 })
      const fiber = yield* Effect.forkChild(transfer.run)
      for (let passed = 0; passed < 1000; passed += 5) yield* TestClock.adjust(5)
      assert.isTrue(yield* Fiber.join(fiber))
      assert.strictEqual(transfer.bytesUnsafe(), 10 * "chunk 0".length + 10 * "chunk 10".length)
      assert.deepStrictEqual(received, Array.from({ length: 20 }, (_, sequence) => sequence))
      assert.strictEqual(state.chunks, 20)
    }).pipe(Effect.scoped))

  it.effect("a receiver whose first answer comes after the silence limit is heard all the same", () =>
    Effect.gen(function*() {
      const { received, transfer } = yield* transferTo({ chunks: 3, delayMillis: 2500 })
      const fiber = yield* Effect.forkChild(transfer.run)
      for (let passed = 0; passed < 60_000; passed += 100) yield* TestClock.adjust(100)
      assert.isTrue(yield* Fiber.join(fiber))
      assert.deepStrictEqual(received, [0, 1, 2])
    }).pipe(Effect.scoped))

  it.effect("a receiver that takes long to install what it has, and answers meanwhile, is not given up", () =>
    Effect.gen(function*() {
      const { state, transfer } = yield* transferTo({ chunks: 3, delayMillis: 5, installMillis: 40_000 })
      const fiber = yield* Effect.forkChild(transfer.run)
      for (let passed = 0; passed < 60_000; passed += 100) yield* TestClock.adjust(100)
      assert.isTrue(yield* Fiber.join(fiber))
      assert.strictEqual(state.chunks, 3)
    }).pipe(Effect.scoped))

  it.effect("a receiver that speaks while a chunk is being read gets every chunk under its own number", () =>
    Effect.gen(function*() {
      const chunks: Array<string> = []
      const transfer: SnapshotSender.Transfer = yield* SnapshotSender.make({
        ...transferred,
        reader: {
          read: (cursor) =>
            Effect.delay(
              Effect.sync(() => {
                const at = cursor.length === 0 ? 0 : cursor[0]!
                return {
                  data: bytes(`chunk ${at}`),
                  next: at < 20 ? Option.some(Uint8Array.of(at + 1)) : Option.none()
                }
              }),
              50
            )
        },
        transport: {
          serve: () => Effect.void,
          setPeers: () => Effect.void,
          sendUnsafe: (_peer, _lane, [frame]) => {
            const message = Codec.decode(frame!)
            if (message._tag === "SnapshotChunk") {
              chunks.push(`${message.sequence}: ${new TextDecoder().decode(message.data)}`)
            }
            return true
          }
        }
      })
      const hear = (next: number) =>
        transfer.progressUnsafe({ _tag: "SnapshotProgress", snapshot: 7, next, state: "receiving" })
      yield* Effect.forkChild(transfer.run)
      yield* TestClock.adjust(1)
      hear(0)
      for (let passed = 0; passed < 300; passed += 10) yield* TestClock.adjust(10)
      assert.strictEqual(chunks.length, Limits.snapshotWindowChunks)
      hear(0)
      yield* TestClock.adjust(20)
      for (let next = 1; next <= Limits.snapshotWindowChunks; next++) hear(next)
      for (let passed = 0; passed < 300; passed += 10) yield* TestClock.adjust(10)
      assert.isAbove(chunks.length, Limits.snapshotWindowChunks)
      for (const chunk of chunks) assert.match(chunk, /^(\d+): chunk \1$/)
    }).pipe(Effect.scoped))

  it.effect("goes on where the receiver is when the link comes back, and gives up on one that stays silent", () =>
    Effect.gen(function*() {
      const { received, state, transfer } = yield* transferTo({ chunks: 200, delayMillis: 5 })
      const fiber = yield* Effect.forkChild(transfer.run)
      for (let passed = 0; passed < 100; passed += 5) yield* TestClock.adjust(5)
      const before = received.length
      assert.isAbove(before, 0)
      state.isUp = false
      for (let passed = 0; passed < 6000; passed += 100) yield* TestClock.adjust(100)
      assert.isAtMost(received.length, before + 4)
      state.isUp = true
      for (let passed = 0; passed < 10_000; passed += 5) yield* TestClock.adjust(5)
      assert.isTrue(yield* Fiber.join(fiber))
      assert.strictEqual(new Set(received).size, 200)
      assert.strictEqual(
        transfer.bytesUnsafe(),
        10 * "chunk 0".length + 90 * "chunk 10".length + 100 * "chunk 100".length,
        "what was sent twice counts once"
      )

      const silent = yield* transferTo({ chunks: 3, delayMillis: 5 })
      silent.state.isUp = false
      const outcome = yield* Effect.forkChild(silent.transfer.run)
      for (let passed = 0; passed < 60_000; passed += 100) yield* TestClock.adjust(100)
      assert.isFalse(yield* Fiber.join(outcome))
      assert.isAtMost(silent.state.offers, 20)
    }).pipe(Effect.scoped))
})
