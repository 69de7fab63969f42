/**
 * What is on the disks of all members, and the rules about it: log matching; what was synced survives; what is read is what was written; quorums of configurations that overlap; a quorum of durable logs, and on
 * how many disks an entry is with its data.
 */
import { EntryKind } from "@dkv/raft"
import type { Entry, HardState, LogIndex, LogStore, MemberId, Term, Configuration } from "@dkv/raft"
import { name } from "./Names.ts"
import { haveOverlap, isQuorum } from "./Overlap.ts"
import type { Rules } from "./Rules.ts"
import { firstLost, Shadow } from "./Shadow.ts"

export class Disks {
  /** Members that hold no data. */
  readonly witnesses = new Set<MemberId>()
  private readonly rules: Rules
  private readonly shadows = new Map<MemberId, Shadow>()
  /** Of disks that are gone: what they acknowledged before still counted. */
  private readonly lostShadows = new Map<MemberId, Shadow>()
  /** What each member is writing, or was when it stopped: after a failure, too, it is there or not. */
  private readonly underWay = new Map<MemberId, ReadonlyArray<LogStore.LogWrite>>()
  /** By member and term; those on disks that are gone were given all the same. */
  private readonly votes = new Map<string, MemberId>()
  /** Index and term of every entry that was on a disk with its data. */
  private readonly kept = new Set<string>()
  /** By index and term, and apart for those that hold no data: content that was ever to be written. */
  private readonly contents = new Map<string, Uint8Array>()
  /** By index and term: the entry's predecessor, and its content once somebody wrote it. */
  private readonly entries = new Map<string, { readonly previousTerm: Term; readonly data: Uint8Array | undefined }>()

  constructor(rules: Rules) {
    this.rules = rules
  }

  /** A machine has started; what its log holds after recovery. */
  booted(id: MemberId, recovered: LogStore.Recovered): void {
    const shadow = Shadow.of(recovered)
    // what a write left that was cut off is as good as any other
    if (!this.witnesses.has(id)) {
      for (const [position, term] of shadow.terms.entries()) {
        this.kept.add(`${shadow.previousIndex + position + 1}:${term}`)
      }
    }
    const before = this.shadows.get(id)
    if (before !== undefined) this.recoveredAll(id, before, shadow)
    this.underWay.delete(id)
    this.voted(id, shadow.hardState)
    this.shadows.set(id, shadow)
  }

  /** The member's disk is gone, and with it what it promised. */
  lost(id: MemberId): void {
    const shadow = this.shadows.get(id)
    if (shadow !== undefined) this.lostShadows.set(id, shadow)
    this.shadows.delete(id)
    this.underWay.delete(id)
  }

  /** Content that somebody begins to write. */
  writing(id: MemberId, writes: ReadonlyArray<LogStore.LogWrite>): void {
    this.underWay.set(id, writes)
    for (const write of writes) {
      if (write._tag !== "Append") continue
      for (const entry of write.entries) this.contents.set(this.contentKey(id, entry), entry.data)
    }
  }

  /** What a member's log gave back. */
  read(id: MemberId, entries: ReadonlyArray<Entry.Entry>): void {
    for (const entry of entries) {
      const written = this.contents.get(this.contentKey(id, entry))
      this.rules.check(
        "what is read is what was written",
        written !== undefined && equal(written, entry.data),
        () => `${name(id)} reads entry ${entry.index} of term ${entry.term} from its log, which nobody wrote like this`
      )
    }
  }

  private contentKey(id: MemberId, { index, term }: Entry.Entry): string {
    return `${index}:${term}${this.witnesses.has(id) ? ":witness" : ""}`
  }

  /** What is being written is durable. */
  written(id: MemberId, writes: ReadonlyArray<LogStore.LogWrite>): void {
    this.underWay.delete(id)
    const shadow = this.shadows.get(id)
    if (shadow === undefined) return
    for (const write of writes) {
      if (write._tag === "HardState") {
        this.voted(id, write.hardState)
        this.rules.check(
          "terms grow",
          write.hardState.term >= shadow.hardState.term,
          () => `${name(id)} went from term ${shadow.hardState.term} back to ${write.hardState.term}`
        )
      }
      if (write._tag === "Append") this.appended(id, shadow, write.entries)
      shadow.apply(write)
      if (write._tag === "Append") this.reformed(id, shadow, write.entries[0]!.index)
    }
  }

  private voted(id: MemberId, { term, vote }: HardState.HardState): void {
    const key = `${id}:${term}`
    const known = this.votes.get(key)
    this.rules.check(
      "one vote per term",
      known === undefined || known === vote,
      () => `${name(id)} has vote ${name(vote)} of term ${term} on its disk, and had ${name(known!)}`
    )
    if (vote !== "") this.votes.set(key, vote)
  }

  private appended(id: MemberId, shadow: Shadow, entries: ReadonlyArray<Entry.Entry>): void {
    let previousTerm = shadow.termAt(entries[0]!.index - 1)
    const isWitness = this.witnesses.has(id)
    for (const entry of entries) {
      if (isWitness) {
        this.rules.check(
          "a witness holds no data",
          entry.kind === EntryKind.Configuration || entry.data.length === 0,
          () => `${name(id)}, a witness, holds ${entry.data.length} bytes of entry ${entry.index}`
        )
      }
      const key = `${entry.index}:${entry.term}`
      if (!isWitness) this.kept.add(key)
      if (previousTerm !== undefined) {
        const known = this.entries.get(key)
        const data = isWitness ? undefined : entry.data
        if (known === undefined || (known.data === undefined && data !== undefined)) {
          this.entries.set(key, { previousTerm, data })
        }
        if (known !== undefined) {
          const same = known.previousTerm === previousTerm &&
            (known.data === undefined || data === undefined || equal(known.data, data))
          this.rules.check(
            "log matching",
            same,
            () =>
              `${
                name(id)
              } holds another entry ${entry.index} of term ${entry.term} than somebody else, or another one before it`
          )
        }
      }
      previousTerm = entry.term
    }
  }

  /**
   * What stands in a log from `firstIndex` on follows on what stands before it, and comes after that is committed. It was in force from its append on, so its own quorum has
   * it: of a joint one, both halves. Nobody's status says by which configuration its leader counted, as it makes the final one in the same turn; the log does.
   */
  private reformed(id: MemberId, { configurations }: Shadow, firstIndex: LogIndex): void {
    for (const [position, { configuration, index }] of configurations.entries()) {
      const before = configurations[position - 1]
      if (before === undefined || index < firstIndex) continue
      this.rules.check(
        "quorums of one configuration and the next overlap",
        haveOverlap(before.configuration, configuration),
        () => `${name(id)} has a configuration at ${index} whose quorums miss some of the one at ${before.index}`
      )
      this.rules.check(
        "a quorum holds what is committed",
        this.isOnQuorum(before.index, id, before.configuration),
        () =>
          `${
            name(id)
          } has a configuration at ${index}, and the one before it, at ${before.index}, is on too few disks: ${this.describe()}`
      )
    }
  }

  /** What a disk has. */
  of(id: MemberId): Shadow | undefined {
    return this.shadows.get(id)
  }

  /** Whom a member's disk says that it votes for. */
  voteOf(id: MemberId, term: Term): MemberId | undefined {
    return this.votes.get(`${id}:${term}`)
  }

  /** Whether the disks of a quorum say that they vote for the candidate. */
  isVotedFor(candidate: MemberId, term: Term, configuration: Configuration.Configuration): boolean {
    return configuration.voters.length > 0 && isQuorum(configuration, (id) => this.voteOf(id, term) === candidate)
  }

  /** Whether the entry was on a disk with its data. */
  haveKept(index: LogIndex, term: Term): boolean {
    return this.kept.has(`${index}:${term}`)
  }

  /** Whether the member's disk holds the entry: the one of this term, or of any if that is not known. */
  holds(id: MemberId, index: LogIndex, term: Term | undefined): boolean {
    const shadow = this.shadows.get(id) ?? this.lostShadows.get(id)
    const own = shadow?.termAt(index)
    return shadow !== undefined && (index <= shadow.previousIndex || (own !== undefined && own === (term ?? own)))
  }

  /** Whether one member's disk would win a vote against the other's (Raft paper §5.4.1). */
  isAhead(id: MemberId, other: MemberId): boolean {
    const [mine, its] = [this.shadows.get(id), this.shadows.get(other)]
    if (mine === undefined || its === undefined) return its === undefined
    return mine.lastTerm > its.lastTerm || (mine.lastTerm === its.lastTerm && mine.lastIndex > its.lastIndex)
  }

  /** Whether enough disks have what a leader takes for committed. */
  isOnQuorum(index: LogIndex, leader: MemberId, configuration: Configuration.Configuration): boolean {
    // what its own disk does not have yet, it cannot be asked for
    const terms = new Set<Term>()
    for (const shadow of this.shadows.values()) {
      const term = shadow.termAt(index)
      if (term !== undefined) terms.add(term)
    }
    const disk = this.shadows.get(leader)
    if (disk !== undefined && index <= disk.previousIndex) return true
    const own = disk?.termAt(index)
    const candidates = own === undefined ? [...terms] : [own]
    const half = (voters: ReadonlyArray<MemberId>, term: Term): boolean => {
      const holders = voters.filter((voter) => this.holds(voter, index, term))
      return voters.length === 0 ||
        (holders.length > voters.length / 2 && holders.some((voter) => !this.witnesses.has(voter)))
    }
    return candidates.some((term) => half(configuration.voters, term) && half(configuration.outgoing, term))
  }

  /** A log that was recovered has everything that was synced, but for what was compacted away. */
  private recoveredAll(id: MemberId, before: Shadow, after: Shadow): void {
    const { hardState } = before
    const kept = after.hardState.term > hardState.term ||
      (after.hardState.term === hardState.term && (hardState.vote === "" || after.hardState.vote === hardState.vote))
    this.rules.check(
      "term and vote survive a restart",
      kept,
      () =>
        `${name(id)} had term ${hardState.term} and vote ${
          name(hardState.vote)
        }, and comes back with ${after.hardState.term} and ${name(after.hardState.vote)}`
    )
    const lost = firstLost(before, after, this.underWay.get(id) ?? [])
    this.rules.check(
      "what was synced survives a restart",
      lost === undefined,
      () =>
        `${name(id)} had entry ${lost} of term ${
          before.termAt(lost!)
        }, and comes back with a log that ends at ${after.lastIndex}`
    )
  }

  describe(): string {
    return [...this.shadows].map(([id, { lastIndex, previousIndex }]) =>
      `${name(id)} ${previousIndex + 1}-${lastIndex}`
    ).join(", ")
  }
}

export const equal = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}
