/**
 * How long proposals take, stage by stage, on the member that leads. A group is put down once per stage, in a histogram: arithmetic and no wake-up.
 *
 * Mutable; owned by the serving loop.
 */
import type { LogIndex } from "./core/Entry.ts"
import * as Limits from "./Limits.ts"

/**
 * - `queued`: from the call, or its arrival from another member, until the group is in the log.
 * - `persisted`: from then until this member's own disk has it.
 * - `committed`: from being in the log until a quorum has it durably; may be before `persisted`.
 * - `applied`: from the commit until the state machine has it.
 */
export const names = ["queued", "persisted", "committed", "applied"] as const
export type Stage = (typeof names)[number]

/** `counts[i]` durations were at most `boundsMillis[i]` and above the bound before; the last count, one more than there are bounds, has the longer ones. */
export interface Histogram {
  readonly boundsMillis: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
  readonly count: number
  readonly sumMillis: number
}

export type Latency = { readonly [S in Stage]: Histogram }

const stepsPerDoubling = 2
const lowestMillis = 1 / 16

/** From 1/16 ms to 16 s, two to a doubling. */
export const boundsMillis: ReadonlyArray<number> = Array.from(
  { length: 18 * stepsPerDoubling + 1 },
  (_, step) => lowestMillis * 2 ** (step / stepsPerDoubling)
)

class Durations {
  private readonly counts = new Float64Array(boundsMillis.length + 1)
  private sumMillis = 0

  add(millis: number): void {
    const step = Math.ceil(stepsPerDoubling * Math.log2(Math.max(millis, 0) / lowestMillis))
    this.counts[Math.min(Math.max(step, 0), boundsMillis.length)]!++
    this.sumMillis += Math.max(millis, 0)
  }

  get histogram(): Histogram {
    const counts = Array.from(this.counts)
    return { boundsMillis, counts, count: counts.reduce((sum, count) => sum + count, 0), sumMillis: this.sumMillis }
  }
}

/** A group in the log: its last index, when it was appended, and when it was committed. */
interface Tracked {
  readonly lastIndex: LogIndex
  readonly appendedAt: number
  committedAt: number
}

export class Stages {
  private readonly durations = {
    queued: new Durations(),
    persisted: new Durations(),
    committed: new Durations(),
    applied: new Durations()
  }
  private tracked: Array<Tracked> = []
  /** How many of the tracked groups are persisted, and committed. */
  private persisted = 0
  private committed = 0

  get size(): number {
    return this.tracked.length
  }

  get latency(): Latency {
    const { applied, committed, persisted, queued } = this.durations
    return {
      queued: queued.histogram,
      persisted: persisted.histogram,
      committed: committed.histogram,
      applied: applied.histogram
    }
  }

  /** A group that came at `arrivedAt` is in the log, up to `lastIndex`. */
  appended(lastIndex: LogIndex, arrivedAt: number, now: number): void {
    this.durations.queued.add(now - arrivedAt)
    if (this.tracked.length < Limits.trackedGroupsMax) this.tracked.push({ lastIndex, appendedAt: now, committedAt: 0 })
  }

  /** This member's disk has the log up to `durableIndex`, a quorum up to `commitIndex`. */
  progressed(durableIndex: LogIndex, commitIndex: LogIndex, now: number): void {
    const { tracked } = this
    for (; this.persisted < tracked.length && tracked[this.persisted]!.lastIndex <= durableIndex; this.persisted++) {
      this.durations.persisted.add(now - tracked[this.persisted]!.appendedAt)
    }
    for (; this.committed < tracked.length && tracked[this.committed]!.lastIndex <= commitIndex; this.committed++) {
      const group = tracked[this.committed]!
      group.committedAt = now
      this.durations.committed.add(now - group.appendedAt)
    }
  }

  applied(index: LogIndex, now: number): void {
    let done = 0
    for (; done < this.committed && this.tracked[done]!.lastIndex <= index; done++) {
      this.durations.applied.add(now - this.tracked[done]!.committedAt)
    }
    this.forget(done)
  }

  /** Entries from `index` on are gone. */
  truncated(index: LogIndex): void {
    while (this.tracked.length > 0 && this.tracked[this.tracked.length - 1]!.lastIndex >= index) this.tracked.pop()
    this.persisted = Math.min(this.persisted, this.tracked.length)
    this.committed = Math.min(this.committed, this.tracked.length)
  }

  /** A snapshot took the place of the entries up to `index`. */
  skipped(index: LogIndex): void {
    let gone = 0
    while (gone < this.tracked.length && this.tracked[gone]!.lastIndex <= index) gone++
    this.forget(gone)
  }

  private forget(count: number): void {
    if (count === 0) return
    this.tracked = this.tracked.slice(count)
    this.persisted = Math.max(0, this.persisted - count)
    this.committed = Math.max(0, this.committed - count)
  }
}
