/**
 * Puts batches into bytes and files: one buffer, one durable write for everything that was queued. Rolls to a new segment when one is full.
 */
import type { LogStore } from "@dkv/raft"
import { Entry } from "@dkv/raft"
import { Effect, Random } from "effect"
import * as AtomicFile from "./AtomicFile.ts"
import { Disk, type DiskError } from "./Disk.ts"
import * as Limits from "./Limits.ts"
import * as LogFormat from "./LogFormat.ts"
import type { LogShape } from "./LogShape.ts"
import { Segment } from "./Segment.ts"

/** One change, or the notice that the entries up to a position were given up. */
export type Change = LogStore.LogWrite | { readonly _tag: "Start"; readonly index: number; readonly term: number }

export interface Options {
  readonly directory: string
  readonly segmentBytes: number
}

const zeros = new Uint8Array(Limits.growthBytes)

/** Most bytes that the changes may take, with the mark before them. */
const encodedBytes = (changes: ReadonlyArray<Change>): number => {
  let bytes = LogFormat.markBytes
  for (const change of changes) {
    if (change._tag === "Append") {
      for (const entry of change.entries) bytes += LogFormat.recordOverheadBytes + Entry.encodedBytes(entry)
    } else if (change._tag === "HardState") bytes += LogFormat.hardStateBytesMax
    else bytes += LogFormat.positionBytes
  }
  return bytes
}

/** Mutable; owned by one log. The shape runs ahead of the disk while a batch is being written; the segments do not. */
export class SegmentWriter {
  readonly #disk: Disk["Service"]
  readonly #options: Options
  readonly #shape: LogShape
  readonly #segments: Array<Segment>
  #writer = new LogFormat.RecordWriter(new Uint8Array(0))

  constructor(disk: Disk["Service"], options: Options, shape: LogShape, segments: Array<Segment>) {
    this.#disk = disk
    this.#options = options
    this.#shape = shape
    this.#segments = segments
  }

  get #active(): Segment | undefined {
    return this.#segments[this.#segments.length - 1]
  }

  /** Begins the next segment if there is none, or if `changes` do not fit into the present one. */
  makeRoom(changes: ReadonlyArray<Change>): Effect.Effect<void, DiskError> | undefined {
    const active = this.#active
    if (active === undefined) return this.#begin()
    const end = active.bytes + encodedBytes(changes)
    return end > this.#options.segmentBytes && active.bytes > active.headerBytes ? this.#begin() : undefined
  }

  /** Checks the changes against the shape of the log and encodes them behind a mark. A string says which rule one of them breaks. */
  encode(changes: ReadonlyArray<Change>): Uint8Array | string {
    const { bytes: offset, salt } = this.#active!
    const bytesMax = encodedBytes(changes)
    const writer = this.#writerFor(bytesMax)
    writer.salt = salt
    writer.at = 0
    writer.mark(offset)
    for (const change of changes) {
      const broken = this.#take(change, writer)
      if (broken !== undefined) return broken
    }
    if (offset + writer.at > Limits.segmentBytesMax) return `a batch of ${writer.at} bytes is too large for one file`
    return writer.bytes.subarray(0, writer.at)
  }

  /** Makes `encoded` durable at the end of the segment; room for what follows goes with it where the file has to grow. */
  write(encoded: Uint8Array): Effect.Effect<void, DiskError> {
    const active = this.#active!
    const end = active.bytes + encoded.length
    if (end <= active.filledBytes) return active.file.write(active.bytes, [encoded])
    const step = Math.ceil(end / Limits.growthBytes) * Limits.growthBytes
    const filled = Math.max(end, Math.min(step, this.#options.segmentBytes))
    active.filledBytes = filled
    return active.file.write(active.bytes, filled === end ? [encoded] : [encoded, zeros.subarray(0, filled - end)])
  }

  /** Takes back what a full disk has accepted of a batch, so that it is not found again after a restart. */
  withdraw(): Effect.Effect<void, DiskError> {
    const active = this.#active
    return active === undefined ? Effect.void : Effect.andThen(active.file.truncate(active.bytes), active.file.sync)
  }

  #writerFor(bytes: number): LogFormat.RecordWriter {
    if (this.#writer.bytes.length >= bytes) return this.#writer
    const capacity = bytes > Limits.writeBufferBytes
      ? bytes
      : Math.min(Limits.writeBufferBytes, Math.max(64 * 1024, bytes * 2))
    const writer = new LogFormat.RecordWriter(new Uint8Array(capacity))
    if (capacity <= Limits.writeBufferBytes) this.#writer = writer
    return writer
  }

  #take(change: Change, writer: LogFormat.RecordWriter): string | undefined {
    switch (change._tag) {
      case "Append":
        for (const entry of change.entries) {
          const broken = this.#shape.append(entry.index, entry.term)
          if (broken !== undefined) return broken
          writer.entry(entry)
        }
        return undefined
      case "HardState":
        writer.hardState(change.hardState)
        return this.#shape.setHardState(change.hardState)
      case "Reset":
        writer.position(LogFormat.RecordType.Reset, change.index, change.term)
        return this.#shape.reset(change.index, change.term)
      case "Start":
        writer.position(LogFormat.RecordType.Start, change.index, change.term)
        return this.#shape.compact(change.index, change.term)
    }
  }

  #begin(): Effect.Effect<void, DiskError> {
    const previous = this.#active
    const { hardState, lastIndex, lastTerm, previousIndex, previousTerm } = this.#shape
    const number = (previous?.number ?? 0) + 1
    const path = `${this.#options.directory}/${LogFormat.fileName(number)}`
    const self = this
    return Effect.gen(function*() {
      const salt = yield* Random.nextIntBetween(0, 0xffff_ffff)
      const header = LogFormat.encodeHeader({
        number,
        salt,
        previousBytes: previous?.bytes ?? 0,
        lastIndex,
        lastTerm,
        startIndex: previousIndex,
        startTerm: previousTerm,
        hardState
      })
      yield* Effect.provideService(AtomicFile.write(path, header), Disk, self.#disk)
      const file = yield* self.#disk.open(path, { access: "write", durableWrites: true })
      self.#segments.push(new Segment({ number, path, salt, headerBytes: header.length, file }))
    })
  }
}
