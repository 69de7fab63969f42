/**
 * What a log is found to hold on start, and the decision on everything that may be wrong with it.
 *
 * - Damage that a mark or another segment follows was once synced: `Corrupt`, with file and offset.
 * - Damage that none follows is a batch that was being written: it is cut off. Zeros are room for later batches.
 * - What stands from the last mark on may never have reached the medium, though it can be read: after a failed sync the system takes its pages for clean and
 *   drops them at will. It is written again, and synced.
 * - A sound record that breaks a rule of the log (a gap, a falling term), a segment that does not continue the one before it, a missing
 *   segment, an unreadable header: no crash leaves these. `Corrupt`.
 * - What a crash may leave behind (a half-made segment, segments that had been given up) is removed.
 */
import { type Entry, LogStore } from "@dkv/raft"
import { Effect } from "effect"
import { temporarySuffix } from "./AtomicFile.ts"
import { Disk, type DiskError, type File } from "./Disk.ts"
import * as Limits from "./Limits.ts"
import * as LogFormat from "./LogFormat.ts"
import { LogReplay } from "./LogReplay.ts"
import * as LogScan from "./LogScan.ts"
import type { LogShape } from "./LogShape.ts"
import { Segment } from "./Segment.ts"

export interface RecoveredLog {
  readonly shape: LogShape
  readonly configurations: ReadonlyArray<Entry.Entry>
  /** Whether records stand behind the last mark: until the next one, damage to them passes for a torn tail. */
  readonly unmarked: boolean
}

export const toLogError = (error: DiskError): LogStore.LogStoreError =>
  new LogStore.LogStoreError({
    reason: error.reason === "Full" || error.reason === "Locked" ? error.reason : "Io",
    message: error.message,
    file: error.path,
    cause: error
  })

export const corrupt = (path: string, offset: number, what: string): LogStore.LogStoreError =>
  new LogStore.LogStoreError({
    reason: "Corrupt",
    message:
      `${path} at ${offset}: ${what}. This was once synced and has been damaged since: rebuild the member from the others`,
    file: path,
    offset
  })

/**
 * Reads the log in `directory`, which the caller has locked. Fills `segments`, ascending, whose open files are the caller's to close, in failure
 * too. No segments: there is no log yet.
 */
export const recover = Effect.fnUntraced(function*(
  directory: string,
  segments: Array<Segment>
): Effect.fn.Return<RecoveredLog, LogStore.LogStoreError, Disk> {
  const disk = yield* Disk
  const names = yield* Effect.mapError(findFiles(directory), toLogError)
  const replay = new LogReplay(segments)
  const headers: Array<Present> = []
  for (const number of names.present) headers.push(yield* readHeader(directory, number))
  for (let at = 0; at < headers.length; at++) yield* replaySegment(replay, headers[at]!, headers[at + 1])
  const missing = replay.finish()
  if (missing !== undefined) return yield* corrupt(headers[0]!.path, 0, missing)
  for (const name of [...names.givenUp.map(LogFormat.fileName), ...names.halfMade]) {
    yield* Effect.mapError(disk.unlink(`${directory}/${name}`), toLogError)
  }
  yield* Effect.mapError(disk.syncDirectory(directory), toLogError)
  return { shape: replay.shape, configurations: replay.configurations, unmarked: replay.unmarked }
})

/** Segments in order of their numbers; those before a gap, which only a removal leaves, apart. */
export const findFiles = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const names = yield* disk.list(directory)
  const numbers = names.map(LogFormat.parseFileName).filter((number) => number !== undefined).sort((a, b) => a - b)
  const start = numbers.findLastIndex((number, at) => numbers[at - 1] !== number - 1)
  return {
    present: numbers.slice(Math.max(start, 0)),
    givenUp: numbers.slice(0, Math.max(start, 0)),
    halfMade: names.filter((name) =>
      name.endsWith(temporarySuffix) && LogFormat.parseFileName(name.slice(0, -temporarySuffix.length)) !== undefined
    )
  }
})

interface Present {
  readonly path: string
  readonly number: number
  readonly sizeBytes: number
  readonly header: LogFormat.Header
  readonly headerBytes: number
}

const readHeader = Effect.fnUntraced(function*(directory: string, number: number) {
  const { path, result, sizeBytes } = yield* Effect.mapError(
    LogScan.readHeader(`${directory}/${LogFormat.fileName(number)}`),
    toLogError
  )
  if (result._tag === "Damaged") return yield* corrupt(path, 0, "unreadable header")
  if (result._tag === "OtherVersion") {
    return yield* new LogStore.LogStoreError({
      reason: "Foreign",
      message:
        `${path} has log format ${result.version}, this program reads ${LogFormat.formatVersion}: start the version that wrote it`,
      file: path
    })
  }
  if (result.header.number !== number) {
    return yield* corrupt(path, 0, `the header is that of segment ${result.header.number}`)
  }
  return { path, number, sizeBytes, header: result.header, headerBytes: result.bytes } satisfies Present
})

const replaySegment = Effect.fnUntraced(function*(replay: LogReplay, present: Present, following: Present | undefined) {
  const disk = yield* Disk
  const { header, headerBytes, number, path, sizeBytes } = present
  const disagreement = replay.header(header)
  if (disagreement !== undefined) return yield* corrupt(path, 0, disagreement)
  const segment = yield* Effect.uninterruptible(Effect.map(
    Effect.mapError(
      disk.open(path, following === undefined ? { access: "write", durableWrites: true } : { access: "read" }),
      toLogError
    ),
    (file) => {
      const segment = new Segment({ number, path, salt: header.salt, headerBytes, file })
      replay.segments.push(segment)
      return segment
    }
  ))
  const { file } = segment
  const limit = following === undefined ? sizeBytes : following.header.previousBytes
  if (limit > sizeBytes) return yield* corrupt(path, sizeBytes, `the file ends here, but had records up to ${limit}`)
  const scanned = yield* Effect.mapError(
    LogScan.scan(file, { from: headerBytes, limit, salt: header.salt, visit: replay.record }),
    toLogError
  )
  if (scanned.broken !== undefined) return yield* corrupt(path, scanned.end, scanned.broken)
  if (scanned.damage !== undefined && following !== undefined) return yield* corrupt(path, scanned.end, scanned.damage)
  segment.bytes = scanned.end
  segment.filledBytes = sizeBytes
  if (following === undefined) yield* settleTail(file, segment, sizeBytes, replay.markOffset, scanned.damage)
})

const settleTail = Effect.fnUntraced(
  function*(file: File, segment: Segment, sizeBytes: number, markOffset: number, damage: string | undefined) {
    const rest = yield* Effect.mapError(
      LogScan.remainder(file, { from: segment.bytes, sizeBytes, salt: segment.salt }),
      toLogError
    )
    if (rest.mark !== undefined) {
      return yield* corrupt(
        segment.path,
        segment.bytes,
        `${damage}, and a later mark at ${rest.mark} says that it was synced`
      )
    }
    yield* Effect.mapError(
      Effect.gen(function*() {
        if (!rest.onlyZeros) {
          yield* file.truncate(segment.bytes)
          segment.filledBytes = segment.bytes
        }
        for (let at = Math.max(markOffset, segment.headerBytes); at < segment.bytes; at += Limits.readBytes) {
          yield* file.write(at, [yield* file.read(at, Math.min(Limits.readBytes, segment.bytes - at))])
        }
        yield* file.sync
      }),
      toLogError
    )
  }
)
