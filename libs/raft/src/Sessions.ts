/**
 * The table of client sessions, as of the applied index. It decides for each command whether it takes effect now, took effect before and is only answered again, or
 * is refused; and it says what has to be stored with the state.
 *
 * Whether a command takes effect depends on the log alone (which sessions are open, their sequence numbers, who was evicted), never on where one batch
 * ends and the next begins: members batch differently. Sessions are evicted in the order of their last use, and what an evicted one asks for is refused for ever.
 *
 * Mutable; owned by the applier. Source: dissertation §6.3.
 */
import * as Codec from "./codec/SessionCodec.ts"
import type { LogIndex, Term } from "./core/Entry.ts"
import { EntryKind } from "./core/Entry.ts"
import { invariant, InvariantViolation } from "./core/Invariant.ts"
import { make as makeEntry } from "./Entry.ts"
import type { Entry } from "./Entry.ts"
import * as Limits from "./Limits.ts"
import * as Session from "./Session.ts"
import { SessionRecord } from "./SessionRecord.ts"
import type { RecordChange } from "./StateMachine.ts"

/** A group that began in the log: which of the entries behind `firstIndex` belong to it. */
export interface OpenGroup {
  readonly session: Session.SessionId
  readonly firstIndex: LogIndex
  readonly term: Term
  readonly runs: ReadonlyArray<Session.Run>
}

/**
 * - `Expired`: there is no such session.
 * - `Answered`: the client said that it has the answer already.
 * - `Window`: the sequence number is too far ahead of the lowest unanswered one.
 * - `NotKept`: it took effect before, and its answer was too large to be kept.
 */
export type Refusal = "Expired" | "Answered" | "Window" | "NotKept"

/** What a batch of entries comes to. */
export interface Plan {
  /** For the state machine, in order. */
  readonly commands: ReadonlyArray<Entry>
  /** Entries that somebody may wait for, in order; the same array as `commands` if each is answered by its own result. */
  readonly answered: ReadonlyArray<Entry>
  /** What raft has to store with the batch, once the results of `commands` are known. To be asked once. */
  readonly changes: (results: ReadonlyArray<Uint8Array>) => ReadonlyArray<RecordChange>
  /** One per `answered`, after `changes`. */
  readonly answers: (results: ReadonlyArray<Uint8Array>) => ReadonlyArray<Uint8Array>
  /** Of the `answered`, by log index. */
  readonly refusals: ReadonlyMap<LogIndex, Refusal>
}

interface Open {
  readonly id: Session.SessionId
  usedIndex: LogIndex
  lowestUnanswered: number
  /** Behind the highest sequence number that took effect. */
  next: number
  stored: Array<SessionRecord>
  /** Slots of records that the client needs no more, and that stand in the state still. */
  dead: Array<number>
  /** Of the records, by slot, as far as they were used: each batch takes the place of one before. */
  readonly keys: Array<Uint8Array>
}

/** Commands of a session that take effect in the batch: `count` of them from `position` on. */
interface Segment {
  readonly sequence: number
  readonly position: number
  count: number
}

/** Where the answer to an entry comes from: a result of this batch, by position, or bytes that are there already. */
type Source = number | Uint8Array

const none: ReadonlyArray<never> = []
const noRefusals: ReadonlyMap<LogIndex, Refusal> = new Map()
const empty = new Uint8Array(0)

export class Sessions {
  /** By last use, the one that goes first in front. */
  private readonly open = new Map<string, Open>()
  /** The one that goes last, if that is known: whoever uses a session goes on using it. */
  private latest: Open | undefined
  private keptBytes = 0
  private group: OpenGroup | undefined

  /** With what the state held. Throws `Malformed`. */
  constructor(
    records: ReadonlyArray<readonly [key: Uint8Array, value: Uint8Array]>,
    group: OpenGroup | undefined
  ) {
    this.group = group
    const found = new Map<string, Open>()
    for (const [key, value] of records) {
      const { session, slot } = Codec.decodeRecordKey(key)
      const { lowestUnanswered, runs, usedIndex } = Codec.decodeRecord(value)
      const name = nameOf(session)
      let open = found.get(name)
      if (open === undefined) found.set(name, open = opened(session))
      open.usedIndex = Math.max(open.usedIndex, usedIndex)
      open.lowestUnanswered = Math.max(open.lowestUnanswered, lowestUnanswered)
      this.keep(open, new SessionRecord(key, slot, runs, value.length, value))
    }
    for (const open of [...found.values()].sort((one, other) => one.usedIndex - other.usedIndex)) {
      this.prune(open)
      this.open.set(nameOf(open.id), open)
    }
  }

  get size(): number {
    return this.open.size
  }

  /** The group that goes on behind the last entry planned. */
  get openGroup(): OpenGroup | undefined {
    return this.group
  }

  /** Takes the next entries of the log in. Each may be planned once. */
  plan(entries: ReadonlyArray<Entry>): Plan {
    return this.group === undefined && entries.every(isPlain) ? plain(entries) : this.planStamped(entries)
  }

  private planStamped(entries: ReadonlyArray<Entry>): Plan {
    const commands: Array<Entry> = []
    const refusals = new Map<LogIndex, Refusal>()
    const touched = new Map<Open, Array<Segment>>()
    const evicted: Array<Open> = []
    // Only once something is not answered by its own result, which is rare.
    let answered: Array<Entry> | undefined
    let sources: Array<Source> | undefined
    let group = this.group
    let open = group === undefined ? undefined : this.open.get(nameOf(group.session))
    let numbers = new Session.Numbers(group?.runs ?? none)
    let segments = open === undefined ? [] : segmentsOf(touched, open)

    const execute = (entry: Entry): void => {
      answered?.push(entry)
      sources?.push(commands.length)
      commands.push(entry)
    }
    const answer = (entry: Entry, source: Source): void => {
      answered ??= commands.slice()
      sources ??= commands.map((_, position) => position)
      answered.push(entry)
      sources.push(source)
    }
    const take = (entry: Entry, sequence: number): void => {
      const verdict = open === undefined ? "Expired" : this.judge(open, sequence, segments)
      if (verdict === "New") {
        const last = segments.at(-1)
        if (
          last !== undefined && last.sequence + last.count === sequence &&
          last.position + last.count === commands.length
        ) last.count++
        else segments.push({ sequence, position: commands.length, count: 1 })
        open!.next = Math.max(open!.next, sequence + 1)
        execute(entry)
      } else if (typeof verdict === "string") {
        refusals.set(entry.index, verdict)
        answer(entry, empty)
      } else answer(entry, verdict)
    }

    for (const entry of entries) {
      switch (entry.kind) {
        case EntryKind.Noop:
        case EntryKind.Configuration:
          break
        case EntryKind.Command: {
          const position = group === undefined || group.term !== entry.term ? -1 : entry.index - group.firstIndex
          const sequence = position < 0 ? -1 : numbers.at(position)
          if (sequence >= 0) take(entry, sequence)
          else execute(entry)
          break
        }
        case EntryKind.SessionCommand: {
          const { command, stamp } = firstOf(entry)
          group = { session: stamp.session, firstIndex: entry.index, term: entry.term, runs: stamp.runs }
          numbers = new Session.Numbers(stamp.runs)
          open = this.use(stamp, entry.index)
          if (open !== undefined) segments = segmentsOf(touched, open)
          take(makeEntry(entry.index, entry.term, entry.kind, command), numbers.at(0))
          break
        }
        case EntryKind.SessionOpen: {
          const fresh = opened({ index: entry.index, term: entry.term })
          this.open.set(nameOf(fresh.id), fresh)
          this.latest = fresh
          segmentsOf(touched, fresh)
          evicted.push(...this.evict())
          answer(entry, Codec.encodeId(fresh.id))
          break
        }
        default:
          throw new InvariantViolation(
            `entry ${entry.index} is of kind ${entry.kind}, which this program does not know: run a newer version`
          )
      }
    }
    const lastIndex = entries[entries.length - 1]!.index
    const isOpen = group !== undefined && group.firstIndex + Session.countOf(group.runs) > lastIndex + 1
    this.group = isOpen ? group : undefined
    for (const gone of evicted) touched.delete(gone)
    return {
      commands,
      answered: answered ?? commands,
      refusals,
      changes: this.changesOf(touched, evicted),
      answers: (results) =>
        sources === undefined
          ? results
          : sources.map((source) => typeof source === "number" ? results[source]! : source)
    }
  }

  /** What has to be stored. It may be kept for long after the batch, so it holds none of the commands. */
  private changesOf(
    touched: ReadonlyMap<Open, ReadonlyArray<Segment>>,
    evicted: ReadonlyArray<Open>
  ): Plan["changes"] {
    return (results) => {
      const changes: Array<RecordChange> = []
      for (const gone of evicted) changes.push(...deletions(gone))
      for (const [open, segments] of touched) this.store(open, segments, results, changes)
      return changes
    }
  }

  /** Whether the command takes effect now; or where its answer is; or why there is none. `segments` are those of the session. */
  private judge(open: Open, sequence: number, segments: ReadonlyArray<Segment>): "New" | Refusal | Source {
    if (sequence < open.lowestUnanswered) return "Answered"
    if (sequence >= open.lowestUnanswered + Limits.sessionWindowMax) return "Window"
    if (sequence >= open.next) return "New"
    for (const segment of segments) {
      const position = sequence - segment.sequence
      if (position >= 0 && position < segment.count) return segment.position + position
    }
    for (const stored of open.stored) {
      let before = 0
      for (const run of stored.runs) {
        const position = sequence - run.sequence
        if (position >= 0 && position < run.count) {
          return stored.answerAt(before + position) ?? "NotKept"
        }
        before += run.count
      }
    }
    return "New"
  }

  private use(stamp: Session.Stamp, index: LogIndex): Open | undefined {
    const open = this.isLatest(stamp.session) ? this.latest : this.moveLast(stamp.session)
    if (open === undefined) return undefined
    open.usedIndex = index
    if (stamp.lowestUnanswered > open.lowestUnanswered) open.lowestUnanswered = stamp.lowestUnanswered
    return open
  }

  private isLatest({ index, term }: Session.SessionId): boolean {
    return this.latest !== undefined && this.latest.id.index === index && this.latest.id.term === term
  }

  private moveLast(session: Session.SessionId): Open | undefined {
    const name = nameOf(session)
    const open = this.open.get(name)
    if (open === undefined) return undefined
    this.open.delete(name)
    this.open.set(name, open)
    this.latest = open
    return open
  }

  private evict(): ReadonlyArray<Open> {
    if (this.open.size <= Limits.sessionsMax) return none
    const gone: Array<Open> = []
    for (const [name, open] of this.open) {
      if (this.open.size <= Limits.sessionsMax) break
      this.open.delete(name)
      if (open === this.latest) this.latest = undefined
      for (const { bytes } of open.stored) this.keptBytes -= bytes
      gone.push(open)
    }
    return gone
  }

  /** Adds the records of what this batch did for a session to `changes`, one at least. They take the place of those whose answers the client has; what is left of these goes. */
  private store(
    open: Open,
    segments: ReadonlyArray<Segment>,
    results: ReadonlyArray<Uint8Array>,
    changes: Array<RecordChange>
  ): void {
    this.prune(open)
    if (open.stored.length > Limits.sessionRecordsMax) this.merge(open, changes)
    let draft = new Draft()
    for (const { count, position, sequence } of segments) {
      for (let at = 0; at < count; at++) {
        const result = results[position + at]!
        const isKept = result.length <= Limits.sessionAnswerBytesMax &&
          this.keptBytes + draft.bytes + result.length <= Limits.sessionsBytesMax
        const answer = isKept ? result : undefined
        if (draft.add(sequence + at, answer)) continue
        changes.push(this.record(open, draft))
        draft = new Draft()
        draft.add(sequence + at, answer)
      }
    }
    changes.push(this.record(open, draft))
    for (const slot of open.dead) changes.push(deletion(open, slot))
    if (open.dead.length > 0) open.dead = []
  }

  /** Makes one record of many small ones, which a client leaves behind that goes on without the answer to an early command. */
  private merge(open: Open, changes: Array<RecordChange>): void {
    const small = open.stored.filter(({ bytes }) => bytes <= Limits.sessionRecordBytesMax / 2)
    if (small.length <= Limits.sessionRecordsMax) return
    const draft = new Draft()
    const merged = new Set<SessionRecord>()
    for (const stored of small) {
      if (!draft.addAll(stored, open.lowestUnanswered)) break
      merged.add(stored)
      this.drop(open, stored)
    }
    open.stored = open.stored.filter((stored) => !merged.has(stored))
    changes.push(this.record(open, draft))
  }

  private record(open: Open, { answers, bytes, runs }: Draft): RecordChange {
    const slot = freeSlot(open)
    const dead = open.dead.indexOf(slot)
    if (dead >= 0) open.dead.splice(dead, 1)
    const { lowestUnanswered, usedIndex } = open
    const encode = () => Codec.encodeRecord({ usedIndex, lowestUnanswered, runs }, answers)
    const stored = new SessionRecord(keyOf(open, slot), slot, runs, bytes, encode)
    this.keep(open, stored)
    return stored
  }

  private keep(open: Open, stored: SessionRecord): void {
    open.stored.push(stored)
    open.next = Math.max(open.next, stored.end)
    this.keptBytes += stored.bytes
  }

  /** Forgets the records whose answers the client has. They stay in the state until the session is used next: they say nothing that is wrong. */
  private prune(open: Open): void {
    if (open.stored.every(({ end }) => end > open.lowestUnanswered)) return
    const needed: Array<SessionRecord> = []
    for (const stored of open.stored) {
      if (stored.end > open.lowestUnanswered) needed.push(stored)
      else this.drop(open, stored)
    }
    open.stored = needed
  }

  private drop(open: Open, { bytes, slot }: SessionRecord): void {
    this.keptBytes -= bytes
    open.dead.push(slot)
  }
}

const emptyBytes = Codec.recordBytes([], [])

/** What is going to be a record. */
class Draft {
  readonly runs: Array<{ readonly sequence: number; count: number }> = []
  readonly answers: Array<Uint8Array | undefined> = []
  /** Of the record as it is now. */
  bytes = emptyBytes

  /** Takes the answer to a command in; false if there is no room for it. */
  add(sequence: number, answer: Uint8Array | undefined): boolean {
    const run = this.runs.at(-1)
    const goesOn = run !== undefined && run.sequence + run.count === sequence
    const bytes = this.bytes + Codec.answerBytes(answer) + (goesOn ? 0 : Codec.runBytes)
    if (this.answers.length > 0 && bytes > Limits.sessionRecordBytesMax) return false
    if (goesOn) run.count++
    else this.runs.push({ sequence, count: 1 })
    this.answers.push(answer)
    this.bytes = bytes
    return true
  }

  /** Takes a whole record in, but for what is answered; false if there is no room for it. */
  addAll(stored: SessionRecord, lowestUnanswered: number): boolean {
    if (this.bytes + stored.bytes > Limits.sessionRecordBytesMax) return false
    let position = 0
    for (const { count, sequence } of stored.runs) {
      for (let offset = 0; offset < count; offset++) {
        const answer = stored.answerAt(position++)
        const isDone = sequence + offset < lowestUnanswered || this.add(sequence + offset, answer)
        invariant(isDone, "a record of a session is larger than it was said to be")
      }
    }
    return true
  }
}

const plain = (entries: ReadonlyArray<Entry>): Plan => {
  const commands = entries.every(isCommand) ? entries : entries.filter(isCommand)
  return {
    commands,
    answered: commands,
    refusals: noRefusals,
    changes: () => none,
    answers: (results) => results
  }
}

/**
 * What the first entry of a group says. A stamp that makes no sense is nobody's: no proposal gets as far as the log with one, and should it be there all the same, then its
 * group is refused on all members, which could not go on otherwise.
 */
const firstOf = ({ data }: Entry): ReturnType<typeof Codec.decodeFirst> => {
  try {
    return Codec.decodeFirst(data)
  } catch {
    const runs = [{ sequence: 0, count: Codec.countOfRefused(data) }]
    return { stamp: { session: nobody, lowestUnanswered: 0, runs }, command: empty }
  }
}

/** Log indexes begin with 1. */
const nobody: Session.SessionId = { index: 0, term: 0 }

const isPlain = ({ kind }: Entry): boolean => kind <= EntryKind.Configuration

const isCommand = ({ kind }: Entry): boolean => kind === EntryKind.Command

const opened = (id: Session.SessionId): Open => ({
  id,
  usedIndex: id.index,
  lowestUnanswered: 0,
  next: 0,
  stored: [],
  dead: [],
  keys: []
})

const nameOf = ({ index, term }: Session.SessionId): string => `${index} ${term}`

const keyOf = ({ id, keys }: Open, slot: number): Uint8Array => keys[slot] ??= Codec.encodeRecordKey(id, slot)

const freeSlot = ({ stored }: Open): number => {
  if (stored.length === 0) return 0
  const taken = new Set(stored.map((each) => each.slot))
  let slot = 0
  while (taken.has(slot)) slot++
  return slot
}

const segmentsOf = (touched: Map<Open, Array<Segment>>, open: Open): Array<Segment> => {
  let segments = touched.get(open)
  if (segments === undefined) touched.set(open, segments = [])
  return segments
}

const deletions = (open: Open): ReadonlyArray<RecordChange> =>
  [...open.stored.map(({ slot }) => slot), ...open.dead].map((slot) => deletion(open, slot))

const deletion = (open: Open, slot: number): RecordChange => ({ key: keyOf(open, slot), value: undefined })
