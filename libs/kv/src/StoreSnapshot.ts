/** Snapshots of the whole state: all rows of the storage in key order, raft's bookkeeping among them (`SnapshotChunk`). */
import { StateMachine } from "@dkv/raft"
import { Effect, Option } from "effect"
import { compare, copy, empty, equals, getUint32, getUint64, putUint32, putUint64 } from "./Bytes.ts"
import * as Layout from "./Layout.ts"
import * as Limits from "./Limits.ts"
import * as Pages from "./Pages.ts"
import * as SnapshotChunk from "./SnapshotChunk.ts"
import type { Store } from "./Store.ts"
import { fromStorage } from "./StoreFailure.ts"
import * as StoreMeta from "./StoreMeta.ts"

const refused = (message: string) => new StateMachine.StateMachineError({ reason: "Snapshot", message })

// A cursor is progress (rows u64, checksum u32) and the last key sent: with it a chunk depends on nothing else.
const cursorBytes = 12

const encodeCursor = (progress: SnapshotChunk.Progress, key: Uint8Array): Uint8Array => {
  const cursor = new Uint8Array(cursorBytes + key.length)
  putUint64(cursor, 0, progress.rows)
  putUint32(cursor, 8, progress.checksum)
  copy(cursor, cursorBytes, key, 0, key.length)
  return cursor
}

/** Opens a picture of everything applied so far. */
export const reader = Effect.fnUntraced(function*(store: Store) {
  yield* store.settled
  const snapshot = yield* fromStorage(store.storage.snapshot)
  const read = Effect.fnUntraced(function*(cursor: Uint8Array) {
    if (cursor.length > 0 && cursor.length <= cursorBytes) return yield* refused("this is no cursor of a snapshot")
    const first = cursor.length === 0
    const before = first ? SnapshotChunk.start : { rows: getUint64(cursor, 0), checksum: getUint32(cursor, 8) }
    const from = first ? empty : Pages.behind(cursor.subarray(cursorBytes))
    const { complete, rows } = yield* Pages.read(
      snapshot,
      from,
      Layout.endOfAll,
      false,
      Limits.snapshotChunkRowsMax,
      Limits.snapshotChunkBytes
    )
    const { after, chunk } = SnapshotChunk.encode(before, rows, complete)
    return { data: chunk, next: complete ? Option.none() : Option.some(encodeCursor(after, rows.at(-1)!.key)) }
  })
  return { read } satisfies StateMachine.SnapshotReader
})

/** Receives a snapshot in the place of the present state. */
export const writer = Effect.fnUntraced(function*(store: Store) {
  yield* store.settled
  const replacement = yield* fromStorage(store.storage.replace)
  let progress = SnapshotChunk.start
  let lastKey = empty
  let complete = false
  let hasMeta = false

  const write = Effect.fnUntraced(function*(bytes: Uint8Array) {
    if (complete) return yield* refused("a chunk came after the last one")
    const chunk = SnapshotChunk.decode(progress, bytes)
    if (typeof chunk === "string") return yield* refused(chunk)
    let previous = lastKey
    for (const { key, value } of chunk.rows) {
      if (compare(previous, key) >= 0 || compare(key, Layout.endOfAll) >= 0) {
        return yield* refused("the rows of the snapshot are not in order")
      }
      previous = key
      if (!equals(key, Layout.storeMetaKey)) continue
      const meta = StoreMeta.decode(value)
      if (meta === undefined || meta.layoutVersion > Layout.layoutVersion) {
        return yield* refused(
          `the snapshot is of layout version ${value[0]}, this program knows ${Layout.layoutVersion}`
        )
      }
      hasMeta = true
    }
    yield* fromStorage(replacement.put(chunk.rows))
    lastKey = previous
    progress = chunk.after
    complete = chunk.last
  })

  const commit = Effect.suspend(() => {
    if (!complete) return Effect.fail(refused(`the snapshot ends at row ${progress.rows}, before its last chunk`))
    // A store to which nothing was ever applied has no rows at all.
    if (!hasMeta && progress.rows > 0) return Effect.fail(refused("the snapshot has no revision"))
    return store.replace(fromStorage(replacement.commit))
  })

  return { write, commit } satisfies StateMachine.SnapshotWriter
})
