/**
 * Batch numbers, so that a database which lost batches in the middle is found damaged when it is opened.
 *
 * RocksDB has a write-ahead log per memtable, and several while older memtables are being flushed. None is synced, so after a power failure the end of an older one may be
 * missing where a newer one is there, and RocksDB replays what it finds: it takes a log that ends between two records for whole (its `track_and_verify_wals` is against
 * this; the binding does not have it). So each batch puts its number into a ring of rows, and after a loss in the middle a number is missing. The ring is longer than the
 * logs, in batches, ever are together.
 *
 * Mutable; owned by the handle.
 */
import { Effect } from "effect"
import * as Limits from "./Limits.ts"
import type { Row } from "./Storage.ts"
import { reservedKey, StorageError } from "./Storage.ts"

const slotBytes = 2
const numberBytes = 8

export class RocksDbBatches {
  /** Of the last batch that was written; 0 if there was none. */
  last: number
  private flushed: number

  constructor(last: number) {
    this.last = last
    this.flushed = last
  }

  /** The next batch has no room in the ring before a flush. */
  get isFull(): boolean {
    return this.last - this.flushed >= Limits.ringBatches - 1
  }

  /** What the next batch puts beside its own rows. */
  get next(): Row {
    return rowOf(this.last + 1)
  }

  written(): void {
    this.last++
  }

  /** Every batch up to `last` is in the tables. */
  flushedTo(last: number): void {
    this.flushed = Math.max(this.flushed, last)
  }
}

const keyOf = (slot: number): Uint8Array => {
  const key = new Uint8Array(reservedKey.length + slotBytes)
  key.set(reservedKey)
  new DataView(key.buffer).setUint16(reservedKey.length, slot)
  return key
}

const rowOf = (number: number): Row => {
  const value = new Uint8Array(numberBytes)
  new DataView(value.buffer).setFloat64(0, number)
  return { key: keyOf(number % Limits.ringBatches), value }
}

export const range = { from: reservedKey, to: keyOf(Limits.ringBatches) }

/** The numbers that a database was opened with, from the rows in `range`. Fails with `Corrupt` if one is missing. */
export const recover = (directory: string, rows: ReadonlyArray<Row>): Effect.Effect<RocksDbBatches, StorageError> => {
  const numbers = rows.map(({ value }) => new DataView(value.buffer, value.byteOffset, value.byteLength).getFloat64(0))
  const last = numbers.reduce((largest, number) => Math.max(largest, number), 0)
  const first = Math.max(1, last - Limits.ringBatches + 1)
  const present = new Set(numbers)
  for (let number = first; number <= last; number++) {
    if (!present.has(number)) {
      return Effect.fail(
        new StorageError({
          reason: "Corrupt",
          message:
            `${directory}: batch ${number} is missing, though batch ${last} is there: a crash of the machine took the end of a log that was not the last`
        })
      )
    }
  }
  return Effect.succeed(new RocksDbBatches(last))
}
