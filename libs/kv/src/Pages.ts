/** Rows of a storage, a bounded page at a time. */
import type { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { Effect } from "effect"
import * as Limits from "./Limits.ts"
import { fromStorage } from "./StoreFailure.ts"

export interface Page {
  readonly rows: ReadonlyArray<Storage.Row>
  /** No rows are left behind the page. */
  readonly complete: boolean
}

/** The next page of the rows in `[from, to)`, at most `rowsMax` and about `bytesMax` of them. */
export const read = (
  reader: Storage.Reader,
  from: Uint8Array,
  to: Uint8Array,
  reverse: boolean,
  rowsMax: number = Limits.scanRowsMax,
  bytesMax: number = Limits.scanBytesMax
): Effect.Effect<Page, StateMachine.StateMachineError> =>
  Effect.map(fromStorage(reader.scan({ from, to, reverse, limit: rowsMax, bytesMax })), (rows) => {
    let bytes = 0
    for (const row of rows) bytes += row.key.length + row.value.length
    return { rows, complete: rows.length === 0 || (rows.length < rowsMax && bytes <= bytesMax) }
  })

/** The first key behind `key`. */
export const behind = (key: Uint8Array): Uint8Array => {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}
