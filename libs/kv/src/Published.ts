/**
 * Batches that were applied, as a linked list in order. Whoever reads the storage takes the list's `confirmed` node first: the storage as
 * seen at any later moment, overlaid with all batches behind that node, is the state as of the list's end at the moment of overlaying.
 * So a read needs no lock, and an answer shows one revision though batches are applied and written meanwhile.
 */
import type { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import type { Deferred } from "effect"
import type { CurrentRow } from "./CurrentRow.ts"
import type { Upkeep } from "./Upkeep.ts"

export interface Batch {
  /** Keys that the batch changed, and their rows behind it. */
  readonly keys: ReadonlyArray<string>
  readonly rows: ReadonlyArray<CurrentRow>
  /** The same as a map, made by the first who looks. */
  byKey: Map<string, CurrentRow> | undefined
  /** For the storage; empty once they are there. */
  writes: ReadonlyArray<Storage.Write>
  /** The same; undefined once it is there. */
  upkeep: Upkeep | undefined
  readonly bytes: number
  /** Completed when the batch is in the storage; made by the first who waits. */
  written: Deferred.Deferred<void, StateMachine.StateMachineError> | undefined
  next: Batch | undefined
}

export const make = (
  keys: ReadonlyArray<string>,
  rows: ReadonlyArray<CurrentRow>,
  writes: ReadonlyArray<Storage.Write>,
  upkeep: Upkeep | undefined,
  bytes: number
): Batch => ({ keys, rows, byKey: undefined, writes, upkeep, bytes, written: undefined, next: undefined })

/** Nothing, as the list's beginning. */
export const begin = (): Batch => make([], [], [], undefined, 0)

const index = (batch: Batch): Map<string, CurrentRow> => {
  if (batch.byKey === undefined) {
    batch.byKey = new Map()
    for (let i = 0; i < batch.keys.length; i++) batch.byKey.set(batch.keys[i]!, batch.rows[i]!)
  }
  return batch.byKey
}

/** The newest row for `key` in the batches behind `node`; undefined if none of them has it. */
export const find = (node: Batch, key: string): CurrentRow | undefined => {
  let row: CurrentRow | undefined
  for (let batch = node.next; batch !== undefined; batch = batch.next) row = index(batch).get(key) ?? row
  return row
}

/** The newest rows in the batches behind `node` for keys in `[from, to)`, in key order. */
export const range = (
  node: Batch,
  from: string,
  to: string | undefined
): Array<readonly [key: string, row: CurrentRow]> => {
  const found = new Map<string, CurrentRow>()
  for (let batch = node.next; batch !== undefined; batch = batch.next) {
    for (let i = 0; i < batch.keys.length; i++) {
      const key = batch.keys[i]!
      if (key >= from && (to === undefined || key < to)) found.set(key, batch.rows[i]!)
    }
  }
  return Array.from(found).sort(([a], [b]) => a < b ? -1 : 1)
}
