/**
 * What is intact in a damaged log, and what can be said for certain about the rest. Reading goes on at the next mark behind damage, or with the next segment, whose
 * header says where the log stood when it was begun; so the log falls into parts with holes between them. Changes nothing on disk.
 *
 * Source: "Protocol-Aware Recovery for Consensus-Based Storage" (Alagappan et al., FAST 2018): entries that a majority may have acknowledged must not be taken
 * for absent; what is missing is named, so that it can be fetched.
 */
import type { HardState } from "@dkv/raft"
import { Entry, type LogIndex, type LogStore, type Term } from "@dkv/raft"
import { Effect } from "effect"
import { Disk, type DiskError, type File } from "./Disk.ts"
import * as LogFormat from "./LogFormat.ts"
import { findFiles, toLogError } from "./LogRecovery.ts"
import { LogReplay } from "./LogReplay.ts"
import * as LogScan from "./LogScan.ts"
import type { Visit } from "./LogScan.ts"
import { Segment } from "./Segment.ts"
import * as SegmentReader from "./SegmentReader.ts"

export interface Position {
  readonly index: LogIndex
  readonly term: Term
}

/** Bytes of a segment that cannot be read as records. */
export interface Hole {
  readonly file: File
  readonly salt: number
  readonly from: number
  readonly to: number
}

/** Entries that are not known, between two positions that are. `behind` may be the last of them; it is one of the intact entries otherwise. */
export interface Gap {
  readonly before: Position
  readonly behind: Position
  /** Where the entries stood, as far as that is known. */
  readonly holes: ReadonlyArray<Hole>
}

export interface Salvage {
  /** Entries up to this one were given up. */
  readonly start: Position
  readonly lastIndex: LogIndex
  /** Ascending. Every entry behind `start` is in one of them or intact. */
  readonly gaps: ReadonlyArray<Gap>
  readonly hardState: HardState.HardState
  /** The holes that may have had a newer hard state in them: no record and no header behind them repeats it. */
  readonly doubtful: ReadonlyArray<Hole>
  /** The term of an intact entry, or of a known position. */
  readonly termAt: (index: LogIndex) => Term | undefined
  /** The intact entries from `from` on, at least one if there is any, about `bytesMax` of them, none of which lies behind a gap that others do not. */
  readonly read: (
    from: LogIndex,
    bytesMax: number
  ) => Effect.Effect<ReadonlyArray<Entry.Entry>, LogStore.LogStoreError>
}

/** Stands for a position that is not known yet: the first entry that is read sets it. */
const unknownIndex = Number.MAX_SAFE_INTEGER

/** What was read between two holes. Mutable. */
interface Part {
  readonly replay: LogReplay
  readonly segments: Array<Segment>
  /** Those before it. */
  readonly holes: Array<Hole>
}

const partAfter = (former: Part | undefined): Part => {
  const segments: Array<Segment> = []
  const part: Part = { segments, replay: new LogReplay(segments), holes: [] }
  part.replay.shape.reset(unknownIndex, 0)
  if (former !== undefined) {
    part.replay.start = former.replay.start
    part.replay.shape.hardState = former.replay.shape.hardState
  }
  return part
}

const isBlank = ({ replay: { shape } }: Part): boolean => shape.previousIndex === unknownIndex

/** Mutable; owned by one salvage. */
interface Reading {
  readonly parts: Array<Part>
  /** Since the hard state was last told. */
  doubtful: Array<Hole>
}

const last = ({ parts }: Reading): Part => parts[parts.length - 1]!

/** What follows is not known to continue what came before. */
const breakOff = (reading: Reading, hole: Hole | undefined, continued: Segment | undefined): void => {
  if (!isBlank(last(reading))) reading.parts.push(partAfter(last(reading)))
  if (hole !== undefined) {
    last(reading).holes.push(hole)
    reading.doubtful.push(hole)
  }
  if (continued !== undefined && last(reading).segments.at(-1)?.number !== continued.number) {
    last(reading).segments.push(new Segment(continued))
  }
}

/** Reads the log in `directory`, which the caller has locked; its files are open until the scope closes. A string says why nothing is certain. */
export const read = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const { present } = yield* findFiles(directory)
  const found = yield* Effect.forEach(
    present,
    (number) => LogScan.readHeader(`${directory}/${LogFormat.fileName(number)}`)
  )
  const reading: Reading = { parts: [partAfter(undefined)], doubtful: [] }
  for (let at = 0; at < found.length; at++) {
    const { path, result, sizeBytes } = found[at]!
    if (result._tag === "OtherVersion") return `${path} is of another format version`
    if (result._tag === "Damaged" || result.header.number !== present[at]) {
      breakOff(reading, undefined, undefined)
      continue
    }
    const broken = adopt(last(reading), result.header)
    if (broken !== undefined) return `${path}: ${broken}`
    reading.doubtful = []
    const file = yield* Effect.acquireRelease(
      disk.open(path, { access: "read" }),
      (file) => Effect.ignore(file.close)
    )
    const { number, salt } = result.header
    last(reading).segments.push(new Segment({ number, path, salt, headerBytes: result.bytes, file }))
    const following = found[at + 1]?.result
    const limit = following?._tag === "Header" ? Math.min(following.header.previousBytes, sizeBytes) : sizeBytes
    const isLast = at === found.length - 1
    const refusal = yield* readRecords(reading, file, { from: result.bytes, limit, salt, isLast })
    if (refusal !== undefined) return `${path}: ${refusal}`
    if (following?._tag === "Header" && following.header.previousBytes > sizeBytes) {
      breakOff(reading, undefined, undefined)
    }
  }
  return isBlank(last(reading)) ? "the damage reaches to the end of the log, which is not known" : layOut(reading)
}, Effect.mapError(toLogError))

/** Takes what a segment's header says about the log before it. */
const adopt = ({ replay }: Part, header: LogFormat.Header): string | undefined => {
  const { shape } = replay
  if (shape.previousIndex === unknownIndex) shape.reset(header.lastIndex, header.lastTerm)
  else if (shape.lastIndex !== header.lastIndex || shape.lastTerm !== header.lastTerm) {
    return "this segment does not continue the one before it"
  }
  replay.start = { index: header.startIndex, term: header.startTerm }
  return shape.setHardState(header.hardState)
}

/** Reads the records of one segment, over any damage that a mark follows. A string says what no damage explains. */
const readRecords = Effect.fnUntraced(function*(
  reading: Reading,
  file: File,
  options: { readonly from: number; readonly limit: number; readonly salt: number; readonly isLast: boolean }
): Effect.fn.Return<string | undefined, DiskError> {
  const { isLast, limit, salt } = options
  const visit: Visit = (record) => {
    const { body, end, type } = record
    if (type === LogFormat.RecordType.HardState) reading.doubtful = []
    return type === LogFormat.RecordType.Entry && end - body < Entry.overheadBytes
      ? "an entry that is too short"
      : last(reading).replay.record(record)
  }
  let from = options.from
  while (true) {
    const { broken, damage, end } = yield* LogScan.scan(file, { from, limit, salt, visit })
    if (broken !== undefined) return broken
    if (damage === undefined) return undefined
    const { mark } = yield* LogScan.remainder(file, { from: end, sizeBytes: limit, salt })
    if (mark === undefined && isLast) return undefined
    const expected = markAt(end, salt)
    if (resembles(yield* file.read(end, LogFormat.markBytes), 0, expected)) {
      from = end + expected.length
      continue
    }
    const segment = last(reading).segments.at(-1)!
    breakOff(reading, { file, salt, from: end, to: mark ?? limit }, segment)
    if (mark === undefined) return undefined
    from = mark
  }
})

/** Which entries are missing between the parts. */
const layOut = ({ doubtful, parts }: Reading): Salvage => {
  const { replay: { shape: { hardState, lastIndex }, start } } = parts[parts.length - 1]!
  const ranges: Array<{ readonly part: Part; readonly from: LogIndex; readonly to: LogIndex }> = []
  let limit = Infinity
  for (const part of parts.toReversed()) {
    const { shape } = part.replay
    const to = Math.min(shape.lastIndex, limit)
    limit = Math.min(limit, shape.previousIndex)
    ranges.unshift({ part, from: Math.max(shape.previousIndex, start.index) + 1, to })
  }
  const gaps: Array<Gap> = []
  let before: Position = start
  let holes: ReadonlyArray<Hole> = []
  for (const { from, part, to } of ranges) {
    const { shape } = part.replay
    const isLast = part === parts[parts.length - 1]
    holes = [...holes, ...part.holes]
    if (to < from && !isLast) continue
    const isKnown = shape.previousTerm > 0
    const base: Position = { index: shape.previousIndex, term: shape.previousTerm }
    const joins = base.index <= start.index || (isKnown && base.index === before.index && base.term === before.term)
    if (!joins) gaps.push({ before, behind: isKnown ? base : { index: from, term: shape.termAt(from) }, holes })
    before = to < from ? (joins ? before : base) : { index: to, term: shape.termAt(to) }
    holes = []
  }
  return {
    start,
    lastIndex,
    gaps,
    hardState,
    doubtful,
    termAt: (index) => {
      const range = ranges.find(({ from, to }) => from <= index && index <= to)
      if (range !== undefined) return range.part.replay.shape.termAt(index)
      return [start, ...gaps.map(({ behind }) => behind)].find((position) => position.index === index)?.term
    },
    read: (from, bytesMax) =>
      Effect.suspend(() => {
        const range = ranges.find((range) => from <= range.to && range.from <= range.to)
        if (range === undefined) return Effect.succeed([])
        return SegmentReader.read(range.part.segments, Math.max(from, range.from), range.to, bytesMax)
      })
  }
}

const markAt = (offset: number, salt: number): Uint8Array => {
  const writer = new LogFormat.RecordWriter(new Uint8Array(LogFormat.markBytes))
  writer.salt = salt
  writer.mark(offset)
  return writer.bytes
}

/** Whether the bytes at `at` are the damaged remains of `record`: its checksum is there, or everything but that. */
const resembles = (bytes: Uint8Array, at: number, record: Uint8Array): boolean => {
  if (at + record.length > bytes.length) return false
  const isSame = (from: number, to: number) =>
    record.subarray(from, to).every((byte, n) => bytes[at + from + n] === byte)
  return isSame(0, 4) || isSame(4, record.length)
}

/**
 * Whether the hole had nothing in it but the given entries, from `first` of them on, and marks: then no change of term or vote is lost with it. The number of
 * entries that it had.
 */
export const explain = Effect.fnUntraced(function*(
  { file, from, salt, to }: Hole,
  entries: ReadonlyArray<Entry.Entry>
): Effect.fn.Return<number | undefined, LogStore.LogStoreError> {
  const bytes = yield* Effect.mapError(file.read(from, to - from), toLogError)
  let count = 0
  let at = 0
  while (at < bytes.length) {
    const entry = entries[count]
    const mark = markAt(from + at, salt)
    if (resembles(bytes, at, mark)) at += mark.length
    else {
      if (entry === undefined) return undefined
      const writer = new LogFormat.RecordWriter(new Uint8Array(LogFormat.entryBytes(entry.bytes)))
      writer.salt = salt
      writer.entry(entry)
      if (!resembles(bytes, at, writer.bytes)) return undefined
      at += writer.bytes.length
      count++
    }
  }
  return count
})
