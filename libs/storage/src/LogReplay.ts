/** What the records of a log add up to, in the order in which they were written. */
import { Entry, EntryKind, type LogIndex, type Term } from "@dkv/raft"
import * as LogFormat from "./LogFormat.ts"
import type { Visit } from "./LogScan.ts"
import { LogShape } from "./LogShape.ts"
import * as Segment from "./Segment.ts"

/** Mutable; owned by one recovery. Methods that return a string say which rule is broken. */
export class LogReplay {
  readonly shape = new LogShape()
  readonly segments: Array<Segment.Segment>
  /** Entries up to this position were given up; those behind it must be there. */
  start: { readonly index: LogIndex; readonly term: Term } = { index: 0, term: 0 }
  configurations: Array<Entry.Entry> = []
  /** Whether records stand behind the last mark. */
  unmarked = false
  /** Where in its segment the last mark stands; 0 if it has none. */
  markOffset = 0

  constructor(segments: Array<Segment.Segment>) {
    this.segments = segments
  }

  /** Takes the header of the next segment: the first says where the log stands, each later one must agree with what was read. */
  header(header: LogFormat.Header): string | undefined {
    const { shape, start } = this
    const previous = this.segments[this.segments.length - 1]
    this.unmarked = false
    this.markOffset = 0
    if (previous === undefined) {
      shape.reset(header.lastIndex, header.lastTerm)
      this.start = { index: header.startIndex, term: header.startTerm }
      return shape.setHardState(header.hardState)
    }
    const agrees = header.previousBytes === previous.bytes && header.lastIndex === shape.lastIndex &&
      header.lastTerm === shape.lastTerm && header.startIndex === start.index && header.startTerm === start.term &&
      header.hardState.term === shape.hardState.term && header.hardState.vote === shape.hardState.vote
    return agrees ? undefined : "this segment does not continue the one before it"
  }

  readonly record: Visit = ({ body, bytes, end, offset, type, view }) => {
    this.unmarked = type !== LogFormat.RecordType.Mark
    if (!this.unmarked) this.markOffset = offset
    switch (type) {
      case LogFormat.RecordType.Entry:
        return end - body < Entry.overheadBytes
          ? "an entry that is too short"
          : this.#entry(Entry.decode(bytes, view, body, end), offset)
      case LogFormat.RecordType.HardState:
        return end - body < 8
          ? "a hard state that is too short"
          : this.shape.setHardState(LogFormat.decodeHardState(bytes, view, body, end))
      case LogFormat.RecordType.Mark:
        return end - body === LogFormat.markBodyBytes && Entry.readUint64(view, body + 8) === offset ?
          undefined :
          "a mark that belongs elsewhere"
      case LogFormat.RecordType.Reset:
        return end - body !== 16
          ? "a position of the wrong size"
          : this.#reset(Entry.readUint64(view, body), Entry.readUint64(view, body + 8))
      case LogFormat.RecordType.Start:
        return end - body !== 16
          ? "a position of the wrong size"
          : this.#start(Entry.readUint64(view, body), Entry.readUint64(view, body + 8))
      default:
        return `a record of unknown type ${type}`
    }
  }

  /** Settles where the log starts, once all has been read. */
  finish(): string | undefined {
    const broken = this.shape.compact(this.start.index, this.start.term)
    if (broken !== undefined) return `a segment before this one is missing: ${broken}`
    this.configurations = this.configurations.filter((entry) => entry.index > this.start.index)
    return undefined
  }

  #entry(entry: Entry.Entry, offset: number): string | undefined {
    if (entry.index <= this.start.index) {
      return `entry ${entry.index} stands before the start of the log at ${this.start.index + 1}`
    }
    // It replaces entries of a segment that is gone. Whether that one may be gone is decided at the end.
    if (entry.index <= this.shape.previousIndex) this.shape.reset(entry.index - 1, 0)
    const broken = this.shape.append(entry.index, entry.term)
    if (broken !== undefined) return broken
    Segment.file(this.segments, entry.index, offset, entry.bytes)
    while (
      this.configurations.length > 0 && this.configurations[this.configurations.length - 1]!.index >= entry.index
    ) {
      this.configurations.pop()
    }
    if (entry.kind === EntryKind.Configuration) {
      this.configurations.push(Entry.make(entry.index, entry.term, entry.kind, entry.data.slice()))
    }
    return undefined
  }

  #reset(index: LogIndex, term: Term): string | undefined {
    this.start = { index, term }
    this.configurations = []
    for (const segment of this.segments) segment.cut(0)
    return this.shape.reset(index, term)
  }

  #start(index: LogIndex, term: Term): string | undefined {
    if (index > this.shape.lastIndex) {
      return `the log is said to start after ${index}, which is behind its end at ${this.shape.lastIndex}`
    }
    this.start = { index, term }
    return undefined
  }
}
