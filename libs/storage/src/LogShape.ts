/**
 * What a log holds, without payloads: where it starts and ends, its terms, the hard state. Changes are checked against the rules that every
 * Raft log obeys (paper, figure 3, "Log Matching"): recovery takes a violation for damage, a writer for a fault of the program.
 */
import { HardState, type LogIndex, type Term } from "@dkv/raft"

export interface TermRun {
  readonly index: LogIndex
  readonly term: Term
}

/** Mutable; owned by one log. A method that returns a string has changed nothing and says which rule was broken. */
export class LogShape {
  hardState: HardState.HardState = HardState.initial
  /** The position before the first entry. */
  previousIndex: LogIndex = 0
  previousTerm: Term = 0
  lastIndex: LogIndex = 0
  /** The first index of each term, ascending. */
  runs: Array<TermRun> = []

  get lastTerm(): Term {
    return this.runs.length === 0 ? this.previousTerm : this.runs[this.runs.length - 1]!.term
  }

  /** Term of a position from `previousIndex` to `lastIndex`. */
  termAt(index: LogIndex): Term {
    for (let run = this.runs.length - 1; run >= 0; run--) {
      if (this.runs[run]!.index <= index) return this.runs[run]!.term
    }
    return this.previousTerm
  }

  /** One more entry. Where `index` is not behind the last one, it replaces everything from there on. */
  append(index: LogIndex, term: Term): string | undefined {
    if (!(index <= Number.MAX_SAFE_INTEGER && term <= Number.MAX_SAFE_INTEGER)) {
      return "entry with an unsafe index or term"
    }
    if (index > this.lastIndex + 1) return `entry ${index} follows entry ${this.lastIndex}`
    if (index <= this.previousIndex) {
      return `entry ${index} stands before the start of the log at ${this.previousIndex + 1}`
    }
    const before = index === this.lastIndex + 1 ? this.lastTerm : this.termAt(index - 1)
    if (term < before) return `entry ${index} has term ${term}, the one before it ${before}`
    if (index <= this.lastIndex) this.#cut(index)
    if (term > before || this.runs.length === 0) this.runs.push({ index, term })
    this.lastIndex = index
    return undefined
  }

  setHardState(hardState: HardState.HardState): string | undefined {
    if (!(hardState.term <= Number.MAX_SAFE_INTEGER)) return "hard state with an unsafe term"
    if (hardState.term < this.hardState.term) return `term ${hardState.term} follows term ${this.hardState.term}`
    this.hardState = hardState
    return undefined
  }

  /** The log becomes empty and goes on after this position. */
  reset(index: LogIndex, term: Term): string | undefined {
    if (!(index <= Number.MAX_SAFE_INTEGER && term <= Number.MAX_SAFE_INTEGER)) {
      return "reset to an unsafe index or term"
    }
    this.previousIndex = index
    this.previousTerm = term
    this.lastIndex = index
    this.runs = []
    return undefined
  }

  /** Drops the entries up to and including `index`, whose term is `term`. */
  compact(index: LogIndex, term: Term): string | undefined {
    if (index < this.previousIndex || index > this.lastIndex) {
      return `the log starts after ${index}, but reaches from ${this.previousIndex + 1} to ${this.lastIndex}`
    }
    const kept = this.runs.filter((run, at) => (this.runs[at + 1]?.index ?? this.lastIndex + 1) > index + 1)
    this.runs = kept.map((run) => (run.index <= index ? { index: index + 1, term: run.term } : run))
    this.previousIndex = index
    this.previousTerm = term
    return undefined
  }

  #cut(from: LogIndex): void {
    while (this.runs.length > 0 && this.runs[this.runs.length - 1]!.index >= from) this.runs.pop()
    this.lastIndex = from - 1
  }
}
