/**
 * One change of one key, as it stays in the revision log until a compaction removes it.
 *
 * Layout: flags u8, create revision u64, version u64, lease u64 if flagged, revision of the change before it (main u64, sub u32) if flagged, revision
 * that it jumps to likewise, key length u32, key, value. A tombstone has zeros for create revision and version, and no value. Without a jump
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
  /** The change of the key before this one; main 0 if there is none. */
  readonly previousMain: number
  readonly previousSub: number
  /** A change further back that this one points to; main 0 if there is none besides the previous. */
  readonly jumpMain: number
  readonly jumpSub: number
  /** Views of the row. */
  readonly key: Uint8Array
  readonly value: Uint8Array
}

const flagTombstone = 1
const flagLease = 2
const flagPrevious = 4
const flagJump = 8
const flagsKnown = flagTombstone | flagLease | flagPrevious | flagJump
const headBytesMax = 1 + 8 + 8 + 8 + 12 + 12

/** Room that the row of a change takes at most, besides key and value. */
export const overheadBytesMax = Layout.historyKeyBytes + headBytesMax + 4

const putHead = (arena: Arena, row: CurrentRow, before: CurrentRow): number => {
  const bytes = arena.bytes
  const start = arena.offset
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
    putUint64(bytes, offset, before.main)
    putUint32(bytes, offset + 8, before.sub)
    offset += 12
    const jump = row.chain!.next
    if (jump !== undefined && jump !== before.chain) {
      flags |= flagJump
      putUint64(bytes, offset, jump.main)
      putUint32(bytes, offset + 8, jump.sub)
      offset += 12
    }
  }
  bytes[start] = flags
  return offset
}

type Put = { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array }

const takeKey = (arena: Arena, row: CurrentRow): Uint8Array => {
  Layout.putHistoryKey(arena.bytes, arena.offset, row.main, row.sub)
  return arena.take(Layout.historyKeyBytes)
}

/** The change from `before` to `row`; `source[start, end)` is key length, key and value as they stand in a command. */
export const encodePut = (
  arena: Arena,
  row: CurrentRow,
  before: CurrentRow,
  source: Uint8Array,
  start: number,
  end: number
): Put => {
  arena.reserve(overheadBytesMax + end - start)
  const key = takeKey(arena, row)
  const offset = putHead(arena, row, before)
  copy(arena.bytes, offset, source, start, end)
  return { _tag: "Put", key, value: arena.take(offset + end - start - arena.offset) }
}

/** The change from `before` to the tombstone `row` of `key`. */
export const encodeDelete = (arena: Arena, row: CurrentRow, before: CurrentRow, key: string): Put => {
  arena.reserve(overheadBytesMax + key.length)
  const historyKey = takeKey(arena, row)
  const offset = putHead(arena, row, before)
  putUint32(arena.bytes, offset, key.length)
  putText(arena.bytes, offset + 4, key)
  return { _tag: "Put", key: historyKey, value: arena.take(offset + 4 + key.length - arena.offset) }
}

/** Undefined if the bytes are no such row: the storage is damaged. */
export const decode = (bytes: Uint8Array): HistoryRecord | undefined => {
  const flags = bytes[0]
  if (flags === undefined || (flags & ~flagsKnown) !== 0) return undefined
  let offset = 17
  const lease = (flags & flagLease) === 0 ? 0 : getUint64(bytes, offset)
  if ((flags & flagLease) !== 0) offset += 8
  const previous = offset
  if ((flags & flagPrevious) !== 0) offset += 12
  const jump = offset
  if ((flags & flagJump) !== 0) offset += 12
  if (bytes.length < offset + 4) return undefined
  const keyEnd = offset + 4 + getUint32(bytes, offset)
  if (bytes.length < keyEnd) return undefined
  const version = getUint64(bytes, 9)
  if (((flags & flagTombstone) !== 0) !== (version === 0)) return undefined
  return {
    create: getUint64(bytes, 1),
    version,
    lease,
    previousMain: (flags & flagPrevious) === 0 ? 0 : getUint64(bytes, previous),
    previousSub: (flags & flagPrevious) === 0 ? 0 : getUint32(bytes, previous + 8),
    jumpMain: (flags & flagJump) === 0 ? 0 : getUint64(bytes, jump),
    jumpSub: (flags & flagJump) === 0 ? 0 : getUint32(bytes, jump + 8),
    key: bytes.subarray(offset + 4, keyEnd),
    value: bytes.subarray(keyEnd)
  }
}
