/** Reading a segment file front to back: its header, its records one by one, and the search for a mark behind damage. */
import { Entry } from "@dkv/raft"
import { Effect } from "effect"
import { Disk, type DiskError, type File } from "./Disk.ts"
import * as Limits from "./Limits.ts"
import * as LogFormat from "./LogFormat.ts"

/** A segment file that is present. */
export interface Found {
  readonly path: string
  readonly sizeBytes: number
  readonly result: LogFormat.HeaderResult
}

export const readHeader = Effect.fnUntraced(function*(path: string): Effect.fn.Return<Found, DiskError, Disk> {
  const disk = yield* Disk
  return yield* Effect.acquireUseRelease(
    disk.open(path, { access: "read" }),
    Effect.fnUntraced(function*(file) {
      const sizeBytes = yield* file.size
      return { path, sizeBytes, result: LogFormat.decodeHeader(yield* file.read(0, LogFormat.headerBytesMax)) }
    }),
    (file) => file.close
  )
})

/** Takes one sound record, whose body is `bytes[body, end)`. The answer, if any, says which rule of the log the record breaks. */
export type Visit = (record: {
  readonly type: number
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly body: number
  readonly end: number
  /** Where the record stands in the file. */
  readonly offset: number
}) => string | undefined

/** Where the reading ended and why: `damage` is what a torn write may leave, `broken` is not. Neither: the limit was reached exactly. */
export interface Scanned {
  readonly end: number
  readonly damage: string | undefined
  readonly broken: string | undefined
}

const ended = (end: number, damage?: string, broken?: string): Scanned => ({ end, damage, broken })

/** Reads the records from `from` on, up to `limit`, until one is damaged or breaks a rule. */
export const scan = Effect.fnUntraced(function*(
  file: File,
  options: { readonly from: number; readonly limit: number; readonly salt: number; readonly visit: Visit }
): Effect.fn.Return<Scanned, DiskError> {
  const { limit, salt, visit } = options
  let offset = options.from
  let need = LogFormat.recordOverheadBytes
  while (offset < limit) {
    if (offset + need > limit) return ended(offset, "incomplete record")
    const bytes = yield* file.read(offset, Math.min(limit - offset, Math.max(need, Limits.recoveryWindowBytes)))
    if (bytes.length < need) return ended(offset, "the file is shorter than it was")
    const view = LogFormat.viewOf(bytes)
    let at = 0
    need = LogFormat.recordOverheadBytes
    while (at + LogFormat.recordOverheadBytes <= bytes.length) {
      const length = view.getUint32(at + 4)
      const end = at + LogFormat.recordOverheadBytes + length
      if (end > bytes.length) {
        need = end - at
        break
      }
      if (!LogFormat.isSound(bytes, view, at, length, salt)) return ended(offset + at, "wrong checksum")
      const body = at + LogFormat.recordOverheadBytes
      const broken = visit({ type: bytes[at + 8]!, bytes, view, body, end, offset: offset + at })
      if (broken !== undefined) return ended(offset + at, undefined, broken)
      at = end
    }
    offset += at
  }
  return ended(offset)
})

/** What stands in a file from an offset on. */
export interface Remainder {
  /** Offset of a sound mark of this segment. */
  readonly mark: number | undefined
  readonly onlyZeros: boolean
}

/** Looks through the bytes from `from` on for a sound mark, wherever it stands: damage may have broken the chain of lengths. */
export const remainder = Effect.fnUntraced(function*(
  file: File,
  options: { readonly from: number; readonly sizeBytes: number; readonly salt: number }
): Effect.fn.Return<Remainder, DiskError> {
  let onlyZeros = true
  for (let from = options.from; from < options.sizeBytes; from += Limits.recoveryWindowBytes) {
    const bytes = yield* file.read(from, Limits.recoveryWindowBytes + LogFormat.markBytes)
    onlyZeros &&= isZero(bytes)
    const mark = findMark(bytes, from, options.salt)
    if (mark !== undefined) return { mark, onlyZeros }
  }
  return { mark: undefined, onlyZeros }
})

const isZero = (bytes: Uint8Array): boolean => {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false
  return true
}

const findMark = (bytes: Uint8Array, from: number, salt: number): number | undefined => {
  const view = LogFormat.viewOf(bytes)
  for (let at = bytes.indexOf(LogFormat.markMagic[0]!); at >= 0; at = bytes.indexOf(LogFormat.markMagic[0]!, at + 1)) {
    const start = at - LogFormat.recordOverheadBytes
    if (start < 0 || start + LogFormat.markBytes > bytes.length) continue
    if (bytes[start + 8] !== LogFormat.RecordType.Mark || Entry.readUint64(view, at + 8) !== from + start) continue
    if (LogFormat.isSound(bytes, view, start, LogFormat.markBodyBytes, salt)) return from + start
  }
  return undefined
}
