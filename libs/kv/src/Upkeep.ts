/**
 * The rows that every batch writes anew beside those of its commands: what the store and raft remember as a whole, and raft's records, most of which take the
 * place of one another. Where batches go to the storage together, the last of each will do, and no other is encoded.
 */
import type { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { toText } from "./Bytes.ts"
import * as Layout from "./Layout.ts"
import * as StoreMeta from "./StoreMeta.ts"

export interface Upkeep {
  readonly store: StoreMeta.StoreMeta
  readonly raft: StateMachine.RaftMeta
  readonly records: ReadonlyArray<StateMachine.RecordChange>
}

/** About what it takes in memory, but for the answers that are in the records. */
export const bytes = 512

/** What is left to write of batches that follow one another. */
export const writesOf = (batches: ReadonlyArray<Upkeep>): ReadonlyArray<Storage.Write> => {
  const last = batches[batches.length - 1]!
  const records = new Map<string, StateMachine.RecordChange>()
  for (const batch of batches) {
    for (const record of batch.records) records.set(toText(record.key, 0, record.key.length), record)
  }
  const writes: Array<Storage.Write> = [
    { _tag: "Put", key: Layout.storeMetaKey, value: StoreMeta.encode(last.store) },
    { _tag: "Put", key: Layout.raftHeadKey, value: last.raft.head }
  ]
  for (const { key, value } of records.values()) {
    const row = Layout.prefixed(Layout.prefix.records, key)
    writes.push(value === undefined ? { _tag: "Delete", key: row } : { _tag: "Put", key: row, value })
  }
  return writes
}
