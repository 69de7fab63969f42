/**
 * A snapshot as a sequence of chunks, each of which says what must have come before it: chunks that are damaged, left out, repeated, or
 * of another snapshot do not fit, and the last one vouches for all.
 *
 * Layout, integers big-endian: "dkvS", format u8, flags u8 (1: last chunk), rows before u64, checksum before u32, number of rows u32, per row
 * key length u32, value length u32, key, value; then the checksum u32. The checksum is CRC-32 over all bytes of the chunk before
 * it, begun with the checksum of the chunk before. The first chunk has 0 rows and checksum 0 before it. Rows are in key order.
 */
import type { Storage } from "@dkv/storage"
import { crc32 } from "node:zlib"
import { copy, getUint32, getUint64, putUint32, putUint64 } from "./Bytes.ts"
import * as Limits from "./Limits.ts"

export const format = 1

/** How far a snapshot has come. */
export interface Progress {
  readonly rows: number
  readonly checksum: number
}

export const start: Progress = { rows: 0, checksum: 0 }

const magic = 0x646b7653
const headBytes = 22

export const encode = (
  before: Progress,
  rows: ReadonlyArray<Storage.Row>,
  last: boolean
): { readonly chunk: Uint8Array; readonly after: Progress } => {
  let size = headBytes + 4
  for (const row of rows) size += 8 + row.key.length + row.value.length
  const chunk = new Uint8Array(size)
  putUint32(chunk, 0, magic)
  chunk[4] = format
  chunk[5] = last ? 1 : 0
  putUint64(chunk, 6, before.rows)
  putUint32(chunk, 14, before.checksum)
  putUint32(chunk, 18, rows.length)
  let offset = headBytes
  for (const { key, value } of rows) {
    putUint32(chunk, offset, key.length)
    putUint32(chunk, offset + 4, value.length)
    copy(chunk, offset + 8, key, 0, key.length)
    copy(chunk, offset + 8 + key.length, value, 0, value.length)
    offset += 8 + key.length + value.length
  }
  const checksum = crc32(chunk.subarray(0, offset), before.checksum)
  putUint32(chunk, offset, checksum)
  return { chunk, after: { rows: before.rows + rows.length, checksum } }
}

/** A chunk that follows `before`, or in a string why it is none. Rows are views of the chunk. */
export const decode = (before: Progress, chunk: Uint8Array):
  | { readonly rows: ReadonlyArray<Storage.Row>; readonly last: boolean; readonly after: Progress }
  | string =>
{
  if (chunk.length < headBytes + 4 || getUint32(chunk, 0) !== magic) return "this is no snapshot chunk"
  if (chunk[4] !== format) return `the snapshot has format ${chunk[4]}, this program knows ${format}`
  if (chunk.length > Limits.snapshotChunkBytesMax) return `a chunk of ${chunk.length} bytes is too large`
  if (getUint64(chunk, 6) !== before.rows || getUint32(chunk, 14) !== before.checksum) {
    return `the chunk at row ${getUint64(chunk, 6)} does not follow what came before, up to row ${before.rows}`
  }
  const end = chunk.length - 4
  const checksum = crc32(chunk.subarray(0, end), before.checksum)
  if (checksum !== getUint32(chunk, end)) return `the chunk at row ${before.rows} is damaged`
  const count = getUint32(chunk, 18)
  const rows: Array<Storage.Row> = []
  let offset = headBytes
  for (let i = 0; i < count; i++) {
    if (offset + 8 > end) return `the chunk at row ${before.rows} is cut short`
    const keyEnd = offset + 8 + getUint32(chunk, offset)
    const valueEnd = keyEnd + getUint32(chunk, offset + 4)
    if (valueEnd > end) return `the chunk at row ${before.rows} is cut short`
    rows.push({ key: chunk.subarray(offset + 8, keyEnd), value: chunk.subarray(keyEnd, valueEnd) })
    offset = valueEnd
  }
  if (offset !== end) return `the chunk at row ${before.rows} has bytes too many`
  return { rows, last: chunk[5] === 1, after: { rows: before.rows + count, checksum } }
}
