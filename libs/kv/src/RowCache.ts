/**
 * The rows in memory, bounded by bytes: two maps, of which the older is dropped when the newer has half of the budget. A row that is found in
 * the older one moves to the newer. Cheaper than an exact order of use, and as good for what it is for.
 *
 * A batch of commands works on the cached rows themselves, beside what readers see, so that a command costs one look-up.
 */
import { absent, type CurrentRow, withValue } from "./CurrentRow.ts"
import { toText } from "./Bytes.ts"
import * as Limits from "./Limits.ts"

/** A key with its row. May outlive its place in the cache. */
export class Cached {
  readonly key: string
  /** What readers see. */
  row: CurrentRow
  /** What the commands of batch number `batch` have made of it so far. */
  draft: CurrentRow
  batch = 0
  /** Somebody read the row since it was last changed. */
  wanted = false
  /** When it was put into the cache, in turns of it. */
  turn = -2

  constructor(key: string, row: CurrentRow) {
    this.key = key
    this.row = row
    this.draft = row
  }
}

export class RowCache {
  /** How often rows were dropped. A row that was set when this was n is still present while it is at most n + 1. */
  turns = 0

  private recent = new Map<string, Cached>()
  private older = new Map<string, Cached>()
  private recentBytes = 0
  private readonly halfBytes: number

  constructor(bytesMax: number = Limits.cacheBytesMax) {
    this.halfBytes = Math.floor(bytesMax / 2)
  }

  get(key: string): Cached | undefined {
    const cached = this.recent.get(key)
    if (cached !== undefined) return cached
    const found = this.older.get(key)
    if (found !== undefined) this.set(found, found.row)
    return found
  }

  /**
   * Gives `cached` this row, and a place in the cache if it has none. A large value is left out, and so is that of a key that is changed and changed again
   * and that nobody reads.
   */
  set(cached: Cached, row: CurrentRow): void {
    if (cached.turn === this.turns) {
      this.recentBytes -= cost(cached)
    } else {
      cached.turn = this.turns
      this.recent.set(cached.key, cached)
    }
    cached.row = kept(row, cached.wanted)
    cached.wanted &&= cached.row === row
    this.recentBytes += cost(cached)
    if (this.recentBytes >= this.halfBytes) this.turn()
  }

  clear(): void {
    this.turn()
    this.turn()
  }

  private turn(): void {
    this.turns++
    this.older = this.recent
    this.recent = new Map()
    this.recentBytes = 0
  }
}

const kept = (row: CurrentRow, wanted: boolean): CurrentRow => {
  const { value } = row
  if (value === undefined) return row
  if (row.valueBytes > Limits.cacheValueBytesMax) return withValue(row, undefined)
  if (typeof value === "string") return row
  return withValue(row, wanted ? toText(value, 0, value.length) : undefined)
}

const cost = (cached: Cached): number =>
  Limits.cacheRowOverheadBytes + cached.key.length +
  (cached.row === absent || cached.row.value === undefined ? 0 : cached.row.value.length)
