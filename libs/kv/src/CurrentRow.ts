/**
 * The newest change of a key: what reads and comparisons look at. A deleted key keeps its row, as a tombstone, until a compaction passes it; the
 * chain in it goes on if the key is put again.
 *
 * Layout of the row's value: flags u8, mod revision (main u64, sub u32, position u8), create revision u64, version u64, lease u64 if flagged, rank
 * u8 and number of further trees u8, per further tree its rank u8 and root (main u64, sub u32, position u8), then the value; or, if flagged, only the
 * value's length u32, and the value is in the change. A tombstone has zeros for create revision and version, and no value.
 */
import type { Arena } from "./Arena.ts"
import { copy, getUint32, getUint64, putText, putUint32, putUint64, toText } from "./Bytes.ts"
import * as Chain from "./Chain.ts"
import * as Layout from "./Layout.ts"
import * as Limits from "./Limits.ts"

export interface CurrentRow {
  /** Revision of the last change; 0 if there was none. */
  readonly main: number
  readonly sub: number
  readonly create: number
  /** Changes since creation, from 1; 0 if there is no such key. */
  readonly version: number
  readonly lease: number
  /** Root of this change; undefined only for `absent`. */
  readonly chain: Chain.Root | undefined
  readonly valueBytes: number
  /** Undefined while it is only in the storage. */
  readonly value: Value | undefined
}

/** One character per byte; or, in rows on their way to the storage, part of a command. */
export type Value = string | Uint8Array

/** Of a key that was never put, or whose tombstone is gone. */
export const absent: CurrentRow = {
  main: 0,
  sub: 0,
  create: 0,
  version: 0,
  lease: 0,
  chain: undefined,
  valueBytes: 0,
  value: ""
}

export const exists = (row: CurrentRow): boolean => row.version !== 0

/** Its value is in the stored row, and not in memory. */
export const lacksInline = (row: CurrentRow): boolean =>
  row.value === undefined && row.valueBytes <= Limits.inlineValueBytesMax

/** The row after a put of `value`. */
export const put = (row: CurrentRow, place: Layout.Place, value: Value): CurrentRow => ({
  main: place.main,
  sub: place.sub,
  create: row.version === 0 ? place.main : row.create,
  version: row.version + 1,
  lease: 0,
  chain: Chain.push(row.chain, place),
  valueBytes: value.length,
  value
})

/** The tombstone after a delete. */
export const remove = (row: CurrentRow, place: Layout.Place): CurrentRow => ({
  main: place.main,
  sub: place.sub,
  create: 0,
  version: 0,
  lease: 0,
  chain: Chain.push(row.chain, place),
  valueBytes: 0,
  value: ""
})

/** The same row without a value in memory, or with one. */
export const withValue = (row: CurrentRow, value: Value | undefined): CurrentRow => ({
  main: row.main,
  sub: row.sub,
  create: row.create,
  version: row.version,
  lease: row.lease,
  chain: row.chain,
  valueBytes: row.valueBytes,
  value
})

/** Writes the bytes of a value at `offset`. */
export const putValue = (target: Uint8Array, offset: number, value: Value): void => {
  if (typeof value === "string") putText(target, offset, value)
  else copy(target, offset, value, 0, value.length)
}

const flagTombstone = 1
const flagLease = 2
const flagElsewhere = 4
const flagsKnown = flagTombstone | flagLease | flagElsewhere
const headBytes = 32
const rootBytes = 1 + Layout.placeBytes

/** Encodes a row that has its value in memory, and its key behind the prefix `first`. */
export const encode = (
  arena: Arena,
  first: number,
  key: string,
  row: CurrentRow
): { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array } => {
  const roots = Chain.rootsBehind(row.chain!)
  const elsewhere = row.valueBytes > Limits.inlineValueBytesMax
  const size = headBytes + (row.lease === 0 ? 0 : 8) + roots * rootBytes + (elsewhere ? 4 : row.valueBytes)
  arena.reserve(1 + key.length + size)
  arena.bytes[arena.offset] = first
  putText(arena.bytes, arena.offset + 1, key)
  const keyBytes = arena.take(1 + key.length)
  const bytes = arena.bytes
  let offset = arena.offset
  bytes[offset] = (row.version === 0 ? flagTombstone : 0) | (row.lease === 0 ? 0 : flagLease) |
    (elsewhere ? flagElsewhere : 0)
  Layout.putPlace(bytes, offset + 1, row.chain!)
  putUint64(bytes, offset + 14, row.create)
  putUint64(bytes, offset + 22, row.version)
  offset += 30
  if (row.lease !== 0) {
    putUint64(bytes, offset, row.lease)
    offset += 8
  }
  bytes[offset++] = row.chain!.rank
  bytes[offset++] = roots
  for (let root = row.chain!.next; root !== undefined; root = root.next) {
    bytes[offset] = root.rank
    Layout.putPlace(bytes, offset + 1, root)
    offset += rootBytes
  }
  if (elsewhere) putUint32(bytes, offset, row.valueBytes)
  else putValue(bytes, offset, row.value!)
  return { _tag: "Put", key: keyBytes, value: arena.take(size) }
}

/** Undefined if the bytes are no such row: the storage is damaged. */
export const decode = (bytes: Uint8Array): CurrentRow | undefined => {
  const flags = bytes[0]
  if (flags === undefined || (flags & ~flagsKnown) !== 0) return undefined
  let offset = 30
  const lease = (flags & flagLease) === 0 ? 0 : getUint64(bytes, offset)
  if (lease !== 0) offset += 8
  if (bytes.length < offset + 2) return undefined
  const { main, position, sub } = Layout.getPlace(bytes, 1)
  const rank = bytes[offset]!
  const roots = bytes[offset + 1]!
  offset += 2
  const end = offset + roots * rootBytes
  if (end > bytes.length || roots > Limits.chainRootsMax) return undefined
  let next: Chain.Root | undefined = undefined
  for (let at = end - rootBytes; at >= offset; at -= rootBytes) {
    const root: Layout.Place = Layout.getPlace(bytes, at + 1)
    next = { rank: bytes[at]!, main: root.main, sub: root.sub, position: root.position, next }
  }
  const elsewhere = (flags & flagElsewhere) !== 0
  if (elsewhere && bytes.length !== end + 4) return undefined
  const row: CurrentRow = {
    main,
    sub,
    create: getUint64(bytes, 14),
    version: getUint64(bytes, 22),
    lease,
    chain: { rank, main, sub, position, next },
    valueBytes: elsewhere ? getUint32(bytes, end) : bytes.length - end,
    value: elsewhere ? undefined : toText(bytes, end, bytes.length)
  }
  return ((flags & flagTombstone) !== 0) === (row.version === 0) && Number.isSafeInteger(main) ? row : undefined
}
