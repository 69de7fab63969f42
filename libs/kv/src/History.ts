/** A key as it was at an older revision, found by walking its chain of changes (`Chain`). */
import type { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { Effect, Option } from "effect"
import * as Chain from "./Chain.ts"
import * as CurrentRow from "./CurrentRow.ts"
import * as HistoryRecord from "./HistoryRecord.ts"
import type { KeyValue } from "./Kv.ts"
import * as Layout from "./Layout.ts"
import { corrupt, fromStorage } from "./StoreFailure.ts"

/**
 * The key as of the main revision `revision`, which must not be compacted; `None` if there was no such key then. Reads at most
 * 2 log2(changes) + 2 rows of `reader`, which must hold everything applied (a snapshot, or a storage with nothing pending).
 */
export const find: (
  reader: Storage.Reader,
  key: Uint8Array,
  revision: number
) => Effect.Effect<Option.Option<KeyValue>, StateMachine.StateMachineError> = Effect.fnUntraced(function*(
  reader,
  key,
  revision
) {
  const bytes = yield* fromStorage(reader.get(Layout.prefixed(Layout.prefix.current, key)))
  if (Option.isNone(bytes)) return Option.none<KeyValue>()
  const current = CurrentRow.decode(bytes.value)
  if (current === undefined) return yield* corrupt("a current row cannot be read")
  let main = current.main
  let sub = current.sub
  const tree = Chain.treeAbove(current.chain!, revision)
  if (tree !== undefined) {
    main = tree.main
    sub = tree.sub
    while (main > revision) {
      const record = yield* read(reader, main, sub)
      if (record === undefined) return yield* corrupt(`the change at revision ${main} is missing`)
      const far = record.jumpMain > revision
      main = far ? record.jumpMain : record.previousMain
      sub = far ? record.jumpSub : record.previousSub
    }
    if (main === 0) return Option.none<KeyValue>()
  }
  const record = yield* read(reader, main, sub)
  // A tombstone is removed by the compaction that passes it, while newer changes still point to it.
  if (record === undefined || record.version === 0) return Option.none<KeyValue>()
  return Option.some<KeyValue>({
    key,
    value: record.value,
    createRevision: record.create,
    modRevision: main,
    version: record.version,
    lease: record.lease
  })
})

const read = Effect.fnUntraced(function*(reader: Storage.Reader, main: number, sub: number) {
  const bytes = yield* fromStorage(reader.get(Layout.historyKey(main, sub)))
  if (Option.isNone(bytes)) return undefined
  const record = HistoryRecord.decode(bytes.value)
  return record === undefined ? yield* corrupt(`the change at revision ${main} cannot be read`) : record
})
