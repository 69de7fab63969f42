/**
 * The hands of the leader for one peer: given a permit it reads entries, cuts them by bytes, sends them, and reports what it sent. It decides nothing;
 * acknowledgements go straight to the core.
 */
import { Effect } from "effect"
import * as Codec from "./codec/PeerMessageCodec.ts"
import type { MemberId } from "./core/Entry.ts"
import type { Permit } from "./core/Output.ts"
import type { Entry } from "./Entry.ts"
import type { EntryCache } from "./EntryCache.ts"
import type { LogStoreError } from "./LogStore.ts"
import { LogStore } from "./LogStore.ts"
import type { Mailbox } from "./Mailbox.ts"
import { Transport } from "./Transport.ts"
import type { Wakeup } from "./Wakeup.ts"

/** Where the serving loop leaves the permit for a peer that cannot be used at once; a newer one replaces an unused one. */
export interface Slot {
  permit: Permit | undefined
  /** Of the replicator that runs: uses a permit for entries in memory; false if they are not there, or others are still being read. */
  sendCached: ((permit: Permit) => boolean) | undefined
  readonly wakeup: Wakeup
}

export const makeSlot = (wakeup: Wakeup): Slot => ({ permit: undefined, sendCached: undefined, wakeup })

/** Gives a permit to a peer's replicator. What is in memory is sent on this stack: waking the replicator for it would delay every entry. */
export const handOver = (slot: Slot, permit: Permit): void => {
  slot.permit = undefined
  if (slot.sendCached?.(permit) === true) return
  slot.permit = permit
  slot.wakeup.ringUnsafe()
}

/** The last block of entries that was encoded: peers in step with each other need the same one. Witnesses have one of their own, `bare` of payloads. */
export interface Encoded {
  readonly bare: boolean
  firstIndex: number
  count: number
  lastTerm: number
  bytes: Uint8Array
}

export const makeEncoded = (bare = false): Encoded => ({
  bare,
  firstIndex: 0,
  count: 0,
  lastTerm: 0,
  bytes: new Uint8Array(0)
})

export const run = Effect.fnUntraced(function*(options: {
  readonly peer: MemberId
  readonly slot: Slot
  readonly cache: EntryCache
  readonly encoded: Encoded
  readonly mailbox: Mailbox
}): Effect.fn.Return<never, LogStoreError, LogStore | Transport> {
  const { cache, encoded, mailbox, peer, slot } = options
  const logStore = yield* LogStore
  const transport = yield* Transport

  const send = (permit: Permit, entries: ReadonlyArray<Entry>): void => {
    const wanted = permit.to > permit.previousIndex
    const fields = Codec.encodeAppend({
      term: permit.term,
      previousIndex: permit.previousIndex,
      previousTerm: permit.previousTerm,
      commit: permit.commit,
      count: entries.length
    })
    const chunks = entries.length === 0 ? [fields] : [fields, encodeBlock(encoded, entries)]
    if ((wanted && entries.length === 0) || !transport.sendUnsafe(peer, "raft", chunks)) {
      return mailbox.complete({ _tag: "Unsent", peer })
    }
    let bytes = 0
    if (!encoded.bare) { for (const entry of entries) bytes += entry.bytes }
    mailbox.complete({ _tag: "Sent", peer, permit: permit.permit, to: permit.previousIndex + entries.length, bytes })
  }

  let isReading = false
  const sendCached = (permit: Permit): boolean => {
    if (isReading) return false
    const from = permit.previousIndex + 1
    const cached = from > permit.to ? [] : cache.read(from, permit.to, permit.bytesMax, Infinity)
    if (cached !== undefined) send(permit, cached)
    return cached !== undefined
  }

  const usePermit = Effect.suspend((): Effect.Effect<void, LogStoreError> => {
    const permit = slot.permit
    if (permit === undefined) return Effect.void
    slot.permit = undefined
    if (sendCached(permit)) return Effect.void
    isReading = true
    return Effect.map(logStore.read(permit.previousIndex + 1, permit.to, permit.bytesMax), (entries) => {
      isReading = false
      send(permit, entries)
    })
  })

  slot.sendCached = sendCached
  return yield* Effect.ensuring(
    Effect.forever(Effect.andThen(slot.wakeup.wait, usePermit)),
    Effect.sync(() => {
      if (slot.sendCached === sendCached) slot.sendCached = undefined
    })
  )
})

const encodeBlock = (encoded: Encoded, entries: ReadonlyArray<Entry>): Uint8Array => {
  const firstIndex = entries[0]!.index
  const lastTerm = entries[entries.length - 1]!.term
  if (encoded.firstIndex !== firstIndex || encoded.count !== entries.length || encoded.lastTerm !== lastTerm) {
    encoded.firstIndex = firstIndex
    encoded.count = entries.length
    encoded.lastTerm = lastTerm
    encoded.bytes = encoded.bare ? Codec.encodeBareEntries(entries) : Codec.encodeEntries(entries)
  }
  return encoded.bytes
}
