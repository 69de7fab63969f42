/** Raft's own state, kept in memory beside a volatile state machine's. */
import { Option } from "effect"
import type { RaftMeta, RecoveredMeta } from "./StateMachine.ts"

type Pair = readonly [key: Uint8Array, value: Uint8Array]

/** Mutable; owned by the adapter. */
export class VolatileMeta {
  private head: Option.Option<Uint8Array>
  private readonly records = new Map<string, Pair>()

  constructor(recovered: RecoveredMeta) {
    this.head = recovered.head
    for (const record of recovered.records) this.records.set(nameOf(record[0]), record)
  }

  /** Takes over what belongs to commands with these results. */
  keep({ changes, head }: RaftMeta, results: ReadonlyArray<Uint8Array>): void {
    this.head = Option.some(head)
    for (const { key, value } of changes(results)) {
      if (value === undefined) this.records.delete(nameOf(key))
      else this.records.set(nameOf(key), [key, value])
    }
  }

  /** A copy, with the records in the order of their keys. */
  copy(): RecoveredMeta {
    const records = Array.from(this.records).sort(([one], [other]) => one < other ? -1 : 1)
    return { head: this.head, records: records.map(([, record]) => record) }
  }
}

/** A character per byte: bytes as a map's key, in the same order. */
const nameOf = (key: Uint8Array): string => {
  let name = ""
  for (const byte of key) name += String.fromCharCode(byte)
  return name
}
