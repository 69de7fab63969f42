/**
 * One file of the log: how far its records reach, and where in it the live entries stand. Eight bytes of memory per live entry.
 */
import type { LogIndex } from "@dkv/raft"
import type { File } from "./Disk.ts"

const firstCapacity = 1024

/** Mutable; owned by the log. The live entries of a segment are one range of indices, wherever their records stand. */
export class Segment {
  readonly number: number
  readonly path: string
  readonly salt: number
  readonly headerBytes: number
  /** End of the records. */
  bytes: number
  /** Up to here the file is written, with zeros behind the records. */
  filledBytes: number
  /** The open file. Only the newest segment's is written to. */
  readonly file: File
  /** Reads under way; the file is not closed before they are over. */
  readers = 0
  dropped = false
  first: LogIndex = 0
  count = 0
  #offsets = new Uint32Array(0)
  #payloads = new Uint32Array(0)

  constructor(options: {
    readonly number: number
    readonly path: string
    readonly salt: number
    readonly headerBytes: number
    readonly file: File
  }) {
    this.number = options.number
    this.path = options.path
    this.salt = options.salt
    this.headerBytes = options.headerBytes
    this.bytes = options.headerBytes
    this.filledBytes = options.headerBytes
    this.file = options.file
  }

  /** Index of the last live entry, or `first - 1`. */
  get last(): LogIndex {
    return this.first + this.count - 1
  }

  /** The record of entry `index`, with `payloadBytes` of payload, stands at `offset`. */
  push(index: LogIndex, offset: number, payloadBytes: number): void {
    if (this.count === 0 || index < this.first) {
      this.first = index
      this.count = 0
    } else if (index <= this.last) this.count = index - this.first
    if (this.count === this.#offsets.length) {
      this.#offsets = grown(this.#offsets)
      this.#payloads = grown(this.#payloads)
    }
    this.#offsets[this.count] = offset
    this.#payloads[this.count] = payloadBytes
    this.count++
  }

  /** Forgets the entries from `index` on. */
  cut(index: LogIndex): void {
    if (this.count > 0 && index <= this.last) this.count = Math.max(0, index - this.first)
  }

  offsetOf(index: LogIndex): number {
    return this.#offsets[index - this.first]!
  }

  payloadBytesOf(index: LogIndex): number {
    return this.#payloads[index - this.first]!
  }
}

const grown = (values: Uint32Array): Uint32Array<ArrayBuffer> => {
  const larger = new Uint32Array(Math.max(firstCapacity, values.length * 2))
  larger.set(values)
  return larger
}

/**
 * Files the entry under the newest segment and takes it, with everything from its index on, from the ones before:
 * the caller has checked that it belongs there.
 */
export const file = (segments: ReadonlyArray<Segment>, index: LogIndex, offset: number, payloadBytes: number): void => {
  const newest = segments[segments.length - 1]!
  if (newest.count === 0 || index < newest.first) {
    for (let at = segments.length - 2; at >= 0 && (segments[at]!.count === 0 || segments[at]!.last >= index); at--) {
      segments[at]!.cut(index)
    }
  }
  newest.push(index, offset, payloadBytes)
}

/** The segment that holds entry `index`, which must be live. */
export const find = (segments: ReadonlyArray<Segment>, index: LogIndex): Segment | undefined => {
  for (let at = segments.length - 1; at >= 0; at--) {
    const segment = segments[at]!
    if (segment.count > 0 && segment.first <= index) return index <= segment.last ? segment : undefined
  }
  return undefined
}
