/**
 * Ranges served from one member's state. All ranges of a call show the same revision: that of the moment when the storage has answered (keys
 * alone), or when its snapshot is open (ranges), overlaid with every batch that was on its way since before (`Published`).
 */
import type { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { Effect } from "effect"
import { fromText, toText } from "./Bytes.ts"
import * as CurrentRow from "./CurrentRow.ts"
import type { Invalid, KeyValue, RangeOp, RangeResult } from "./Kv.ts"
import * as Layout from "./Layout.ts"
import * as Limits from "./Limits.ts"
import * as Outcome from "./Outcome.ts"
import * as Pages from "./Pages.ts"
import * as Published from "./Published.ts"
import { loadValues, type Store } from "./Store.ts"
import { corrupt, fromStorage } from "./StoreFailure.ts"

type Failure = StateMachine.StateMachineError
type Row = CurrentRow.CurrentRow

/** Serves valid ranges, one result each, with `answerBytesMax` of keys and values. Fails only when the member must stop. */
export const read = (
  store: Store,
  ops: ReadonlyArray<RangeOp>,
  answerBytesMax: number = Limits.readBytesMax
): Effect.Effect<ReadonlyArray<RangeResult>, Failure> =>
  Effect.suspend(() => {
    if (store.failure !== undefined) return Effect.fail(store.failure)
    const bytesMax = Math.min(answerBytesMax, Limits.readBytesMax)
    const results = store.replacing ? undefined : fromMemory(store, ops, bytesMax)
    return results === undefined ? fromStore(store, ops, bytesMax) : Effect.succeed(results)
  })

const answerTooLarge: Invalid = {
  _tag: "Invalid",
  reason: "AnswerTooLarge",
  message:
    "the results of one call are limited, and those before this one left no room for it: ask for it in another call"
}

/** What may still go into the answer of a call. */
interface Budget {
  bytes: number
}

const sizeOf = (keyBytes: number, row: Row): number => keyBytes + row.valueBytes + Limits.keyValueOverheadBytes

const none: ReadonlyArray<KeyValue> = []

/** The result for a single key; false from `spend` means that there is no room for it. */
const spend = (budget: Budget, op: RangeOp, row: Row): boolean => {
  if (!CurrentRow.exists(row)) return true
  budget.bytes -= sizeOf(op.key.length, row)
  return budget.bytes >= 0
}

const single = (revision: number, op: RangeOp, row: Row): RangeResult => ({
  _tag: "Range",
  revision,
  kvs: CurrentRow.exists(row) ? [Outcome.toKeyValue(op.key, row)] : none,
  more: false
})

/** All results, if memory has every row that is asked for. */
const fromMemory = (
  store: Store,
  ops: ReadonlyArray<RangeOp>,
  bytesMax: number
): ReadonlyArray<RangeResult> | undefined => {
  const budget: Budget = { bytes: bytesMax }
  const results: Array<RangeResult> = new Array(ops.length)
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i]!
    if (op.end.length > 0) return undefined
    const row = store.lookup(toText(op.key, 0, op.key.length))
    if (row === undefined || row.value === undefined) return undefined
    results[i] = spend(budget, op, row) ? single(store.meta.revision, op, row) : answerTooLarge
  }
  return results
}

const fromStore = Effect.fnUntraced(function*(store: Store, ops: ReadonlyArray<RangeOp>, bytesMax: number) {
  const keysOnly = ops.every((op) => op.end.length === 0)
  while (true) {
    yield* store.readable.await
    yield* store.check
    const before = store.replacements
    const read = store.reading(
      keysOnly ? keys(store, ops, bytesMax) : Effect.scoped(ranges(store, ops, bytesMax))
    )
    // Across a replacement of the whole state, what was read is neither the one nor the other.
    const results = yield* Effect.catch(
      read,
      (error) => store.replacing || store.replacements !== before ? Effect.undefined : Effect.fail(error)
    )
    if (results !== undefined) return results
  }
})

/** Single keys, from a bulk read; undefined if the state was replaced meanwhile. */
const keys = Effect.fnUntraced(function*(store: Store, ops: ReadonlyArray<RangeOp>, bytesMax: number) {
  const { confirmed, replacements } = store
  const turns = store.cache.turns
  const names = ops.map((op) => toText(op.key, 0, op.key.length))
  const rows = names.map((name) => store.lookup(name))
  const missing = rows.flatMap((row, i) => row === undefined || CurrentRow.lacksInline(row) ? [i] : [])
  for (let start = 0; start < missing.length; start += Limits.bulkKeysMax) {
    const part = missing.slice(start, start + Limits.bulkKeysMax)
    const found = yield* fromStorage(store.storage.getMany(part.map((i) => Layout.currentKey(names[i]!))))
    if (store.replacing || store.replacements !== replacements) return undefined
    for (let j = 0; j < part.length; j++) {
      const row = found[j] === undefined ? CurrentRow.absent : CurrentRow.decode(found[j]!)
      if (row === undefined) return yield* corrupt("a current row cannot be read")
      rows[part[j]!] = row
      store.remember(names[part[j]!]!, row, turns)
    }
  }
  if (confirmed.next !== undefined) {
    for (let i = 0; i < rows.length; i++) rows[i] = Published.find(confirmed, names[i]!) ?? rows[i]
  }
  return yield* finishKeys(store, store.storage, ops, rows as Array<Row>, store.meta.revision, {
    bytes: bytesMax
  })
})

/** Turns the rows of single keys into results, with the values that are still in their history rows. */
const finishKeys = Effect.fnUntraced(function*(
  store: Store,
  reader: Storage.Reader,
  ops: ReadonlyArray<RangeOp>,
  rows: ReadonlyArray<Row>,
  revision: number,
  budget: Budget
) {
  const fits = rows.map((row, i) => spend(budget, ops[i]!, row))
  const turns = store.cache.turns
  const complete = yield* loadValues(reader, rows.filter((_, i) => fits[i]))
  let next = 0
  return rows.map((row, i): RangeResult => {
    if (!fits[i]) return answerTooLarge
    const whole = complete[next++]!
    if (whole !== row) store.remember(toText(ops[i]!.key, 0, ops[i]!.key.length), whole, turns)
    return single(revision, ops[i]!, whole)
  })
})

/** Ranges, and keys among them, from a snapshot; undefined if the state was replaced meanwhile. */
const ranges = Effect.fnUntraced(function*(store: Store, ops: ReadonlyArray<RangeOp>, bytesMax: number) {
  const { confirmed, replacements } = store
  const snapshot = yield* fromStorage(store.storage.snapshot)
  if (store.replacing || store.replacements !== replacements) return undefined
  const revision = store.meta.revision
  const bounds = ops.map(boundsOf)
  const overlays = bounds.map(({ from, to }) => Published.range(confirmed, from, to))
  const budget: Budget = { bytes: bytesMax }
  const results: Array<RangeResult> = []
  for (let i = 0; i < ops.length; i++) {
    const op = ops[i]!
    if (budget.bytes <= 0) {
      results.push(answerTooLarge)
      continue
    }
    const rangeBytesMax = op.end.length === 0 ? Infinity : Math.min(Limits.rangeBytesMax, budget.bytes)
    const picked = yield* pick(snapshot, op, bounds[i]!, overlays[i]!, rangeBytesMax)
    budget.bytes -= picked.bytes
    if (op.end.length === 0 && budget.bytes < 0) {
      results.push(answerTooLarge)
      continue
    }
    const rows = yield* loadValues(snapshot, picked.rows)
    results.push({
      _tag: "Range",
      revision,
      kvs: rows.map((row, j) => Outcome.toKeyValue(fromText(picked.keys[j]!), row)),
      more: picked.more
    })
  }
  return results
})

interface Bounds {
  readonly from: string
  /** Exclusive; undefined for no upper bound. */
  readonly to: string | undefined
}

const boundsOf = (op: RangeOp): Bounds => {
  const from = toText(op.key, 0, op.key.length)
  if (op.end.length === 0) return { from, to: from + "\0" }
  return { from, to: Layout.isUnbounded(op.end) ? undefined : toText(op.end, 0, op.end.length) }
}

/** Live rows of one range in order, merged from the snapshot and the newer rows of `overlay`. */
class Picked {
  readonly keys: Array<string> = []
  readonly rows: Array<Row> = []
  bytes = 0
  more = false
  readonly rowsMax: number
  private readonly bytesMax: number

  constructor(rowsMax: number, bytesMax: number) {
    this.rowsMax = rowsMax
    this.bytesMax = bytesMax
  }

  /** Takes a row; false when there is no room for it. */
  add(key: string, row: Row): boolean {
    if (!CurrentRow.exists(row)) return true
    const size = sizeOf(key.length, row)
    if (this.rows.length === this.rowsMax || (this.rows.length > 0 && this.bytes + size > this.bytesMax)) {
      this.more = true
      return false
    }
    this.keys.push(key)
    this.rows.push(row)
    this.bytes += size
    return true
  }
}

const pick = Effect.fnUntraced(function*(
  reader: Storage.Reader,
  op: RangeOp,
  bounds: Bounds,
  overlay: Array<readonly [key: string, row: Row]>,
  bytesMax: number
) {
  const picked = new Picked(op.limit === 0 ? Infinity : op.limit, bytesMax)
  if (bounds.to !== undefined && bounds.to <= bounds.from) return picked
  if (op.reverse) overlay.reverse()
  let from = Layout.currentKey(bounds.from)
  let to = bounds.to === undefined ? Layout.endOf(Layout.prefix.current) : Layout.currentKey(bounds.to)
  let next = 0
  // One more than asked for tells whether there are more; a few more still, since tombstones lie between. Each further page is twice as long, should they be many.
  let pageRows = picked.rowsMax + 8
  while (true) {
    pageRows = Math.min(Limits.scanRowsMax, pageRows)
    const page = yield* Pages.read(reader, from, to, op.reverse, pageRows)
    pageRows *= 2
    for (const { key: bytes, value } of page.rows) {
      const key = toText(bytes, 1, bytes.length)
      for (; next < overlay.length && (op.reverse ? overlay[next]![0] > key : overlay[next]![0] < key); next++) {
        if (!picked.add(overlay[next]![0], overlay[next]![1])) return picked
      }
      if (next < overlay.length && overlay[next]![0] === key) {
        if (!picked.add(key, overlay[next++]![1])) return picked
        continue
      }
      const row = CurrentRow.decode(value)
      if (row === undefined) return yield* corrupt("a current row cannot be read")
      if (!picked.add(key, row)) return picked
    }
    if (page.complete) break
    const last = page.rows.at(-1)!.key
    if (op.reverse) to = last
    else from = Pages.behind(last)
  }
  for (; next < overlay.length; next++) if (!picked.add(overlay[next]![0], overlay[next]![1])) return picked
  return picked
})
