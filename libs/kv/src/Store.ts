/**
 * The state of one member: rows in the storage, rows in memory, and the batches on their way from memory to storage (`WriteBehind`). `apply` is its
 * only writer.
 */
import type { Entry, StateMachine } from "@dkv/raft"
import { Storage } from "@dkv/storage"
import { Effect, Exit, Latch, Option, type Scope } from "effect"
import { Arena } from "./Arena.ts"
import { toText } from "./Bytes.ts"
import { CommandPass } from "./CommandPass.ts"
import * as CurrentRow from "./CurrentRow.ts"
import * as HistoryRecord from "./HistoryRecord.ts"
import * as HistoryRow from "./HistoryRow.ts"
import * as Layout from "./Layout.ts"
import * as Limits from "./Limits.ts"
import * as Pages from "./Pages.ts"
import * as Published from "./Published.ts"
import { Cached, RowCache } from "./RowCache.ts"
import { corrupt, foreign, fromStorage } from "./StoreFailure.ts"
import * as StoreMeta from "./StoreMeta.ts"
import * as Upkeep from "./Upkeep.ts"
import { WriteBehind } from "./WriteBehind.ts"

type Failure = StateMachine.StateMachineError

export interface Options {
  /** Rows kept in memory, in bytes. Default `Limits.cacheBytesMax`. */
  readonly cacheBytesMax?: number
  /** How long applied changes wait for more to be written with them; 0 for not at all. Default `Limits.lingerMillis`. */
  readonly lingerMillis?: number
}

export class Store {
  readonly storage: Storage.Storage["Service"]
  readonly cache: RowCache
  /** Open except while the whole state is being replaced, which `replacing` tells. */
  readonly readable = Latch.makeUnsafe(true)
  replacing = false
  meta: StoreMeta.StoreMeta = StoreMeta.initial
  /** How often the whole state was replaced: what was read across a change of it is not one state. */
  replacements = 0

  private readonly behind: WriteBehind
  private readonly arena = new Arena()
  private batches = 0

  constructor(storage: Storage.Storage["Service"], scope: Scope.Scope, options: Options) {
    this.storage = storage
    this.behind = new WriteBehind(storage, scope, options.lingerMillis)
    this.cache = new RowCache(options.cacheBytesMax)
  }

  /** Why the store must not be used any more. */
  get failure(): Failure | undefined {
    return this.behind.failure
  }

  /** The last batch that is in the storage; those behind it are on their way. */
  get confirmed(): Published.Batch {
    return this.behind.confirmed
  }

  /** Runs a read that takes `confirmed` and then looks at the batches behind it. */
  reading<A, E>(read: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.behind.reading(read)
  }

  /** Succeeds when everything applied before the call is in the storage. */
  get settled(): Effect.Effect<void, Failure> {
    return this.behind.settled
  }

  /** Fails if the store has failed. */
  readonly check: Effect.Effect<void, Failure> = Effect.suspend(() =>
    this.failure === undefined ? Effect.void : Effect.fail(this.failure)
  )

  /** The row of `key` as of the last batch, if it is in memory. */
  lookup(key: string): CurrentRow.CurrentRow | undefined {
    const cached = this.cache.get(key)
    if (cached !== undefined) cached.wanted = true
    const row = cached?.row
    return row === undefined || row.value === undefined ? Published.find(this.confirmed, key) ?? row : row
  }

  /**
   * Keeps a row, or its value, that was read from the storage. `turns` is what `cache.turns` was before the read: if the key was changed
   * since, the newer row is still in the cache, or else that is not certain and what was read is not kept.
   */
  remember(key: string, row: CurrentRow.CurrentRow, turns: number): void {
    if (this.cache.turns > turns + 1) return
    const cached = this.cache.get(key) ?? new Cached(key, row)
    cached.wanted = true
    if (cached.row.main === row.main && cached.row.sub === row.sub) this.cache.set(cached, row)
  }

  /** Reads the meta row; the store must not be in use. */
  readonly load: Effect.Effect<void, Failure> = Effect.suspend(() =>
    Effect.flatMap(fromStorage(this.storage.get(Layout.storeMetaKey)), (bytes) => {
      const meta = Option.isNone(bytes) ? StoreMeta.initial : StoreMeta.decode(bytes.value)
      if (meta === undefined) return Effect.fail(corrupt("the row of the store's revision cannot be read"))
      if (meta.layoutVersion > Layout.layoutVersion) {
        return Effect.fail(foreign(meta.layoutVersion, Layout.layoutVersion))
      }
      this.meta = meta
      return Effect.void
    })
  )

  /** Carries out the commands, and stores what raft remembers with what they change. See `StateMachine.apply`. */
  apply(
    commands: ReadonlyArray<Entry.Entry>,
    raft: StateMachine.RaftMeta
  ): Effect.Effect<ReadonlyArray<Uint8Array>, Failure> {
    return Effect.suspend(() => {
      if (this.failure !== undefined) return Effect.fail(this.failure)
      if (this.behind.pendingBytes > Limits.pendingBytesMax) {
        return Effect.flatMap(this.settled, () => this.apply(commands, raft))
      }
      const pass = new CommandPass(commands, ++this.batches, this.meta.revision, this.arena)
      const missing = pass.prepare(
        (key) => this.cache.get(key),
        (key) => Published.find(this.confirmed, key)
      )
      return missing.size === 0
        ? this.run(pass, raft)
        : Effect.flatMap(this.loadRows(pass, missing), () => this.run(pass, raft))
    })
  }

  private run(
    pass: CommandPass,
    raft: StateMachine.RaftMeta
  ): Effect.Effect<ReadonlyArray<Uint8Array>, Failure> {
    const need = pass.advance()
    // Whole or not at all, should the caller be interrupted.
    return need === undefined
      ? Effect.uninterruptible(Effect.suspend(() => this.publish(pass, raft)))
      : Effect.flatMap(this.loadRange(pass, need.from, need.to), () => this.run(pass, raft))
  }

  private publish(
    pass: CommandPass,
    raft: StateMachine.RaftMeta
  ): Effect.Effect<ReadonlyArray<Uint8Array>> {
    const changed = pass.finish()
    const keys = changed.map((cached) => cached.key)
    const rows = changed.map((cached) => cached.draft)
    for (const cached of pass.touched) {
      this.cache.set(cached, cached.draft)
      // Or it would keep the command in memory that it has its value from.
      cached.draft = cached.row
    }
    this.meta = StoreMeta.at(this.meta, pass.revision)
    const { writes } = pass
    const upkeep: Upkeep.Upkeep = { store: this.meta, raft, records: raft.changes(pass.results) }
    let bytes = changed.length * Limits.cacheRowOverheadBytes + Upkeep.bytes
    for (const result of pass.results) bytes += result.length
    for (const write of writes) if (write._tag === "Put") bytes += write.key.length + write.value.length
    return Effect.as(this.behind.append(Published.make(keys, rows, writes, upkeep, bytes)), pass.results)
  }

  /** Loads rows from the storage, in bulk. Nothing on its way to the storage may have these keys. */
  private readonly loadRows = Effect.fnUntraced({ self: this }, function*(
    pass: CommandPass,
    missing: ReadonlySet<Cached>
  ) {
    const all = Array.from(missing)
    for (let start = 0; start < all.length; start += Limits.bulkKeysMax) {
      const part = all.slice(start, start + Limits.bulkKeysMax)
      const found = yield* fromStorage(this.storage.getMany(part.map((cached) => Layout.currentKey(cached.key))))
      for (let i = 0; i < part.length; i++) {
        const bytes = found[i]
        const row = bytes === undefined ? CurrentRow.absent : CurrentRow.decode(bytes)
        if (row === undefined || !pass.load(part[i]!, row)) return yield* corrupt("a current row cannot be read")
      }
    }
  })

  /** Adds the rows of a range to the pass: what is on its way first, since it is newer than what the storage may show. */
  private readonly loadRange = Effect.fnUntraced({ self: this }, function*(
    pass: CommandPass,
    from: string,
    to: string | undefined
  ) {
    for (const [key, row] of Published.range(this.confirmed, from, to)) {
      if (pass.draftOf(key) === undefined) pass.addRow(key, row)
    }
    let start = Layout.currentKey(from)
    const end = to === undefined ? Layout.endOf(Layout.prefix.current) : Layout.currentKey(to)
    let live = 0
    while (to === undefined || from < to) {
      const page = yield* Pages.read(this.storage, start, end, false)
      for (const { key: bytes, value } of page.rows) {
        const key = toText(bytes, 1, bytes.length)
        let row = pass.draftOf(key)
        if (row === undefined) {
          row = CurrentRow.decode(value)
          if (row === undefined) return yield* corrupt("a current row cannot be read")
          if (CurrentRow.exists(row)) pass.addRow(key, row)
        }
        if (CurrentRow.exists(row)) live++
      }
      if (page.complete || live > Limits.deleteKeysMax) break
      start = Pages.behind(page.rows.at(-1)!.key)
    }
    pass.completeRange()
  })

  /** Puts another state in the place of this one, by `commit`. Everything must be settled, and nothing applied meanwhile. */
  replace(commit: Effect.Effect<void, Failure>): Effect.Effect<void, Failure> {
    return Effect.uninterruptible(Effect.suspend(() => {
      this.replacing = true
      this.readable.closeUnsafe()
      return Effect.onExit(Effect.andThen(commit, this.load), (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) {
            this.behind.failure = Option.getOrElse(Exit.findErrorOption(exit), () => corrupt("a replacement broke off"))
          }
          this.cache.clear()
          this.behind.reset()
          this.replacements++
          this.replacing = false
          this.readable.openUnsafe()
        }))
    }))
  }
}

/** The same rows with their values, read with `reader` from the history rows where they are not in memory. */
export const loadValues = Effect.fnUntraced(
  function*(reader: Storage.Reader, rows: ReadonlyArray<CurrentRow.CurrentRow>) {
    const lacking = rows.filter((row) => row.value === undefined)
    if (lacking.length === 0) return rows
    const found = yield* fromStorage(reader.getMany(lacking.map((row) => Layout.historyKey(row.chain!))))
    let next = 0
    const complete: Array<CurrentRow.CurrentRow> = []
    for (const row of rows) {
      if (row.value !== undefined) {
        complete.push(row)
        continue
      }
      const history = found[next++]
      const change = history === undefined ? undefined : HistoryRow.change(history, row.chain!.position)
      const record = change === undefined ? undefined : HistoryRecord.decode(change)
      if (record === undefined) return yield* corrupt(`the value of revision ${row.main} is missing`)
      complete.push(CurrentRow.withValue(row, toText(record.value, 0, record.value.length)))
    }
    return complete
  }
)

/** Opens the state in the `Storage` at hand. */
export const make = Effect.fnUntraced(function*(options: Options) {
  const store = new Store(yield* Storage.Storage, yield* Effect.scope, options)
  yield* store.load
  return store
})
