/**
 * One pass of a batch of commands over the rows they touch: synchronous arithmetic that turns commands into results and rows to write.
 * It asks for the rows of a range that it comes to, and is then taken up where it stopped.
 */
import type { Entry } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import type { Arena } from "./Arena.ts"
import { toText } from "./Bytes.ts"
import * as Command from "./Command.ts"
import * as CurrentRow from "./CurrentRow.ts"
import * as HistoryRecord from "./HistoryRecord.ts"
import { HistoryRows } from "./HistoryRow.ts"
import * as Layout from "./Layout.ts"
import * as Limits from "./Limits.ts"
import * as Outcome from "./Outcome.ts"
import { Cached } from "./RowCache.ts"

/** Keys in `[from, to)`, `to` undefined for no upper bound, whose rows are lacking: `addRow` each, then `completeRange`. */
export interface Need {
  readonly from: string
  readonly to: string | undefined
}

export class CommandPass {
  /** Every key that the batch has met so far. */
  readonly touched: Array<Cached> = []
  readonly results: Array<Uint8Array>
  readonly writes: Array<Storage.Write> = []
  /** Revision of the store after the commands so far. */
  revision: number

  private readonly history: HistoryRows
  private readonly commands: ReadonlyArray<Entry.Entry>
  private readonly arena: Arena
  private readonly number: number
  private readonly targets: Array<Cached | undefined>
  private byKey: Map<string, Cached> | undefined
  private position = 0
  private rangeComplete = false

  /** `number` tells this batch from all others of the store. */
  constructor(commands: ReadonlyArray<Entry.Entry>, number: number, revision: number, arena: Arena) {
    this.commands = commands
    this.number = number
    this.revision = revision
    this.arena = arena
    this.history = new HistoryRows(arena, this.writes)
    this.results = new Array(commands.length)
    this.targets = new Array(commands.length)
  }

  /**
   * Decodes the commands and finds the rows of the keys that they name, in the cache or among those on their way to the storage. Returns the
   * others, and those whose values a comparison will show and memory has not: `load` their rows, where there are such, before `advance`.
   */
  prepare(
    inCache: (key: string) => Cached | undefined,
    underWay: (key: string) => CurrentRow.CurrentRow | undefined
  ): ReadonlySet<Cached> {
    const missing = new Set<Cached>()
    for (let i = 0; i < this.commands.length; i++) {
      const data = this.commands[i]!.data
      const fault = Command.fault(data)
      if (fault !== undefined) {
        this.results[i] = fault === "Malformed" ? Outcome.malformed : Outcome.unsupported
        continue
      }
      const keyEnd = Command.keyEnd(data)
      if (Command.deletesRange(data, 0)) continue
      const key = toText(data, Command.keyStart(data), keyEnd)
      // A key that this batch has met may have left the cache since.
      let cached = inCache(key) ?? this.met(key)
      if (cached === undefined) {
        const row = underWay(key)
        cached = new Cached(key, row ?? CurrentRow.absent)
        if (row === undefined) missing.add(cached)
      }
      this.touch(cached)
      this.targets[i] = cached
      // Should an earlier command change the key, then its value is in memory.
      if (CurrentRow.lacksInline(cached.draft) && Command.fails(data, cached.draft.main)) {
        const row = underWay(key)
        if (row === undefined) missing.add(cached)
        else cached.draft = row
      }
    }
    return missing
  }

  private met(key: string): Cached | undefined {
    this.byKey ??= new Map(this.touched.map((cached) => [cached.key, cached]))
    return this.byKey.get(key)
  }

  private touch(cached: Cached): void {
    if (cached.batch === this.number) return
    cached.batch = this.number
    cached.draft = cached.row
    this.touched.push(cached)
    if (this.byKey !== undefined) this.byKey.set(cached.key, cached)
  }

  /** Sets the row of a key that `prepare` returned. False if it is another one than memory has, without its value: the storage is damaged. */
  load(cached: Cached, row: CurrentRow.CurrentRow): boolean {
    // The cache has counted what is in it.
    if (!CurrentRow.exists(cached.row)) cached.row = row
    cached.draft = row
    return cached.row.main === row.main && cached.row.sub === row.sub
  }

  /** The row of a key that the batch has met, as it is now. */
  draftOf(key: string): CurrentRow.CurrentRow | undefined {
    return this.met(key)?.draft
  }

  /** Adds a row of a range, whose key the batch has not met. */
  addRow(key: string, row: CurrentRow.CurrentRow): void {
    this.touch(new Cached(key, row))
  }

  /** All rows of the range that was asked for have been added, or so many that the command is refused. */
  completeRange(): void {
    this.rangeComplete = true
  }

  /** Carries out commands until one lacks something, or undefined at the end. */
  advance(): Need | undefined {
    for (; this.position < this.commands.length; this.position++) {
      if (this.results[this.position] !== undefined) continue
      const data = this.commands[this.position]!.data
      const cached = this.targets[this.position]
      if (cached !== undefined) {
        this.results[this.position] = this.onKey(data, cached)
        continue
      }
      const need = this.deleteRange(data)
      if (need !== undefined) return need
    }
    return undefined
  }

  /** Appends the current rows of all keys that changed, and returns those. */
  finish(): ReadonlyArray<Cached> {
    this.history.finish()
    const changed = this.touched.filter(({ draft, row }) => draft.main !== row.main || draft.sub !== row.sub)
    for (const { draft, key } of changed) {
      this.writes.push(CurrentRow.encode(this.arena, Layout.prefix.current, key, draft))
    }
    return changed
  }

  /** Carries out a command on one key, and returns its result. */
  private onKey(data: Uint8Array, cached: Cached): Uint8Array {
    const row = cached.draft
    const present = CurrentRow.exists(row)
    switch (data[0]) {
      case Command.tag.put:
        this.put(data, cached)
        return Outcome.put(this.revision)
      case Command.tag.delete:
        if (present) this.remove(cached, ++this.revision, 0, false)
        return Outcome.deleted(this.revision, present ? 1 : 0)
      default:
        if (Command.fails(data, present ? row.main : 0)) {
          return present ? Outcome.differs(this.revision, cached.key, row) : Outcome.missing(this.revision)
        }
        if (data[0] === Command.tag.compareAndSwap) this.put(data, cached)
        else if (present) this.remove(cached, ++this.revision, 0, false)
        return Outcome.done(this.revision)
    }
  }

  private put(data: Uint8Array, cached: Cached): void {
    const before = cached.draft
    const start = Command.keyLengthOffset(data[0]!)
    const main = ++this.revision
    const position = this.history.place(main, 0, false, HistoryRecord.overheadBytesMax + data.length - start)
    const row = CurrentRow.put(before, { main, sub: 0, position }, data.subarray(Command.keyEnd(data)))
    HistoryRecord.putPut(this.arena, row, before, data, start, data.length)
    cached.draft = row
  }

  private remove(cached: Cached, main: number, sub: number, ofMany: boolean): void {
    const position = this.history.place(main, sub, ofMany, HistoryRecord.overheadBytesMax + cached.key.length)
    const row = CurrentRow.remove(cached.draft, { main, sub, position })
    HistoryRecord.putDelete(this.arena, row, cached.draft, cached.key)
    cached.draft = row
  }

  private deleteRange(data: Uint8Array): Need | undefined {
    const keyEnd = Command.keyEnd(data)
    const from = toText(data, Command.keyStart(data), keyEnd)
    const end = data.subarray(keyEnd)
    const to = Layout.isUnbounded(end) ? undefined : toText(end, 0, end.length)
    const live = this.liveIn(from, to)
    // Those that are in memory may be too many already: then the others need not be read.
    if (!this.rangeComplete && live.length <= Limits.deleteKeysMax) return { from, to }
    this.rangeComplete = false
    if (live.length > Limits.deleteKeysMax) {
      this.results[this.position] = Outcome.rangeTooLarge
      return undefined
    }
    if (live.length > 0) {
      live.sort((a, b) => a.key < b.key ? -1 : 1)
      this.revision++
      for (let sub = 0; sub < live.length; sub++) this.remove(live[sub]!, this.revision, sub, live.length > 1)
    }
    this.results[this.position] = Outcome.deleted(this.revision, live.length)
    return undefined
  }

  /** The keys in `[from, to)` that the batch has met and that exist now. */
  private liveIn(from: string, to: string | undefined): Array<Cached> {
    return this.touched.filter(({ draft, key }) =>
      CurrentRow.exists(draft) && key >= from && (to === undefined || key < to)
    )
  }
}
