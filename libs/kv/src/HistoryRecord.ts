/**
 * One change of one key, as it stays in the revision log until a compaction removes it. Several lie in one row (`HistoryRow`).
 *
 * Layout: flags u8, create revision u64, version u64, lease u64 if flagged, place of the change before it (main u64, sub u32, position u8) if flagged,
 * place of the one that it jumps to likewise, key length u32, key, value. A tombstone has zeros for create revision and version, and no value. Without a jump
 * of its own a change jumps to the one before it (`Chain`).
 */
import type { Arena } from "./Arena.ts"
import { copy, getUint32, getUint64, putText, putUint32, putUint64 } from "./Bytes.ts"
import type { CurrentRow } from "./CurrentRow.ts"
import * as Layout from "./Layout.ts"

export interface HistoryRecord {
  /** 0 for a tombstone. */
  readonly create: number
  readonly version: number
  readonly lease: number
  /** The change of the key before this one. */
  readonly previous: Layout.Place | undefined
  /** A change further back that this one points to, if it is not the previous one. */
  readonly jump: Layout.Place | undefined
  /** Views of the bytes. */
  readonly key: Uint8Array
  readonly value: Uint8Array
}

const flagTombstone = 1
const flagLease = 2
const flagPrevious = 4
const flagJump = 8
const flagsKnown = flagTombstone | flagLease | flagPrevious | flagJump

/** Room that a change takes at most in its row, besides key and value. */
export const overheadBytesMax = 4 + 1 + 8 + 8 + 8 + 2 * Layout.placeBytes + 4

const putHead = (arena: Arena, row: CurrentRow, before: CurrentRow): number => {
  const bytes = arena.bytes
  const start = arena.offset + 4
  let flags = row.version === 0 ? flagTombstone : 0
  putUint64(bytes, start + 1, row.create)
  putUint64(bytes, start + 9, row.version)
  let offset = start + 17
  if (row.lease !== 0) {
    flags |= flagLease
    putUint64(bytes, offset, row.lease)
    offset += 8
  }
  if (before.main !== 0) {
    flags |= flagPrevious
    Layout.putPlace(bytes, offset, before.chain!)
    offset += Layout.placeBytes
    const jump = row.chain!.next
    if (jump !== undefined && jump !== before.chain) {
      flags |= flagJump
      Layout.putPlace(bytes, offset, jump)
      offset += Layout.placeBytes
    }
  }
  bytes[start] = flags
  return offset
}

/** Says how long the change is that was written up to `end`. */
const finish = (arena: Arena, end: number): void => {
  putUint32(arena.bytes, arena.offset, end - arena.offset - 4)
  arena.offset = end
}

/**
 * Writes the change from `before` to `row`, with its length, where the arena has room for it. `source[start, end)` is key length, key and value as
 * they stand in a command.
 */
export const putPut = (
  arena: Arena,
  row: CurrentRow,
  before: CurrentRow,
  source: Uint8Array,
  start: number,
  end: number
): void => {
  const offset = putHead(arena, row, before)
  copy(arena.bytes, offset, source, start, end)
  finish(arena, offset + end - start)
}

/** Writes the change from `before` to the tombstone `row` of `key` likewise. */
export const putDelete = (arena: Arena, row: CurrentRow, before: CurrentRow, key: string): void => {
  const offset = putHead(arena, row, before)
  putUint32(arena.bytes, offset, key.length)
  putText(arena.bytes, offset + 4, key)
  finish(arena, offset + 4 + key.length)
}

/** Undefined if the bytes are no change: the storage is damaged. */
export const decode = (bytes: Uint8Array): HistoryRecord | undefined => {
  const flags = bytes[0]
  if (flags === undefined || (flags & ~flagsKnown) !== 0) return undefined
  let offset = 17
  const lease = (flags & flagLease) === 0 ? 0 : getUint64(bytes, offset)
  if ((flags & flagLease) !== 0) offset += 8
  const previous = offset
  if ((flags & flagPrevious) !== 0) offset += Layout.placeBytes
  const jump = offset
  if ((flags & flagJump) !== 0) offset += Layout.placeBytes
  if (bytes.length < offset + 4) return undefined
  const keyEnd = offset + 4 + getUint32(bytes, offset)
  if (bytes.length < keyEnd) return undefined
  const version = getUint64(bytes, 9)
  if (((flags & flagTombstone) !== 0) !== (version === 0)) return undefined
  return {
    create: getUint64(bytes, 1),
    version,
    lease,
    previous: (flags & flagPrevious) === 0 ? undefined : Layout.getPlace(bytes, previous),
    jump: (flags & flagJump) === 0 ? undefined : Layout.getPlace(bytes, jump),
    key: bytes.subarray(offset + 4, keyEnd),
    value: bytes.subarray(keyEnd)
  }
}
