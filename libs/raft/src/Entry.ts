/**
 * A log entry with its payload, and its layout in bytes. The same bytes travel between members and
 * lie in the log, so that an entry is encoded once, by the leader that made it.
 *
 * Layout, big-endian: index u64, term u64, kind u8, payload.
 */
import type { EntryHead, EntryKind, LogIndex, Term } from "./core/Entry.ts"
import { overheadBytes } from "./core/Entry.ts"

export { overheadBytes } from "./core/Entry.ts"

export interface Entry extends EntryHead {
  /** The payload; treat as immutable, it is shared by the log, the wire and the state machine. */
  readonly data: Uint8Array
}

export const make = (index: LogIndex, term: Term, kind: EntryKind, data: Uint8Array): Entry => ({
  index,
  term,
  kind,
  bytes: data.length,
  data
})

/** Size of the encoded entry in bytes. */
export const encodedBytes = (entry: EntryHead): number => overheadBytes + entry.bytes

/** Writes `entry` at `offset` of `target` and returns the offset behind it. */
export const encodeInto = (target: Uint8Array, view: DataView, offset: number, entry: Entry): number => {
  writeUint64(view, offset, entry.index)
  writeUint64(view, offset + 8, entry.term)
  view.setUint8(offset + 16, entry.kind)
  target.set(entry.data, offset + overheadBytes)
  return offset + overheadBytes + entry.data.length
}

/** Reads an entry from `bytes[offset, end)`. The payload is a view, not a copy. */
export const decode = (bytes: Uint8Array, view: DataView, offset: number, end: number): Entry =>
  make(
    readUint64(view, offset),
    readUint64(view, offset + 8),
    view.getUint8(offset + 16) as EntryKind,
    bytes.subarray(offset + overheadBytes, end)
  )

/** Writes a safe non-negative integer as 8 big-endian bytes, without bigint. */
export const writeUint64 = (view: DataView, offset: number, value: number): void => {
  view.setUint32(offset, Math.floor(value / 0x1_0000_0000))
  view.setUint32(offset + 4, value >>> 0)
}

/** Reads 8 big-endian bytes as a safe integer; a value beyond 2^53 - 1 comes back as an unsafe number for the caller to refuse. */
export const readUint64 = (view: DataView, offset: number): number => {
  const high = view.getUint32(offset)
  const low = view.getUint32(offset + 4)
  // The product of a multiplication is a float, which V8 boxes in every entry that is kept; nearly all numbers are small.
  return high === 0 ? low : high * 0x1_0000_0000 + low
}
