/** A key as it was at an older revision, found by walking its chain of changes (`Chain`). */
import type { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { Effect, Option } from "effect"
import * as Chain from "./Chain.ts"
import * as CurrentRow from "./CurrentRow.ts"
import * as HistoryRecord from "./HistoryRecord.ts"
import * as HistoryRow from "./HistoryRow.ts"
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
  let place: Layout.Place | undefined = Chain.treeAbove(current.chain!, revision) ?? current.chain!
  while (place !== undefined && place.main > revision) {
    const record: HistoryRecord.HistoryRecord | undefined = yield* read(reader, place)
    if (record === undefined) return yield* corrupt(`the change at revision ${place.main} is missing`)
    place = record.jump !== undefined && record.jump.main > revision ? record.jump : record.previous
  }
  if (place === undefined) return Option.none<KeyValue>()
  const record = yield* read(reader, place)
  // A tombstone is removed by the compaction that passes it, while newer changes still point to it.
  if (record === undefined || record.version === 0) return Option.none<KeyValue>()
  return Option.some<KeyValue>({
    key,
    value: record.value,
    createRevision: record.create,
    modRevision: place.main,
    version: record.version,
    lease: record.lease
  })
})

const read = Effect.fnUntraced(function*(reader: Storage.Reader, place: Layout.Place) {
  const row = yield* fromStorage(reader.get(Layout.historyKey(place)))
  if (Option.isNone(row)) return undefined
  const bytes = HistoryRow.change(row.value, place.position)
  if (bytes?.length === 0) return undefined
  const record = bytes === undefined ? undefined : HistoryRecord.decode(bytes)
  return record === undefined ? yield* corrupt(`the change at revision ${place.main} cannot be read`) : record
})
