/**
 * The bytes of a log segment, format version 1. Integers are big-endian.
 *
 * Header: magic (8), format version u32, header length u32, checksum u32, segment number u64, salt u32, end of the previous segment's records
 * u64, last index u64, last term u64, start index u64, start term u64, term u64, vote (UTF-8, the rest). The first three
 * fields and the checksum stay where they are in every version. The header is written when all segments before it have been synced.
 *
 * Record: checksum u32, body length u32, type u8, body. The checksum covers everything behind it and is seeded with the
 * segment's salt, so that bytes from another segment, or from a client, never pass for a record of this one.
 */
import type { HardState } from "@dkv/raft"
import { Entry, type LogIndex, type Term } from "@dkv/raft"
import { crc32c } from "./Checksum.ts"
import * as Limits from "./Limits.ts"

export const formatVersion = 1

/** The numbers are on disk: never reuse one. */
export const RecordType = {
  /** Body: the entry as `@dkv/raft` lays it out. */
  Entry: 1,
  /** Body: term u64, vote. */
  HardState: 2,
  /** Body: index u64, term u64. The log is empty and goes on after this position. */
  Reset: 3,
  /** Body: the mark's own magic (8), its offset in the file u64. Everything before it has been synced. */
  Mark: 4,
  /** Body: index u64, term u64. The entries up to this one were given up; files before this one may be gone. */
  Start: 5
} as const
export type RecordType = (typeof RecordType)[keyof typeof RecordType]

export interface Header {
  readonly number: number
  readonly salt: number
  /** Where the records of the segment before this one end. */
  readonly previousBytes: number
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
  readonly startIndex: LogIndex
  readonly startTerm: Term
  readonly hardState: HardState.HardState
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const magic = encoder.encode("dkv-log\n")
const fixedHeaderBytes = 80
const headerPrefixBytes = 20

/** Longest header. */
export const headerBytesMax = fixedHeaderBytes + Limits.voteBytesMax

export const recordOverheadBytes = 9

/** What a search for a mark looks for; it stands `recordOverheadBytes` behind the start of the record. */
export const markMagic = new Uint8Array([0xd1, 0x6b, 0x76, 0x4d, 0x61, 0x72, 0x6b, 0x0a])
export const markBodyBytes = 16
export const markBytes = recordOverheadBytes + markBodyBytes
/** Size of a `Reset` or `Start` record. */
export const positionBytes = recordOverheadBytes + 16

export const fileName = (number: number): string => `${String(number).padStart(20, "0")}.log`

/** The segment number that a file name stands for, if it is one of ours. */
export const parseFileName = (name: string): number | undefined => {
  const digits = /^(\d{20})\.log$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

export const encodeHeader = (header: Header): Uint8Array => {
  const vote = encodeVote(header.hardState.vote)
  const bytes = new Uint8Array(fixedHeaderBytes + vote.length)
  const view = new DataView(bytes.buffer)
  bytes.set(magic)
  view.setUint32(8, formatVersion)
  view.setUint32(12, bytes.length)
  Entry.writeUint64(view, 20, header.number)
  view.setUint32(28, header.salt)
  Entry.writeUint64(view, 32, header.previousBytes)
  Entry.writeUint64(view, 40, header.lastIndex)
  Entry.writeUint64(view, 48, header.lastTerm)
  Entry.writeUint64(view, 56, header.startIndex)
  Entry.writeUint64(view, 64, header.startTerm)
  Entry.writeUint64(view, 72, header.hardState.term)
  bytes.set(vote, fixedHeaderBytes)
  view.setUint32(16, headerChecksum(bytes))
  return bytes
}

export type HeaderResult =
  | { readonly _tag: "Header"; readonly header: Header; readonly bytes: number }
  | { readonly _tag: "Damaged" }
  | { readonly _tag: "OtherVersion"; readonly version: number }

/** Reads the header from the first bytes of a file, `headerBytesMax` of them if it has as many. */
export const decodeHeader = (file: Uint8Array): HeaderResult => {
  const view = viewOf(file)
  if (file.length < headerPrefixBytes || magic.some((byte, at) => file[at] !== byte)) return { _tag: "Damaged" }
  const length = view.getUint32(12)
  if (length < headerPrefixBytes || length > file.length) return { _tag: "Damaged" }
  const bytes = file.subarray(0, length)
  if (view.getUint32(16) !== headerChecksum(bytes)) return { _tag: "Damaged" }
  if (view.getUint32(8) !== formatVersion) return { _tag: "OtherVersion", version: view.getUint32(8) }
  if (length < fixedHeaderBytes) return { _tag: "Damaged" }
  return {
    _tag: "Header",
    bytes: length,
    header: {
      number: Entry.readUint64(view, 20),
      salt: view.getUint32(28),
      previousBytes: Entry.readUint64(view, 32),
      lastIndex: Entry.readUint64(view, 40),
      lastTerm: Entry.readUint64(view, 48),
      startIndex: Entry.readUint64(view, 56),
      startTerm: Entry.readUint64(view, 64),
      hardState: { term: Entry.readUint64(view, 72), vote: decoder.decode(bytes.subarray(fixedHeaderBytes)) }
    }
  }
}

const headerChecksum = (bytes: Uint8Array): number =>
  crc32c(bytes, headerPrefixBytes, bytes.length, crc32c(bytes, 0, headerPrefixBytes - 4))

/** Encodes records one behind the other into a buffer that the owner made large enough. Mutable; used by one writer. */
export class RecordWriter {
  bytes: Uint8Array
  view: DataView
  salt = 0
  at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = viewOf(bytes)
  }

  /** `offset` is where the mark will stand in the file. */
  mark(offset: number): void {
    const body = this.at + recordOverheadBytes
    this.bytes.set(markMagic, body)
    Entry.writeUint64(this.view, body + 8, offset)
    this.#seal(RecordType.Mark, body + markBodyBytes)
  }

  entry(entry: Entry.Entry): void {
    this.#seal(RecordType.Entry, Entry.encodeInto(this.bytes, this.view, this.at + recordOverheadBytes, entry))
  }

  hardState(hardState: HardState.HardState): void {
    const body = this.at + recordOverheadBytes
    const vote = encodeVote(hardState.vote)
    Entry.writeUint64(this.view, body, hardState.term)
    this.bytes.set(vote, body + 8)
    this.#seal(RecordType.HardState, body + 8 + vote.length)
  }

  position(type: typeof RecordType.Reset | typeof RecordType.Start, index: LogIndex, term: Term): void {
    const body = this.at + recordOverheadBytes
    Entry.writeUint64(this.view, body, index)
    Entry.writeUint64(this.view, body + 8, term)
    this.#seal(type, body + 16)
  }

  #seal(type: RecordType, end: number): void {
    this.view.setUint32(this.at + 4, end - this.at - recordOverheadBytes)
    this.bytes[this.at + 8] = type
    this.view.setUint32(this.at, crc32c(this.bytes, this.at + 4, end, this.salt))
    this.at = end
  }
}

export const entryBytes = (payloadBytes: number): number => recordOverheadBytes + Entry.overheadBytes + payloadBytes
export const hardStateBytes = (hardState: HardState.HardState): number =>
  recordOverheadBytes + 8 + encodeVote(hardState.vote).length
export const hardStateBytesMax = recordOverheadBytes + 8 + Limits.voteBytesMax

/** Whether a whole, undamaged record of `length` body bytes stands at `at`. */
export const isSound = (bytes: Uint8Array, view: DataView, at: number, length: number, salt: number): boolean =>
  view.getUint32(at) === crc32c(bytes, at + 4, at + recordOverheadBytes + length, salt)

export const decodeHardState = (bytes: Uint8Array, view: DataView, body: number, end: number): HardState.HardState => ({
  term: Entry.readUint64(view, body),
  vote: decoder.decode(bytes.subarray(body + 8, end))
})

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const encodeVote = (vote: string): Uint8Array => {
  const bytes = encoder.encode(vote)
  if (bytes.length > Limits.voteBytesMax) throw new RangeError(`a vote for a name of ${bytes.length} bytes`)
  return bytes
}
