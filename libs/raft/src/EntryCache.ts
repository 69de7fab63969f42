/**
 * The end of the log in memory, from the moment an entry is appended, before it is durable: what replicators and the applier read. Bounded; entries
 * that are durable and applied leave it first-in first-out, older ones are read from the `LogStore`.
 *
 * Mutable; filled by the serving loop.
 */
import type { LogIndex } from "./core/Entry.ts"
import type { Entry } from "./Entry.ts"
import * as Limits from "./Limits.ts"

export class EntryCache {
  private entries: Array<Entry> = []
  private head = 0
  private bytes = 0

  /** Index of the first entry that is here; meaningless when there is none. */
  private get firstIndex(): LogIndex {
    return this.entries[this.head]!.index
  }

  append(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      this.bytes += entry.bytes
      this.entries.push(entry)
    }
  }

  /** Forgets the entries from `index` on. */
  truncate(index: LogIndex): void {
    while (this.entries.length > this.head && this.entries[this.entries.length - 1]!.index >= index) {
      this.bytes -= this.entries.pop()!.bytes
    }
  }

  clear(): void {
    this.entries = []
    this.head = 0
    this.bytes = 0
  }

  /** Lets go of the oldest entries beyond the limits, but of none behind `index`. */
  evict(index: LogIndex, bytesMax: number = Limits.cacheBytesMax, countMax: number = Limits.cacheEntriesMax): void {
    const { entries } = this
    while (
      this.head < entries.length && entries[this.head]!.index <= index &&
      (this.bytes > bytesMax || entries.length - this.head > countMax)
    ) {
      this.bytes -= entries[this.head]!.bytes
      this.head++
    }
    if (this.head > 4096 && this.head * 2 > entries.length) {
      this.entries = entries.slice(this.head)
      this.head = 0
    }
  }

  /** Entries `from` to at most `to`, at least one and as many as fit into `bytesMax` and `countMax`; `undefined` if the first is not here. */
  read(from: LogIndex, to: LogIndex, bytesMax: number, countMax: number): ReadonlyArray<Entry> | undefined {
    const { entries } = this
    if (this.head === entries.length || from < this.firstIndex || from > entries[entries.length - 1]!.index) {
      return undefined
    }
    const start = this.head + from - this.firstIndex
    const stop = Math.min(entries.length, start + to - from + 1, start + countMax)
    let end = start
    let bytes = 0
    while (end < stop && (end === start || bytes + entries[end]!.bytes <= bytesMax)) bytes += entries[end++]!.bytes
    return entries.slice(start, end)
  }
}
