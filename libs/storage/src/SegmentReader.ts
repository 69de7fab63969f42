/** Reads entries back from the segment files: one read per range of records that stand together, each record checked again. */
import { Entry, type LogIndex, type LogStore } from "@dkv/raft"
import { Effect } from "effect"
import type { DiskError } from "./Disk.ts"
import * as Limits from "./Limits.ts"
import * as LogFormat from "./LogFormat.ts"
import { corrupt, toLogError } from "./LogRecovery.ts"
import { find, type Segment } from "./Segment.ts"

/** Records that one read covers. The places are copied: a write may move the entries while the read is under way. */
interface Range {
  readonly segment: Segment
  readonly first: LogIndex
  readonly offsets: Array<number>
  /** Body length of each record. */
  readonly lengths: Array<number>
  end: number
}

/** The ranges to read for `from` to `to`, cut before the payloads exceed `bytesMax`. All the entries are live. */
const plan = (
  segments: ReadonlyArray<Segment>,
  from: LogIndex,
  to: LogIndex,
  bytesMax: number
): ReadonlyArray<Range> => {
  const ranges: Array<Range> = []
  let segment: Segment | undefined
  let range: Range | undefined
  let payloads = 0
  for (let index = from; index <= to; index++) {
    if (segment === undefined || index > segment.last) segment = find(segments, index)
    if (segment === undefined) break
    const payload = segment.payloadBytesOf(index)
    payloads += payload
    if (payloads > bytesMax && index > from) break
    const offset = segment.offsetOf(index)
    const end = offset + LogFormat.entryBytes(payload)
    const joins = range !== undefined && range.segment === segment && offset >= range.end &&
      offset - range.end <= Limits.readGapBytes && end - range.offsets[0]! <= Limits.readBytes
    if (range === undefined || !joins) {
      range = { segment, first: index, offsets: [], lengths: [], end }
      ranges.push(range)
    }
    range.offsets.push(offset)
    range.lengths.push(Entry.overheadBytes + payload)
    range.end = end
  }
  return ranges
}

const readRange = Effect.fnUntraced(function*(range: Range, entries: Array<Entry.Entry>) {
  const { first, lengths, offsets, segment } = range
  const from = offsets[0]!
  const bytes = yield* Effect.mapError(segment.file.read(from, range.end - from), toLogError)
  const view = LogFormat.viewOf(bytes)
  for (let at = 0; at < offsets.length; at++) {
    const record = offsets[at]! - from
    const length = lengths[at]!
    const body = record + LogFormat.recordOverheadBytes
    const sound = body + length <= bytes.length && view.getUint32(record + 4) === length &&
      LogFormat.isSound(bytes, view, record, length, segment.salt)
    if (!sound) return yield* corrupt(segment.path, offsets[at]!, `entry ${first + at} is damaged`)
    entries.push(Entry.decode(bytes, view, body, body + length))
  }
})

/** Closes the file of a dropped segment once nobody reads it any more. */
export const closeDropped = (segment: Segment): Effect.Effect<void, DiskError> =>
  Effect.suspend(() => segment.dropped && segment.readers === 0 ? segment.file.close : Effect.void)

const release = (segment: Segment): Effect.Effect<void, LogStore.LogStoreError> =>
  Effect.suspend(() => {
    segment.readers--
    return Effect.mapError(closeDropped(segment), toLogError)
  })

/**
 * The entries `from` to at most `to`, all of which are live and durable. The files stay open until it is over, even where their segments are
 * dropped meanwhile.
 */
export const read = (
  segments: ReadonlyArray<Segment>,
  from: LogIndex,
  to: LogIndex,
  bytesMax: number
): Effect.Effect<ReadonlyArray<Entry.Entry>, LogStore.LogStoreError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const ranges = plan(segments, from, to, bytesMax)
      for (const { segment } of ranges) segment.readers++
      return ranges
    }),
    Effect.fnUntraced(function*(ranges) {
      const entries: Array<Entry.Entry> = []
      for (const range of ranges) yield* readRange(range, entries)
      return entries
    }),
    (ranges) =>
      Effect.mapError(Effect.validate(ranges, ({ segment }) => release(segment), { discard: true }), ([error]) => error)
  )
