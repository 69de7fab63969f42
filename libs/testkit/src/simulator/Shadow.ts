/** What one member has on its disk, as far as syncs have said. */
import { EntryKind } from "@dkv/raft"
import type { Configuration, Entry, HardState, LogIndex, LogStore, Term } from "@dkv/raft"
import * as ConfigurationCodec from "@dkv/raft/codec/ConfigurationCodec"

/** A configuration that stands in a log. */
export interface Standing {
  readonly index: LogIndex
  readonly configuration: Configuration.Configuration
}

export class Shadow {
  hardState: HardState.HardState = { term: 0, vote: "" }
  previousIndex: LogIndex = 0
  previousTerm: Term = 0
  /** Terms of the entries behind `previousIndex`. */
  terms: Array<Term> = []
  /** Those that are behind `previousIndex`, in order. */
  configurations: Array<Standing> = []

  /** Of a log that was opened. */
  static of(recovered: LogStore.Recovered): Shadow {
    const shadow = new Shadow()
    shadow.hardState = recovered.hardState
    shadow.previousIndex = recovered.previousIndex
    shadow.previousTerm = recovered.previousTerm
    shadow.configurations = recovered.configurations.map(standing)
    for (const [position, run] of recovered.termRuns.entries()) {
      const end = recovered.termRuns[position + 1]?.index ?? recovered.lastIndex + 1
      for (let index = run.index; index < end; index++) shadow.terms.push(run.term)
    }
    return shadow
  }

  get lastIndex(): LogIndex {
    return this.previousIndex + this.terms.length
  }

  get lastTerm(): Term {
    return this.terms.at(-1) ?? this.previousTerm
  }

  termAt(index: LogIndex): Term | undefined {
    return index === this.previousIndex ? this.previousTerm : this.terms[index - this.previousIndex - 1]
  }

  apply(write: LogStore.LogWrite): void {
    if (write._tag === "HardState") this.hardState = write.hardState
    else if (write._tag === "Reset") {
      this.previousIndex = write.index
      this.previousTerm = write.term
      this.terms = []
      this.configurations = []
    } else {
      const { index } = write.entries[0]!
      this.terms.length = Math.max(0, index - this.previousIndex - 1)
      this.configurations = this.configurations.filter((before) => before.index < index)
      for (const entry of write.entries) {
        this.terms.push(entry.term)
        if (entry.kind === EntryKind.Configuration) this.configurations.push(standing(entry))
      }
    }
  }
}

const standing = ({ data, index }: Entry.Entry): Standing => ({ index, configuration: ConfigurationCodec.decode(data) })

/**
 * The first entry that was synced and is not there: neither as it was, nor replaced by what was being written (`writes`) when the machine stopped, nor gone with a
 * reset that was being written. What stands in front of a log was compacted away, which only what was in the log can be.
 */
export const firstLost = (
  before: Shadow,
  after: Shadow,
  writes: ReadonlyArray<LogStore.LogWrite>
): LogIndex | undefined => {
  const isReset = writes.some((write) =>
    write._tag === "Reset" && write.index === after.previousIndex && write.term === after.previousTerm
  )
  if (isReset) return undefined
  if (after.previousIndex > before.lastIndex) return before.lastIndex
  const replaced = new Set(
    writes.flatMap((write) => write._tag === "Append" ? write.entries.map(({ index, term }) => `${index}:${term}`) : [])
  )
  for (let index = Math.max(before.previousIndex, after.previousIndex); index <= before.lastIndex; index++) {
    const term = after.termAt(index)
    if (term === before.termAt(index)) continue
    return term !== undefined && replaced.has(`${index}:${term}`) ? undefined : index
  }
  return undefined
}
