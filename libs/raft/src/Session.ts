/**
 * A client session: what makes a command that is proposed again, because its outcome was not known, take effect once. The client numbers its commands and says
 * which answers it has; raft keeps the other answers with the state.
 *
 * Source: dissertation §6.3; dragonboat `internal/rsm/session.go`.
 */
import type { LogIndex, Term } from "./core/Entry.ts"

/** The log entry that opened the session, and its term: unique as long as the cluster lives. */
export interface SessionId {
  readonly index: LogIndex
  readonly term: Term
}

/** `count` commands, numbered from `sequence` on. */
export interface Run {
  readonly sequence: number
  readonly count: number
}

/** Whose commands a group has, and which. */
export interface Stamp {
  readonly session: SessionId
  /** The client has the answers to everything below, or wants them no more. */
  readonly lowestUnanswered: number
  /** Covers the commands of the group in their order; each number is used for one command only. */
  readonly runs: ReadonlyArray<Run>
}

/** Whether all of its numbers can be stored, those that the runs only imply too: they are at most 2^53 - 1. */
export const isSound = ({ lowestUnanswered, runs, session }: Stamp): boolean =>
  isNumber(session.index) && isNumber(session.term) && isNumber(lowestUnanswered) &&
  runs.every(({ count, sequence }) =>
    isNumber(sequence) && isNumber(count) && count <= 0xffff_ffff && isNumber(sequence + Math.max(count - 1, 0))
  )

const isNumber = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** Number of commands in the runs. */
export const countOf = (runs: ReadonlyArray<Run>): number => {
  let count = 0
  for (const run of runs) count += run.count
  return count
}

/** The sequence numbers of a group's commands, asked for at positions that only grow: it may have as many runs as commands. */
export class Numbers {
  private readonly runs: ReadonlyArray<Run>
  private run = 0
  /** Where the commands of that run begin. */
  private start = 0

  constructor(runs: ReadonlyArray<Run>) {
    this.runs = runs
  }

  /** -1 behind the last one. */
  at(position: number): number {
    for (; this.run < this.runs.length; this.run++) {
      const { count, sequence } = this.runs[this.run]!
      if (position < this.start + count) return sequence + (position - this.start)
      this.start += count
    }
    return -1
  }
}
