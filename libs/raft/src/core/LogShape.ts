/**
 * The shape of the log: which index belongs to which term, without any payload. A log has few terms, so a run per term
 * answers every question of the protocol in logarithmic time and constant space per entry.
 *
 * Mutable; owned by the core.
 */
import type { LogIndex, Term } from "./Entry.ts"
import { invariant } from "./Invariant.ts"

export interface TermRun {
  /** First index of the run that is present. */
  index: LogIndex
  readonly term: Term
}

export class LogShape {
  /** Position just before the first entry that is present. */
  previousIndex: LogIndex
  previousTerm: Term
  lastIndex: LogIndex
  private runs: Array<TermRun>

  constructor(options: {
    readonly previousIndex: LogIndex
    readonly previousTerm: Term
    readonly lastIndex: LogIndex
    readonly termRuns: ReadonlyArray<{ readonly index: LogIndex; readonly term: Term }>
  }) {
    this.previousIndex = options.previousIndex
    this.previousTerm = options.previousTerm
    this.lastIndex = options.lastIndex
    this.runs = options.termRuns.map((run) => ({ ...run }))
  }

  get lastTerm(): Term {
    return this.runs.length > 0 ? this.runs[this.runs.length - 1]!.term : this.previousTerm
  }

  /** The term of the entry at `index`, or -1 if that is compacted away or beyond the end. */
  termAt(index: LogIndex): Term {
    if (index === this.previousIndex) return this.previousTerm
    if (index < this.previousIndex || index > this.lastIndex) return -1
    return this.runs[this.runOf(index)]!.term
  }

  /** Whether a log that ends at (`index`, `term`) has everything this one has (Raft paper §5.4.1). */
  isUpToDate(index: LogIndex, term: Term): boolean {
    const lastTerm = this.lastTerm
    return term > lastTerm || (term === lastTerm && index >= this.lastIndex)
  }

  /** Adds `count` entries of `term` at the end. */
  append(term: Term, count: number): void {
    invariant(term >= this.lastTerm, `an entry of term ${term} behind one of term ${this.lastTerm}`)
    if (this.runs.length === 0 || this.runs[this.runs.length - 1]!.term !== term) {
      this.runs.push({ index: this.lastIndex + 1, term })
    }
    this.lastIndex += count
  }

  /** Removes the entries from `index` on. */
  truncate(index: LogIndex): void {
    invariant(index > this.previousIndex, `truncation at ${index} reaches into the compacted log`)
    this.lastIndex = Math.min(this.lastIndex, index - 1)
    while (this.runs.length > 0 && this.runs[this.runs.length - 1]!.index >= index) this.runs.pop()
  }

  /** Forgets the entries up to and including `index`, which must be present. */
  compact(index: LogIndex): void {
    if (index <= this.previousIndex) return
    const term = this.termAt(index)
    invariant(term >= 0, `compaction at ${index}, which is not in the log`)
    const run = this.runOf(index)
    this.runs = this.runs.slice(run)
    if (index === this.lastIndex) this.runs = []
    else {
      const first = this.runs[0]!
      const second = this.runs[1]
      if (second !== undefined && second.index === index + 1) this.runs.shift()
      else first.index = index + 1
    }
    this.previousIndex = index
    this.previousTerm = term
  }

  /** Becomes empty, going on after (`index`, `term`). */
  reset(index: LogIndex, term: Term): void {
    this.previousIndex = index
    this.previousTerm = term
    this.lastIndex = index
    this.runs = []
  }

  /**
   * The last index, at or below `index`, whose term is at most `term`: where two logs may still agree. One probe per term and not per entry
   * (Raft paper §5.3, end; etcd-raft `findConflictByTerm`). Returns `previousIndex` if there is no such entry left.
   */
  lastWithTermAtMost(index: LogIndex, term: Term): LogIndex {
    let position = Math.min(index, this.lastIndex)
    if (position <= this.previousIndex) return Math.min(index, this.previousIndex)
    let run = this.runOf(position)
    while (run >= 0 && this.runs[run]!.term > term) {
      position = this.runs[run]!.index - 1
      run--
    }
    return position
  }

  private runOf(index: LogIndex): number {
    let low = 0
    let high = this.runs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.runs[middle]!.index <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}
