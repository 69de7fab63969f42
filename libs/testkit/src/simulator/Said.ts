/** Of which terms the entries of a leader's log are, as its appends said: what an acknowledgement that it gets is measured by. Of the last few leaderships. */
import type { LogIndex, Term } from "@dkv/raft"
import type { Append } from "@dkv/raft/core/Message"

/** Of an older one, acknowledgements hardly come any more. */
const leadershipsMax = 4

export class Said {
  private readonly leaderships = new Map<Term, Map<LogIndex, Term>>()

  append({ entries, previousIndex, previousTerm, term }: Append): void {
    const terms = this.leaderships.get(term) ?? this.begun(term)
    terms.set(previousIndex, previousTerm)
    for (const entry of entries) terms.set(entry.index, entry.term)
  }

  /** Absent if the leader of term `leadership` has not said it, or that is forgotten. */
  termAt(leadership: Term, index: LogIndex): Term | undefined {
    return this.leaderships.get(leadership)?.get(index)
  }

  private begun(leadership: Term): Map<LogIndex, Term> {
    const terms = new Map<LogIndex, Term>()
    this.leaderships.set(leadership, terms)
    if (this.leaderships.size > leadershipsMax) this.leaderships.delete(Math.min(...this.leaderships.keys()))
    return terms
  }
}
