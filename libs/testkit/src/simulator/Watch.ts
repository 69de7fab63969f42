/**
 * Looks on at everything that members write, send and apply, and says which rule of Raft was broken first. Knows members only through the services that raft asks for,
 * so it watches any composition.
 *
 * Election safety, log matching, leader completeness, state machine safety (Raft paper, figure 3); no vote and no acknowledgement before the sync that it depends on;
 * no commit without a quorum of durable logs, in both halves of a joint configuration, and on as many disks with its data as was promised; nothing for a witness
 * that is on no such disk, and no data for it; terms, commit and applied indexes never go back; no leader without a quorum of votes on disks, and none of a later term
 * while one has a lease; nothing takes effect that was turned down.
 */
import * as Codec from "@dkv/raft/codec/PeerMessageCodec"
import { Configuration } from "@dkv/raft"
import type { AppendReply } from "@dkv/raft/core/Message"
import type { Entry, EntryHead, LogIndex, LogStore, MemberId, RaftNode, Term } from "@dkv/raft"
import { Disks, equal } from "./Disks.ts"
import { Events } from "./Events.ts"
import * as Lines from "./Lines.ts"
import { name } from "./Names.ts"
import { Proposed } from "./Proposed.ts"
import { Rules } from "./Rules.ts"
import { Said } from "./Said.ts"
import type { Shadow } from "./Shadow.ts"

/** What a leader counts by. */
type Measure = Pick<RaftNode.Status, "configuration" | "copies">

interface Boot {
  /** As of the last look. */
  measure: Measure | undefined
  term: Term
  commitIndex: LogIndex
  appliedIndex: LogIndex
  /** Of the last command, or of the state that stands for it. */
  commandIndex: LogIndex
}

/** What was applied at an index, and answered, the same everywhere. */
interface Applied {
  readonly term: Term
  readonly data: Uint8Array
  readonly result: Uint8Array | undefined
}

/** Somebody asked for votes. */
interface Standing {
  readonly term: Term
  /** What it may have gone by: it counts the votes by that, however late they come. */
  readonly configurations: ReadonlyArray<Configuration.Configuration>
}

export class Watch {
  readonly rules = new Rules()
  readonly disks = new Disks(this.rules)
  /** Every command that was applied anywhere, by index. */
  readonly applied = new Map<LogIndex, Applied>()
  readonly events = new Events()
  /** Gets whoever asks for votes, once per term. */
  onStand: (candidate: MemberId) => void = () => {}
  /** Gets whoever asks somebody to take over. */
  onHandOver: (leader: MemberId) => void = () => {}
  /** Gets whoever tells somebody its vote, and whom. */
  onVote: (from: MemberId, to: MemberId) => void = () => {}
  /** Gets a line per message, sync, commit and batch applied. */
  trace: ((line: string) => void) | undefined
  lastApplied: { readonly index: LogIndex; readonly term: Term } = { index: 0, term: 0 }
  /** Highest term that anybody has led. */
  termLed: Term = 0
  commitIndex: LogIndex = 0
  /** The last entry that a leader took for committed, and had on its own disk. */
  private committed: { readonly index: LogIndex; readonly term: Term } = { index: 0, term: 0 }
  private readonly boots = new Map<MemberId, Boot>()
  private readonly leaders = new Map<Term, MemberId>()
  /** When somebody asked for votes last. */
  private readonly stood = new Map<MemberId, Standing>()
  private readonly said = new Said()
  private readonly proposed = new Proposed()
  /** By member and term: votes that were told. */
  private readonly votes = new Map<string, MemberId>()

  /** A machine has started; what its log holds after recovery. */
  booted(id: MemberId, recovered: LogStore.Recovered): void {
    this.disks.booted(id, recovered)
    const { term } = recovered.hardState
    this.boots.set(id, { measure: undefined, term, commitIndex: 0, appliedIndex: 0, commandIndex: 0 })
  }

  /** The member's disk is gone, and with it what it promised. */
  lost(id: MemberId): void {
    this.disks.lost(id)
    this.boots.delete(id)
  }

  writing(id: MemberId, writes: ReadonlyArray<LogStore.LogWrite>): void {
    for (const write of writes) if (write._tag === "Append") this.proposed.writing(write.entries)
    this.disks.writing(id, writes)
  }

  written(id: MemberId, writes: ReadonlyArray<LogStore.LogWrite>): void {
    this.trace?.(`${name(id)} has on its disk ${Lines.ofWrites(writes)}`)
    this.disks.written(id, writes)
  }

  sent(from: MemberId, to: MemberId, frame: Uint8Array): void {
    const shadow = this.disks.of(from)
    if (shadow === undefined) return
    const message = Codec.decode(frame)
    this.trace?.(`${name(from)} > ${name(to)} ${Lines.ofMessage(message)}`)
    switch (message._tag) {
      case "TimeoutNow":
        return this.onHandOver(from)
      case "VoteRequest":
        if (message.preVote || this.stood.get(from)?.term === message.term) return
        this.stood.set(from, { term: message.term, configurations: this.configurationsOf(from) })
        return this.onStand(from)
      case "VoteReply": {
        if (!message.granted || message.preVote) return
        if (this.disks.witnesses.has(from)) this.events.add("votes of witnesses")
        const durable = this.disks.voteOf(from, message.term)
        this.rules.check(
          "a vote is durable before it is told",
          durable === to,
          () =>
            `${name(from)} votes for ${name(to)} in term ${message.term}, and its disk had ${name(durable ?? "")} there`
        )
        const before = this.votes.get(`${from}:${message.term}`)
        this.rules.check(
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
        this.rules.check(
          "an acknowledgement follows its sync",
          message.index <= shadow.lastIndex,
          () => `${name(from)} acknowledges entry ${message.index}, and its disk ends at ${shadow.lastIndex}`
        )
        this.holdsWhatIsSaid(from, shadow, message)
        this.rules.check(
          "an answer's term is durable",
          message.term <= shadow.hardState.term,
          () => `${name(from)} answers in term ${message.term}, and its disk knows ${shadow.hardState.term}`
        )
        return
      }
      case "SnapshotProgress":
        if (message.state !== "installed") return
        return this.events.add(
          this.disks.witnesses.has(from) ? "snapshots installed by witnesses" : "snapshots installed"
        )
      case "Append":
        this.said.append(message)
        if (this.disks.witnesses.has(to)) this.told(to, message.entries)
        return this.leads(from, message.term)
      case "Heartbeat":
        return this.leads(from, message.term)
    }
  }

  /** Whoever acknowledges an entry has that of the leader on its disk, or has taken in a later term's log meanwhile and counts no more. */
  private holdsWhatIsSaid(id: MemberId, shadow: Shadow, { index, term }: AppendReply): void {
    const said = this.said.termAt(term, index)
    if (said === undefined || index < shadow.previousIndex || shadow.hardState.term > term) return
    const own = shadow.termAt(index)
    this.rules.check(
      "an acknowledgement follows its sync",
      own === said,
      () => `${name(id)} acknowledges entry ${index} of term ${said}, and its disk has one of term ${own}`
    )
  }

  private told(witness: MemberId, entries: ReadonlyArray<EntryHead>): void {
    for (const { index, term } of entries) {
      this.rules.check(
        "a witness is told of what a disk holds with its data",
        this.disks.haveKept(index, term),
        () => `${name(witness)}, a witness, is sent entry ${index} of term ${term}, and nobody's disk has its data`
      )
    }
  }

  private leads(id: MemberId, term: Term): void {
    const known = this.leaders.get(term)
    this.rules.check(
      "election safety",
      known === undefined || known === id,
      () => `${name(id)} and ${name(known!)} lead in term ${term}`
    )
    if (known !== undefined) return
    this.leaders.set(term, id)
    this.elected(id, term)
    if (term <= this.termLed) return
    this.termLed = term
    const shadow = this.disks.of(id)
    if (shadow === undefined) return
    for (const { index, term: entryTerm } of [this.lastApplied, this.committed]) {
      if (index <= shadow.previousIndex || entryTerm >= term) continue
      this.rules.check(
        "leader completeness",
        shadow.termAt(index) === entryTerm,
        () => `${name(id)} leads term ${term} without entry ${index} of term ${entryTerm}, which is committed`
      )
    }
  }

  /** Somebody leads for the first time in a term. */
  private elected(id: MemberId, term: Term): void {
    if (this.disks.of(id) === undefined) return
    const vote = this.disks.voteOf(id, term)
    this.rules.check(
      "a leader's own vote is durable",
      vote === id,
      () => `${name(id)} leads term ${term}, and its disk had ${name(vote ?? "")} there`
    )
    const standing = this.stood.get(id)
    // a lone voter asks nobody
    const configurations = standing?.term === term ? standing.configurations : this.configurationsOf(id)
    if (configurations.length === 0) return
    this.rules.check(
      "a quorum of durable votes elects",
      configurations.some((configuration) => this.disks.isVotedFor(id, term, configuration)),
      () => {
        const voters = [...new Set(configurations.flatMap(Configuration.voterIds))]
        const votes = voters.map((voter) => `${name(voter)} ${name(this.disks.voteOf(voter, term) ?? "")}`)
        return `${name(id)} leads term ${term}, where disks vote: ${votes.join(", ")}`
      }
    )
  }

  /** What a member goes by: as of the last look, and the newest on its disk. One that has come since is on its disk before it asks for votes. */
  private configurationsOf(id: MemberId): ReadonlyArray<Configuration.Configuration> {
    const seen = this.boots.get(id)?.measure?.configuration
    const newest = this.disks.of(id)?.configurations.at(-1)?.configuration
    return [seen, newest].filter((configuration) => configuration !== undefined)
  }

  /** Somebody proposes something to a member: in these bytes, and until the caller is told that nothing comes of it. */
  propose(commands: ReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> {
    return this.proposed.begin(commands)
  }

  turnDown(id: MemberId, commands: ReadonlyArray<Uint8Array>, why: string): void {
    for (const { index, term } of this.proposed.turnDown(commands)) {
      this.rules.check(
        "a proposal that is turned down never takes effect",
        this.applied.get(index)?.term !== term,
        () => `${name(id)} says of entry ${index} of term ${term}, which was applied: ${why}`
      )
    }
  }

  /** Commands that a member's state machine applied, with what they answered. */
  apply(id: MemberId, commands: ReadonlyArray<Entry.Entry>, results: ReadonlyArray<Uint8Array>): void {
    if (commands.length > 0) this.trace?.(`${name(id)} applies ${commands.map(({ index }) => index).join(" ")}`)
    const boot = this.boots.get(id)
    for (const [position, entry] of commands.entries()) {
      this.rules.check(
        "applied indexes grow",
        boot === undefined || entry.index > boot.commandIndex,
        () => `${name(id)} applies entry ${entry.index} after ${boot!.commandIndex}`
      )
      if (boot !== undefined) boot.commandIndex = entry.index
      const result = results[position]
      const known = this.applied.get(entry.index)
      if (known === undefined) {
        this.applied.set(entry.index, { term: entry.term, data: entry.data, result })
        this.rules.check(
          "a proposal that is turned down never takes effect",
          !this.proposed.isTurnedDown(entry.index, entry.term),
          () => `${name(id)} applies entry ${entry.index} of term ${entry.term}, whose caller was told otherwise`
        )
        if (entry.index > this.lastApplied.index) this.lastApplied = { index: entry.index, term: entry.term }
      } else {
        this.rules.check(
          "state machine safety",
          known.term === entry.term && equal(known.data, entry.data),
          () =>
            `${
              name(id)
            } applies an entry ${entry.index} of term ${entry.term} that differs from the one of term ${known.term} applied elsewhere`
        )
        // a state machine is deterministic, and whoever leads next has to repeat the answer
        this.rules.check(
          "state machine safety",
          result !== undefined && known.result !== undefined && equal(known.result, result),
          () => `${name(id)} answers entry ${entry.index} of term ${entry.term} otherwise than somebody else`
        )
      }
    }
  }

  status(id: MemberId, status: RaftNode.Status): void {
    const boot = this.boots.get(id)
    if (boot === undefined) return
    const before = boot.measure ??= status
    if (status.role === "Leader") this.leads(id, status.term)
    boot.measure = status
    this.lease(id, status)
    this.grows(id, boot, status)
    if (status.commitIndex === boot.commitIndex) return
    this.trace?.(`${name(id)} knows that ${status.commitIndex} is committed`)
    this.rules.check(
      "the commit index grows",
      status.commitIndex > boot.commitIndex,
      () => `${name(id)} takes its commit index back from ${boot.commitIndex} to ${status.commitIndex}`
    )
    boot.commitIndex = status.commitIndex
    if (status.commitIndex <= this.commitIndex || status.role !== "Leader") return
    this.commitIndex = status.commitIndex
    const term = this.disks.of(id)?.termAt(status.commitIndex)
    if (term !== undefined) this.committed = { index: status.commitIndex, term }
    this.commits(id, status.commitIndex, before.configuration === status.configuration ? [status] : [status, before])
  }

  /**
   * A leader has moved its commit index since the last look. Within one look it may commit, change its configuration, and commit again, so either may be what it counted by;
   * that a configuration was committed by its own quorum, `Disks` sees once the next one is written.
   */
  private commits(id: MemberId, commitIndex: LogIndex, measures: ReadonlyArray<Measure>): void {
    const met = measures.filter(({ configuration }) => this.disks.isOnQuorum(commitIndex, id, configuration))
    this.rules.check(
      "a quorum holds what is committed",
      met.length > 0,
      () => `${name(id)} takes entry ${commitIndex} for committed, which is on too few disks: ${this.disks.describe()}`
    )
    const term = this.disks.of(id)?.termAt(commitIndex)
    const counts = met.map(({ configuration, copies }) => {
      const holders = Configuration.voterIds(configuration).filter((voter) =>
        this.disks.holds(voter, commitIndex, term)
      )
      const full = holders.filter((voter) => !this.disks.witnesses.has(voter)).length
      return { copies, full, holders: holders.length, voters: configuration.voters.length }
    })
    this.rules.check(
      "there are as many copies as promised",
      counts.some(({ copies, full }) => full >= copies),
      () =>
        `${name(id)} takes entry ${commitIndex} for committed, with ${
          counts.map(({ copies, full }) => `${full} of ${copies} copies`).join(" or ")
        }: ${this.disks.describe()}`
    )
    if (counts.some(({ full, holders, voters }) => holders > full && full * 2 <= voters)) {
      this.events.add("commits that needed a witness")
    }
  }

  /** Looks at a lease, which ends without anything happening to the member. */
  lease(id: MemberId, status: RaftNode.Status): void {
    if (!status.hasLease) return
    this.rules.check(
      "nobody leads after a leader that has a lease",
      this.termLed === status.term,
      () => `${name(id)} has a lease in term ${status.term}, and term ${this.termLed} has a leader`
    )
  }

  private grows(id: MemberId, boot: Boot, { appliedIndex, commitIndex, term }: RaftNode.Status): void {
    if (term !== boot.term) {
      this.rules.check("terms grow", term > boot.term, () => `${name(id)} goes from term ${boot.term} back to ${term}`)
      boot.term = term
    }
    if (appliedIndex === boot.appliedIndex) return
    this.rules.check(
      "applied indexes grow",
      appliedIndex > boot.appliedIndex,
      () => `${name(id)} takes its applied index back from ${boot.appliedIndex} to ${appliedIndex}`
    )
    this.rules.check(
      "what is applied is committed",
      appliedIndex <= commitIndex,
      () => `${name(id)} has applied entry ${appliedIndex}, and takes those up to ${commitIndex} for committed`
    )
    boot.appliedIndex = appliedIndex
    // a snapshot stands for what was applied elsewhere
    boot.commandIndex = Math.max(boot.commandIndex, appliedIndex)
  }

  /** Queues and tables of a member. */
  gauges(id: MemberId, gauges: ReadonlyArray<RaftNode.Gauge>): void {
    const beyond = gauges.find(({ limit, value }) => value > limit)
    this.rules.check(
      "queues stay within their limits",
      beyond === undefined,
      () => `${name(id)} has ${beyond!.value} of ${beyond!.name} ${beyond!.limit}`
    )
  }
}
