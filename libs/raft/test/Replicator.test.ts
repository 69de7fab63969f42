import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch } from "effect"
import * as Codec from "../src/codec/PeerMessageCodec.ts"
import type { Permit } from "../src/core/Output.ts"
import * as Entry from "../src/Entry.ts"
import { EntryCache } from "../src/EntryCache.ts"
import { EntryKind, LogStore, Transport } from "../src/index.ts"
import * as Mailbox from "../src/Mailbox.ts"
import * as Replicator from "../src/Replicator.ts"
import * as Wakeup from "../src/Wakeup.ts"
import { MemoryLog } from "./support/MemoryLog.ts"
import { bytes } from "./support/Register.ts"

const peer = "000000000000000b"
const entries = [1, 2, 3, 4].map((index) => Entry.make(index, 1, EntryKind.Command, bytes(`v${index}`)))
const permitFor = (index: number): Permit => ({
  peer,
  permit: index,
  term: 1,
  previousIndex: index - 1,
  previousTerm: index === 1 ? 0 : 1,
  to: index,
  commit: 0,
  bytesMax: 1000
})

/** A replicator that runs, with the last two of four entries in memory and a log that answers while `gate` is open. */
const running = Effect.gen(function*() {
  const sent: Array<number> = []
  const terms: Array<number> = []
  const lane = { isFull: false }
  const mailbox = yield* Mailbox.make()
  const gate = Latch.makeUnsafe(true)
  const log = new MemoryLog()
  log.entries = [...entries]
  const store = log.service()
  const cache = new EntryCache()
  cache.append(entries.slice(2))
  const slot = Replicator.makeSlot(yield* Wakeup.make)
  const replicator = Replicator.run({
    peer,
    slot,
    cache,
    encoded: Replicator.makeEncoded(),
    mailbox
  })
  yield* replicator.pipe(
    Effect.provideService(LogStore.LogStore, {
      ...store,
      read: (from, to, bytesMax) => Effect.andThen(gate.await, store.read(from, to, bytesMax))
    }),
    Effect.provideService(Transport.Transport, {
      serve: () => Effect.void,
      setPeers: () => Effect.void,
      sendUnsafe: (_, __, chunks) => {
        if (lane.isFull) return false
        const message = Codec.decode(Buffer.concat(chunks))
        if (message._tag === "Append") {
          sent.push(message.previousIndex + 1)
          terms.push(message.term)
        }
        return true
      }
    }),
    Effect.forkScoped
  )
  yield* Effect.yieldNow
  return { gate, lane, mailbox, sent, slot, terms }
})

describe("Replicator", () => {
  it.effect("sends what is in memory at once, and reads the rest from the log", () =>
    Effect.gen(function*() {
      const { sent, slot } = yield* running
      Replicator.handOver(slot, permitFor(3))
      assert.deepStrictEqual(sent, [3])
      Replicator.handOver(slot, permitFor(1))
      assert.deepStrictEqual(sent, [3])
      for (let turn = 0; turn < 5; turn++) yield* Effect.yieldNow
      assert.deepStrictEqual(sent, [3, 1])
    }))

  it.effect("labels what it sends with the term of the permit, however late it comes to it", () =>
    Effect.gen(function*() {
      const { gate, slot, terms } = yield* running
      gate.closeUnsafe()
      Replicator.handOver(slot, permitFor(1))
      for (let turn = 0; turn < 5; turn++) yield* Effect.yieldNow
      Replicator.handOver(slot, { ...permitFor(3), term: 2 })
      gate.openUnsafe()
      for (let turn = 0; turn < 5; turn++) yield* Effect.yieldNow
      assert.deepStrictEqual(terms, [1, 2])
    }))

  it.effect("what the link does not take is reported, and not as a link that broke", () =>
    Effect.gen(function*() {
      const { lane, mailbox, sent, slot } = yield* running
      lane.isFull = true
      Replicator.handOver(slot, permitFor(3))
      assert.deepStrictEqual(sent, [])
      assert.deepStrictEqual(mailbox.takeCompletions(), [{ _tag: "Unsent", peer }])
    }))

  it.effect("sends nothing ahead of what it is still reading from the log", () =>
    Effect.gen(function*() {
      const { gate, sent, slot } = yield* running
      gate.closeUnsafe()
      Replicator.handOver(slot, permitFor(2))
      for (let turn = 0; turn < 5; turn++) yield* Effect.yieldNow
      Replicator.handOver(slot, permitFor(3))
      assert.deepStrictEqual(sent, [])
      gate.openUnsafe()
      for (let turn = 0; turn < 5; turn++) yield* Effect.yieldNow
      assert.deepStrictEqual(sent, [2, 3])
    }))
})
