/**
 * Looks on at everything that members write, send and apply, and says which rule of Raft was broken first. Knows members only through the services that raft asks for,
 * so it watches any composition.
 *
 * Election safety, log matching, leader completeness, state machine safety (Raft paper, figure 3); no vote and no acknowledgement before the sync that it depends on;
 * no commit without a quorum of durable logs, in both halves of a joint configuration, and on as many disks with its data as was promised; nothing for a witness
 * that is on no such disk, and no data for it; terms, commit and applied indexes never go back; no leader of a later term while one has a lease.
 */
import * as Codec from "@dkv/raft/codec/PeerMessageCodec"
import { Configuration, EntryKind } from "@dkv/raft"
import type { Entry, EntryHead, HardState, LogIndex, LogStore, MemberId, RaftNode, Term } from "@dkv/raft"

/** What a member has on its disk, as far as syncs have said. */
class Shadow {
  hardState: HardState.HardState = { term: 0, vote: "" }
  previousIndex: LogIndex = 0
  previousTerm: Term = 0
  /** Terms of the entries behind `previousIndex`. */
  terms: Array<Term> = []

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
    } else {
      this.terms.length = Math.max(0, write.entries[0]!.index - this.previousIndex - 1)
      for (const entry of write.entries) this.terms.push(entry.term)
    }
  }
}

interface Boot {
  /** As of the last look. */
  configuration: Configuration.Configuration | undefined
  commitIndex: LogIndex
  appliedIndex: LogIndex
}

/** What was applied at an index, the same everywhere. */
interface Applied {
  readonly term: Term
  readonly data: Uint8Array
}

export class Watch {
  /** The first rule that was broken. */
  violation: string | undefined
  /** Every command that was applied anywhere, by index. */
  readonly applied = new Map<LogIndex, Applied>()
  /** Members that hold no data. */
  readonly witnesses = new Set<MemberId>()
  /** How often they took part, and in what. */
  readonly witnessing = new Map<string, number>()
  /** How often each rule was looked at. */
  readonly looks = new Map<string, number>()
  /** Gets whoever tells somebody its vote, and whom. */
  onVote: (from: MemberId, to: MemberId) => void = () => {}
  lastApplied: { readonly index: LogIndex; readonly term: Term } = { index: 0, term: 0 }
  /** Highest term that anybody has led. */
  termLed: Term = 0
  commitIndex: LogIndex = 0
  /** The last entry that a leader took for committed, and had on its own disk. */
  private committed: { readonly index: LogIndex; readonly term: Term } = { index: 0, term: 0 }
  private readonly shadows = new Map<MemberId, Shadow>()
  /** Of disks that are gone: what they acknowledged before still counted. */
  private readonly lostShadows = new Map<MemberId, Shadow>()
  private readonly boots = new Map<MemberId, Boot>()
  private readonly leaders = new Map<Term, MemberId>()
  /** By member and term: votes that are on its disk, and votes it told. */
  private readonly durableVotes = new Map<string, MemberId>()
  private readonly votes = new Map<string, MemberId>()
  /** Index and term of every entry that was on a disk with its data. */
  private readonly kept = new Set<string>()
  /** By index and term, and apart for those that hold no data: content that was ever to be written. */
  private readonly contents = new Map<string, Uint8Array>()
  /** By index and term: the entry's predecessor, and its content once somebody wrote it. */
  private readonly entries = new Map<string, { readonly previousTerm: Term; readonly data: Uint8Array | undefined }>()

  /** A machine has started; what its log holds after recovery. */
  booted(id: MemberId, recovered: LogStore.Recovered): void {
    const shadow = new Shadow()
    shadow.hardState = recovered.hardState
    shadow.previousIndex = recovered.previousIndex
    shadow.previousTerm = recovered.previousTerm
    for (const [position, run] of recovered.termRuns.entries()) {
      const end = recovered.termRuns[position + 1]?.index ?? recovered.lastIndex + 1
      for (let index = run.index; index < end; index++) {
        shadow.terms.push(run.term)
        // what a write left that was cut off is as good as any other
        if (!this.witnesses.has(id)) this.kept.add(`${index}:${run.term}`)
      }
    }
    const before = this.shadows.get(id)
    if (before !== undefined) this.recoveredAll(id, before, shadow)
    this.shadows.set(id, shadow)
    this.boots.set(id, { configuration: undefined, commitIndex: 0, appliedIndex: 0 })
  }

  /** The member's disk is gone, and with it what it promised. */
  lost(id: MemberId): void {
    const shadow = this.shadows.get(id)
    if (shadow !== undefined) this.lostShadows.set(id, shadow)
    this.shadows.delete(id)
    this.boots.delete(id)
  }

  /** Content that somebody begins to write. */
  writing(id: MemberId, writes: ReadonlyArray<LogStore.LogWrite>): void {
    for (const write of writes) {
      if (write._tag !== "Append") continue
      for (const entry of write.entries) this.contents.set(this.contentKey(id, entry), entry.data)
    }
  }

  /** What a member's log gave back. */
  read(id: MemberId, entries: ReadonlyArray<Entry.Entry>): void {
    for (const entry of entries) {
      const written = this.contents.get(this.contentKey(id, entry))
      this.check(
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
    const shadow = this.shadows.get(id)
    if (shadow === undefined) return
    for (const write of writes) {
      if (write._tag === "HardState") {
        const { term, vote } = write.hardState
        if (vote !== "") this.durableVotes.set(`${id}:${term}`, vote)
        this.check(
          "terms grow",
          write.hardState.term >= shadow.hardState.term,
          () => `${name(id)} went from term ${shadow.hardState.term} back to ${write.hardState.term}`
        )
      }
      if (write._tag === "Append") this.appended(id, shadow, write.entries)
      shadow.apply(write)
    }
  }

  private appended(id: MemberId, shadow: Shadow, entries: ReadonlyArray<Entry.Entry>): void {
    let previousTerm = shadow.termAt(entries[0]!.index - 1)
    const isWitness = this.witnesses.has(id)
    for (const entry of entries) {
      if (isWitness) {
        this.check(
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
          this.check(
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

  sent(from: MemberId, to: MemberId, frame: Uint8Array): void {
    const shadow = this.shadows.get(from)
    if (shadow === undefined) return
    const message = Codec.decode(frame)
    switch (message._tag) {
      case "VoteReply": {
        if (!message.granted || message.preVote) return
        if (this.witnesses.has(from)) this.witnessed("votes")
        const durable = this.durableVotes.get(`${from}:${message.term}`)
        this.check(
          "a vote is durable before it is told",
          durable === to,
          () =>
            `${name(from)} votes for ${name(to)} in term ${message.term}, and its disk had ${name(durable ?? "")} there`
        )
        const before = this.votes.get(`${from}:${message.term}`)
        this.check(
          "one vote per term",
          before === undefined || before === to,
          () => `${name(from)} votes for ${name(to)} in term ${message.term}, after ${name(before!)}`
        )
        this.votes.set(`${from}:${message.term}`, to)
        this.onVote(from, to)
        return
      }
      case "AppendReply": {
        if (!message.success) return
        this.check(
          "an acknowledgement follows its sync",
          message.index <= shadow.lastIndex,
          () => `${name(from)} acknowledges entry ${message.index}, and its disk ends at ${shadow.lastIndex}`
        )
        this.check(
          "an answer's term is durable",
          message.term <= shadow.hardState.term,
          () => `${name(from)} answers in term ${message.term}, and its disk knows ${shadow.hardState.term}`
        )
        return
      }
      case "SnapshotProgress":
        if (message.state === "installed" && this.witnesses.has(from)) this.witnessed("snapshots taken")
        return
      case "Append":
        if (this.witnesses.has(to)) this.told(to, message.entries)
        return this.leads(from, message.term)
      case "Heartbeat":
        return this.leads(from, message.term)
    }
  }

  private told(witness: MemberId, entries: ReadonlyArray<EntryHead>): void {
    for (const { index, term } of entries) {
      this.check(
        "a witness is told of what a disk holds with its data",
        this.kept.has(`${index}:${term}`),
        () => `${name(witness)}, a witness, is sent entry ${index} of term ${term}, and nobody's disk has its data`
      )
    }
  }

  /** Takes note that witnesses took part. */
  witnessed(what: string): void {
    this.witnessing.set(what, (this.witnessing.get(what) ?? 0) + 1)
  }

  private leads(id: MemberId, term: Term): void {
    const known = this.leaders.get(term)
    this.check(
      "election safety",
      known === undefined || known === id,
      () => `${name(id)} and ${name(known!)} lead in term ${term}`
    )
    if (known !== undefined) return
    this.leaders.set(term, id)
    if (term <= this.termLed) return
    this.termLed = term
    const shadow = this.shadows.get(id)
    if (shadow === undefined) return
    for (const { index, term: entryTerm } of [this.lastApplied, this.committed]) {
      if (index <= shadow.previousIndex || entryTerm >= term) continue
      this.check(
        "leader completeness",
        shadow.termAt(index) === entryTerm,
        () => `${name(id)} leads term ${term} without entry ${index} of term ${entryTerm}, which is committed`
      )
    }
  }

  /** Commands that a member's state machine applied, with what they answered. */
  apply(id: MemberId, commands: ReadonlyArray<Entry.Entry>): void {
    const boot = this.boots.get(id)
    for (const entry of commands) {
      this.check(
        "applied indexes grow",
        boot === undefined || entry.index > boot.appliedIndex,
        () => `${name(id)} applies entry ${entry.index} after ${boot!.appliedIndex}`
      )
      if (boot !== undefined) boot.appliedIndex = entry.index
      const known = this.applied.get(entry.index)
      if (known === undefined) {
        this.applied.set(entry.index, { term: entry.term, data: entry.data })
        if (entry.index > this.lastApplied.index) this.lastApplied = { index: entry.index, term: entry.term }
      } else {
        this.check(
          "state machine safety",
          known.term === entry.term && equal(known.data, entry.data),
          () =>
            `${
              name(id)
            } applies an entry ${entry.index} of term ${entry.term} that differs from the one of term ${known.term} applied elsewhere`
        )
      }
    }
  }

  status(id: MemberId, status: RaftNode.Status): void {
    const boot = this.boots.get(id)
    if (boot === undefined) return
    const before = boot.configuration ?? status.configuration
    boot.configuration = status.configuration
    if (status.role === "Leader") this.leads(id, status.term)
    if (status.hasLease) {
      this.check(
        "nobody leads after a leader that has a lease",
        this.termLed === status.term,
        () => `${name(id)} has a lease in term ${status.term}, and term ${this.termLed} has a leader`
      )
    }
    if (status.commitIndex === boot.commitIndex) return
    this.check(
      "the commit index grows",
      status.commitIndex > boot.commitIndex,
      () => `${name(id)} takes its commit index back from ${boot.commitIndex} to ${status.commitIndex}`
    )
    boot.commitIndex = status.commitIndex
    if (status.commitIndex <= this.commitIndex || status.role !== "Leader") return
    this.commitIndex = status.commitIndex
    const term = this.shadows.get(id)?.termAt(status.commitIndex)
    if (term !== undefined) this.committed = { index: status.commitIndex, term }
    this.check(
      "a quorum holds what is committed",
      // it may have committed, and then changed its configuration, in one turn
      this.isOnQuorum(status.commitIndex, id, status.configuration) || this.isOnQuorum(status.commitIndex, id, before),
      () => `${name(id)} takes entry ${status.commitIndex} for committed, which is on too few disks: ${this.describe()}`
    )
    if (before !== status.configuration) return
    const { commitIndex, configuration, copies } = status
    const voters = Configuration.voterIds(configuration)
    const holders = voters.filter((voter) => this.holds(voter, commitIndex, this.shadows.get(id)?.termAt(commitIndex)))
    const full = holders.filter((voter) => !this.witnesses.has(voter))
    this.check(
      "there are as many copies as promised",
      full.length >= copies,
      () =>
        `${
          name(id)
        } takes entry ${commitIndex} for committed, with ${copies} copies, and there are ${full.length}: ${this.describe()}`
    )
    if (holders.length > full.length && full.length * 2 <= configuration.voters.length) {
      this.witnessed("commits that needed one")
    }
  }

  /** Whether the member's disk holds the entry: the one of this term, or of any if that is not known. */
  private holds(id: MemberId, index: LogIndex, term: Term | undefined): boolean {
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

  /** Queues and tables of a member. */
  gauges(id: MemberId, gauges: ReadonlyArray<RaftNode.Gauge>): void {
    const beyond = gauges.find(({ limit, value }) => value > limit)
    this.check(
      "queues stay within their limits",
      beyond === undefined,
      () => `${name(id)} has ${beyond!.value} of ${beyond!.name} ${beyond!.limit}`
    )
  }

  private isOnQuorum(index: LogIndex, leader: MemberId, configuration: Configuration.Configuration): boolean {
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
    this.check(
      "term and vote survive a restart",
      kept,
      () =>
        `${name(id)} had term ${hardState.term} and vote ${
          name(hardState.vote)
        }, and comes back with ${after.hardState.term} and ${name(after.hardState.vote)}`
    )
    const lost = firstLost(before, after)
    this.check(
      "what was synced survives a restart",
      lost === undefined,
      () =>
        `${name(id)} had entry ${lost} of term ${
          before.termAt(lost!)
        }, and comes back with a log that ends at ${after.lastIndex}`
    )
  }

  private describe(): string {
    return [...this.shadows].map(([id, { lastIndex, previousIndex }]) =>
      `${name(id)} ${previousIndex + 1}-${lastIndex}`
    ).join(", ")
  }

  /** Looks at a rule once. */
  check(rule: string, holds: boolean, message: () => string): void {
    this.looks.set(rule, (this.looks.get(rule) ?? 0) + 1)
    if (!holds) this.violation ??= `${rule}: ${message()}`
  }
}

/** The first entry that was synced and is neither there nor replaced, as a write under way when the machine stopped may have done. */
const firstLost = (before: Shadow, after: Shadow): LogIndex | undefined => {
  const isReset = after.terms.length === 0 && after.previousIndex > before.previousIndex
  if (isReset) return undefined
  for (let index = Math.max(before.previousIndex, after.previousIndex) + 1; index <= before.lastIndex; index++) {
    const term = after.termAt(index)
    if (term === undefined || term < before.termAt(index)!) return index
    if (term > before.termAt(index)!) return undefined
  }
  return undefined
}

/** Ids of simulated members are small numbers. */
export const name = (id: MemberId): string => id === "" ? "nobody" : `m${Number.parseInt(id, 16)}`

const equal = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}
