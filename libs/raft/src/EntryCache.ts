/**
 * The end of the log in memory, from the moment an entry is appended, before it is durable: what replicators and the applier read. Entries leave it
 * first-in first-out as soon as nobody who keeps up will ask for them, and beyond the limits once they are durable; who asks later reads the `LogStore`.
 *
 * A queue that outlives a young collection is the worst case of a generational collector, so nothing stays longer than it must. Entries are kept in the
 * arrays they came in; those of an array are let go of together.
 *
 * Mutable; filled by the serving loop.
 */
import type { LogIndex } from "./core/Entry.ts"
import type { Entry } from "./Entry.ts"
import * as Limits from "./Limits.ts"

const none: ReadonlyArray<Entry> = []

export class EntryCache {
  /** Contiguous from one to the next. */
  private batches: Array<ReadonlyArray<Entry>> = []
  private head = 0
  /** Index of the first entry that is here; meaningless when there is none. */
  private first: LogIndex = 0
  private count = 0
  private bytes = 0

  get sizeBytes(): number {
    return this.bytes
  }

  /** Entries right behind the last one. The array is kept as it is: it must not change afterwards. */
  append(entries: ReadonlyArray<Entry>): void {
    if (entries.length === 0) return
    if (this.count === 0) this.first = entries[0]!.index
    this.batches.push(entries)
    this.count += entries.length
    for (const entry of entries) this.bytes += entry.bytes
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    while (this.count > 0 && this.first + this.count > index) {
      const batch = this.batches.pop()!
      const start = batch[0]!.index
      const keep = Math.max(index, this.first) - start
      for (let position = Math.max(keep, 0, this.first - start); position < batch.length; position++) {
        this.bytes -= batch[position]!.bytes
        this.count--
      }
      if (keep > 0 && start + keep > this.first) this.batches.push(batch.slice(0, keep))
    }
    if (this.count === 0) this.clear()
  }

  clear(): void {
    this.batches = []
    this.head = 0
    this.count = 0
    this.bytes = 0
  }

  /** Lets go of the oldest entries beyond the limits, but of none behind `index`; with limits of 0, of all others. */
  evict(index: LogIndex, bytesMax: number = Limits.cacheBytesMax, countMax: number = Limits.cacheEntriesMax): void {
    const { batches } = this
    while (this.count > 0 && this.first <= index && (this.bytes > bytesMax || this.count > countMax)) {
      const batch = batches[this.head]!
      const position = this.first++ - batch[0]!.index
      this.bytes -= batch[position]!.bytes
      this.count--
      if (position === batch.length - 1) batches[this.head++] = none
    }
    if (this.count === 0) {
      if (batches.length > 0) this.clear()
    } else if (this.head > 32 && this.head * 2 > batches.length) {
      this.batches = batches.slice(this.head)
      this.head = 0
    }
  }

  /** Entries `from` to at most `to`, at least one and as many as fit into `bytesMax` and `countMax`; `undefined` if the first is not here. */
  read(from: LogIndex, to: LogIndex, bytesMax: number, countMax: number): ReadonlyArray<Entry> | undefined {
    const end = this.first + this.count
    if (from < this.first || from >= end) return undefined
    const left = Math.min(end, to + 1, from + countMax) - from
    const found: Array<Entry> = []
    let at = this.batchOf(from)
    let batch = this.batches[at]!
    let position = from - batch[0]!.index
    let bytes = 0
    do {
      if (position === batch.length) {
        batch = this.batches[++at]!
        position = 0
      }
      const entry = batch[position++]!
      bytes += entry.bytes
      if (bytes > bytesMax && found.length > 0) break
      found.push(entry)
    } while (found.length < left)
    return found
  }

  /** Where the array with the entry at `index` stands. */
  private batchOf(index: LogIndex): number {
    let low = this.head
    let high = this.batches.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.batches[middle]![0]!.index <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}
