/** What a store says, whatever rows its changes share: that depends on how commands were cut into batches, and nothing else may. */
import { assert } from "@effect/vitest"
import type * as Chain from "../src/Chain.ts"
import * as CurrentRow from "../src/CurrentRow.ts"
import * as HistoryRecord from "../src/HistoryRecord.ts"
import * as HistoryRow from "../src/HistoryRow.ts"
import { Layout, Limits } from "../src/index.ts"
import { bytes, text } from "./Harness.ts"
import type { MapStorage } from "./MapStorage.ts"

type Revision = readonly [main: number, sub: number]

const revisionOf = (place: Layout.Place | undefined): Revision | undefined => place && [place.main, place.sub]

/** The changes of a history row with their places. */
export const changesOf = (key: Uint8Array, row: Uint8Array): Array<readonly [Layout.Place, Uint8Array]> => {
  const { main, sub } = Layout.getPlace(new Uint8Array([...key.subarray(1), 0]), 0)
  const changes: Array<readonly [Layout.Place, Uint8Array]> = []
  for (let position = 0;; position++) {
    const change = HistoryRow.change(row, position)
    if (change === undefined) return changes
    const place = row[0] === 0 ? { main: main + position, sub, position } : { main, sub: sub + position, position }
    changes.push([place, change])
  }
}

/** All changes in order, all current rows, and all else. Checks that every place that is named holds the change that is meant. */
export const stateOf = (storage: MapStorage) => {
  const contents = storage.contents()
  const rows = new Map(contents)
  const check = (key: string, place: Layout.Place | undefined) => {
    if (place === undefined) return
    const row = rows.get(text(Layout.historyKey(place)))
    const change = row === undefined ? undefined : HistoryRow.change(bytes(row), place.position)
    const record = change === undefined ? undefined : HistoryRecord.decode(change)
    assert.strictEqual(record === undefined ? undefined : text(record.key), key, `revision ${place.main} ${place.sub}`)
  }
  const changes: Array<unknown> = []
  const current: Array<unknown> = []
  const others: Array<unknown> = []
  for (const [key, row] of contents) {
    if (key.charCodeAt(0) === Layout.prefix.history) {
      const found = changesOf(bytes(key), bytes(row))
      assert.isAtMost(found.length, Limits.historyRowChangesMax)
      assert.isTrue(found.length === 1 || row.length <= Limits.historyRowBytesMax)
      for (const [place, change] of found) {
        const { jump, previous, ...rest } = HistoryRecord.decode(change)!
        const of = text(rest.key)
        for (const each of [place, previous, jump]) check(of, each)
        changes.push({ ...rest, at: revisionOf(place), previous: revisionOf(previous), jump: revisionOf(jump) })
      }
    } else if (key.charCodeAt(0) === Layout.prefix.current) {
      const { chain, ...rest } = CurrentRow.decode(bytes(row))!
      const roots: Array<unknown> = []
      for (let root: Chain.Root | undefined = chain; root !== undefined; root = root.next) {
        check(key.slice(1), root)
        roots.push([root.rank, root.main, root.sub])
      }
      current.push({ key, ...rest, roots })
    } else others.push([key, row])
  }
  return { changes, current, others }
}
