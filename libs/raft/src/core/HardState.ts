import type { MemberId, Term } from "./Entry.ts"

/** What must survive a crash besides the log: never two votes in one term (Raft paper, figure 2). */
export interface HardState {
  readonly term: Term
  /** Whom this member voted for in `term`; empty when for nobody. */
  readonly vote: MemberId
}

export const initial: HardState = { term: 0, vote: "" }
