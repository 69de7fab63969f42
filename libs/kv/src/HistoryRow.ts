/**
 * Changes as they lie in the storage: those that were applied together share a row, because a row costs the storage as much as some hundred bytes in it.
 *
 * The key of a row is the revision of its first change. Its value: kind u8, then per change its length u32 and the change (`HistoryRecord`). Kind 0 holds
 * changes with consecutive main revisions, kind 1 changes of one main revision with consecutive sub revisions. So the revision of a change and its
 * position name its row, and one read by key finds it. A length of 0 is kept for a change that was compacted away while others of its row were not.
 */
import type { Storage } from "@dkv/storage"
import type { Arena } from "./Arena.ts"
import { getUint32 } from "./Bytes.ts"
import * as Layout from "./Layout.ts"
import * as Limits from "./Limits.ts"

const kind = { mainRevisions: 0, subRevisions: 1 } as const

/** Writes rows, one behind the other. Mutable; owned by the pass over a batch. */
export class HistoryRows {
  private readonly arena: Arena
  private readonly rows: Array<Storage.Write>
  private start = 0
  private main = 0
  private sub = 0
  private kind = 0
  private count = 0

  /** Finished rows are added to `rows`. */
  constructor(arena: Arena, rows: Array<Storage.Write>) {
    this.arena = arena
    this.rows = rows
  }

  /**
   * Makes room for a change of at most `bytesMax` at `arena.offset`, where it is to be written next, and returns its position. `ofMany`: it is
   * one of several changes of its main revision.
   */
  place(main: number, sub: number, ofMany: boolean, bytesMax: number): number {
    const { arena, count } = this
    const asKind = ofMany ? kind.subRevisions : kind.mainRevisions
    const follows = asKind === this.kind &&
      (ofMany ? main === this.main && sub === this.sub + count : main === this.main + count)
    const hasRoom = count < Limits.historyRowChangesMax && arena.hasRoom(bytesMax) &&
      arena.offset - this.start + bytesMax <= Limits.historyRowBytesMax
    if (!follows || !hasRoom) this.finish()
    if (this.count === 0) this.begin(main, sub, asKind, bytesMax)
    return this.count++
  }

  private begin(main: number, sub: number, asKind: number, bytesMax: number): void {
    const { arena } = this
    arena.reserve(Layout.historyKeyBytes + 1 + bytesMax)
    this.start = arena.offset
    this.main = main
    this.sub = sub
    this.kind = asKind
    Layout.putHistoryKey(arena.bytes, arena.offset, main, sub)
    arena.bytes[arena.offset + Layout.historyKeyBytes] = asKind
    arena.offset += Layout.historyKeyBytes + 1
  }

  /** Ends the row that was begun; must come before anything else is written into the arena. */
  finish(): void {
    if (this.count === 0) return
    const { arena, start } = this
    const valueStart = start + Layout.historyKeyBytes
    this.rows.push({ _tag: "Put", key: arena.view(start, valueStart), value: arena.view(valueStart, arena.offset) })
    this.count = 0
  }
}

/** The bytes of the change at `position`, none if it was compacted away; undefined if the row has no such place: the storage is damaged. */
export const change = (row: Uint8Array, position: number): Uint8Array | undefined => {
  if (row[0] !== kind.mainRevisions && row[0] !== kind.subRevisions) return undefined
  let start = 1
  for (let at = 0; start + 4 <= row.length; at++) {
    const end = start + 4 + getUint32(row, start)
    if (end > row.length) return undefined
    if (at === position) return row.subarray(start + 4, end)
    start = end
  }
  return undefined
}
