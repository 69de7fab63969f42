/**
 * `LogStore` in segment files over `Disk`: append-only, a checksummed record per entry and per change of term or vote, one durable write per batch.
 *
 * Each batch begins with a mark that everything before it was synced, and an idle log adds one soon after its last batch. So
 * damage can be told apart: before a mark it is rot, behind the last one a batch that was never acknowledged (`LogRecovery`). A conflicting
 * suffix is not erased: the entries that replace it follow it (Raft paper §5.3).
 */
import { type LogIndex, LogStore } from "@dkv/raft"
import { Duration, Effect, Latch, Layer, type Scope, Semaphore } from "effect"
import { Disk, type DiskError } from "./Disk.ts"
import * as Limits from "./Limits.ts"
import * as LogFormat from "./LogFormat.ts"
import { recover, toLogError } from "./LogRecovery.ts"
import { file, type Segment } from "./Segment.ts"
import * as SegmentReader from "./SegmentReader.ts"
import { type Change, SegmentWriter } from "./SegmentWriter.ts"

export interface Options {
  /** A directory of the log's own; made if missing. A `LOCK` file in it keeps other processes out. */
  readonly directory: string
  /** Size at which a segment is closed; `Limits.segmentBytes` if absent. */
  readonly segmentBytes?: number
  /**
   * The log must be there already: an empty directory is then `Corrupt`, for a member that has voted before must not start with
   * an empty log. False if absent.
   */
  readonly mustExist?: boolean
}

/** Opens the log and recovers it. The scope closes and unlocks it. */
export const make: (
  options: Options
) => Effect.Effect<LogStore.LogStore["Service"], LogStore.LogStoreError, Disk | Scope.Scope> = Effect.fnUntraced(
  function*(
    options: Options
  ) {
    const disk = yield* Disk
    const { directory, segmentBytes = Limits.segmentBytes } = options
    yield* Effect.mapError(disk.makeDirectory(directory), toLogError)
    yield* Effect.mapError(disk.lock(`${directory}/LOCK`), toLogError)

    const segments: Array<Segment> = []
    const oneAtATime = yield* Semaphore.make(1)
    yield* Effect.addFinalizer(() =>
      oneAtATime.withPermit(Effect.orDie(Effect.validate(segments, ({ file }) => file.close, { discard: true })))
    )
    const { configurations, shape, unmarked } = yield* recover(directory, segments)
    if (segments.length === 0 && options.mustExist === true) {
      return yield* new LogStore.LogStoreError({
        reason: "Corrupt",
        message: `${directory} holds no log, but this member had one: rebuild the member from the others`,
        file: directory,
        offset: 0
      })
    }

    const writer = new SegmentWriter(disk, { directory, segmentBytes }, shape, segments)
    /** Set for good by the first failure: what the disk holds is not known any more, and a second sync would prove nothing. */
    let failure: LogStore.LogStoreError | undefined
    let durableLast = shape.lastIndex
    let batches = 0
    let markWanted = false
    const markLatch = yield* Latch.make()

    const poison = (error: DiskError): Effect.Effect<never, LogStore.LogStoreError> => {
      failure = toLogError(error)
      const known = Effect.fail(failure)
      return error.reason === "Full" ? Effect.catch(writer.withdraw(), () => known).pipe(Effect.andThen(known)) : known
    }

    const refuse = (broken: string): Effect.Effect<never> => {
      const cause = new Error(`a write breaks a rule of the log: ${broken}`)
      failure = new LogStore.LogStoreError({ reason: "Io", message: cause.message, file: directory, cause })
      return Effect.die(cause)
    }

    const settle = (changes: ReadonlyArray<Change>, encodedBytes: number): void => {
      const active = segments[segments.length - 1]!
      let offset = active.bytes + LogFormat.markBytes
      for (const change of changes) {
        switch (change._tag) {
          case "Append":
            for (const entry of change.entries) {
              file(segments, entry.index, offset, entry.bytes)
              offset += LogFormat.entryBytes(entry.bytes)
            }
            break
          case "HardState":
            offset += LogFormat.hardStateBytes(change.hardState)
            break
          case "Reset":
            for (const segment of segments) segment.cut(0)
            offset += LogFormat.positionBytes
            break
          case "Start":
            offset += LogFormat.positionBytes
        }
      }
      active.bytes += encodedBytes
      durableLast = shape.lastIndex
      batches++
    }

    const commit = (changes: ReadonlyArray<Change>): Effect.Effect<void, LogStore.LogStoreError> =>
      Effect.suspend(() => {
        if (failure !== undefined) return Effect.fail(failure)
        const room = writer.makeRoom(changes)
        const write = Effect.suspend(() => {
          const encoded = writer.encode(changes)
          if (typeof encoded === "string") return refuse(encoded)
          return Effect.map(writer.write(encoded), () => settle(changes, encoded.length))
        })
        return Effect.catch(room === undefined ? write : Effect.andThen(room, write), poison)
      })
    const exclusive = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.uninterruptible(oneAtATime.withPermit(effect))

    /**
     * Removes the oldest segments, in which no entry behind the start of the log stands. Needs no sync: that they were given up is in the log, and
     * one that a crash brings back is removed on start.
     */
    const dropSegments = Effect.fnUntraced(function*() {
      const kept = segments.findIndex((segment, at) =>
        at === segments.length - 1 || (segment.count > 0 && segment.last > shape.previousIndex)
      )
      for (const segment of segments.slice(0, kept)) {
        yield* disk.unlink(segment.path)
        segments.shift()
        segment.dropped = true
        yield* SegmentReader.closeDropped(segment)
      }
    })
    const dropGivenUp = Effect.suspend(() => Effect.catch(dropSegments(), poison))

    const mark = exclusive(commit([]))
    /** A write may be on its way for longer than the log has to be idle: then the batch that it ends with is marked later. */
    const markUnlessBusy = (seen: number) =>
      exclusive(Effect.suspend(() => {
        if (batches !== seen) return Effect.void
        markLatch.closeUnsafe()
        markWanted = false
        return commit([])
      }))
    const idleMarks = Effect.gen(function*() {
      while (true) {
        yield* markLatch.await
        const seen = batches
        yield* Effect.sleep(Duration.millis(Limits.idleMarkMillis))
        if (batches === seen) yield* markUnlessBusy(seen)
      }
    })

    if (segments.length > 0) yield* dropGivenUp
    if (segments.length === 0 || unmarked) yield* mark
    // A failure is kept in `failure` and met by the next call.
    yield* Effect.forkScoped(Effect.ignore(idleMarks))

    const recovered: LogStore.Recovered = {
      hardState: shape.hardState,
      previousIndex: shape.previousIndex,
      previousTerm: shape.previousTerm,
      lastIndex: shape.lastIndex,
      termRuns: shape.runs.slice(),
      configurations
    }

    return LogStore.LogStore.of({
      recovered,
      write: (writes) =>
        exclusive(Effect.suspend(() => {
          if (writes.length === 0 && failure === undefined) return Effect.void
          if (!markWanted) {
            markWanted = true
            markLatch.openUnsafe()
          }
          const written = commit(writes)
          return writes.some((write) => write._tag === "Reset") ? Effect.andThen(written, dropGivenUp) : written
        })),
      read: (from, to, bytesMax) =>
        Effect.suspend(() => {
          if (failure !== undefined) return Effect.fail(failure)
          const last = Math.min(to, durableLast)
          if (from <= shape.previousIndex || from > last) return Effect.succeed([])
          return SegmentReader.read(segments, from, last, bytesMax)
        }),
      compact: (index) =>
        exclusive(Effect.suspend(() => {
          if (failure !== undefined) return Effect.fail(failure)
          const position = () => ({ previousIndex: shape.previousIndex, previousTerm: shape.previousTerm })
          const start = startBehind(segments, Math.min(index, durableLast))
          if (start === undefined || start <= shape.previousIndex) return Effect.sync(position)
          return commit([{ _tag: "Start", index: start, term: shape.termAt(start) }]).pipe(
            Effect.andThen(dropGivenUp),
            Effect.map(position)
          )
        })),
      sizeBytes: Effect.sync(() => segments.reduce((bytes, segment) => bytes + segment.bytes, 0))
    })
  }
)

export const layer = (options: Options): Layer.Layer<LogStore.LogStore, LogStore.LogStoreError, Disk> =>
  Layer.effect(LogStore.LogStore, make(options))

/** The last entry of the whole segments in which nothing stands behind `index`. */
const startBehind = (segments: ReadonlyArray<Segment>, index: LogIndex): LogIndex | undefined => {
  let start: LogIndex | undefined
  for (const segment of segments.slice(0, -1)) {
    if (segment.count === 0) continue
    if (segment.last > index) break
    start = segment.last
  }
  return start
}
