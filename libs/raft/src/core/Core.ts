/**
 * The protocol state of one member and the only way to change it. `step` takes one input; `settle`, after a batch of them, decides
 * what follows from all of them together (commit index, permits, read rounds, acknowledgements) and returns what to do.
 *
 * Synchronous and deterministic: time and jitter are handed in. Rules live in the files named after their part of the protocol; the table in
 * `Dispatch` says which rule answers which input in which role.
 */
import * as Configuration from "./Configuration.ts"
import { dispatch } from "./Dispatch.ts"
import type { LogIndex, MemberId, Term } from "./Entry.ts"
import type { HardState } from "./HardState.ts"
import type { Input } from "./Input.ts"
import { AcknowledgedEntriesLost, invariant } from "./Invariant.ts"
import * as Lease from "./Lease.ts"
import type { LogShape } from "./LogShape.ts"
import type { Message } from "./Message.ts"
import * as Output from "./Output.ts"
import type { Progress } from "./Progress.ts"
import * as Read from "./Read.ts"
import * as Replication from "./Replication.ts"

export type RoleName = "Follower" | "PreCandidate" | "Candidate" | "Leader" | "Learner" | "Witness"

export interface Settings {
  /** A follower that hears nothing for one to two of these stands for election. The same on all members. */
  readonly electionTimeoutMillis: number
  readonly heartbeatMillis: number
  /** How long a leader waits for an append to carry a new commit index before it tells it by itself. */
  readonly commitDelayMillis: number
  /** Unacknowledged messages per peer. */
  readonly windowMessagesMax: number
  /** Unacknowledged payload bytes per peer. */
  readonly windowBytesMax: number
  /** Payload bytes in one message. */
  readonly messageBytesMax: number
  /** Entries in one message. */
  readonly messageEntriesMax: number
  /** Groups that a leader appends beyond what its disk has before it answers `Busy`. */
  readonly pendingAppendsMax: number
  /** Payload bytes that a leader appends beyond the commit index before it answers `Busy`. */
  readonly uncommittedBytesMax: number
}

interface PendingAppend {
  readonly number: number
  /** When it was ordered. */
  readonly at: number
  /** By this member as the leader; others are what a leader sent, of which it takes in far fewer (`leadersAtOnce`). */
  readonly own: boolean
  lastIndex: LogIndex
}

export class Core {
  readonly id: MemberId
  readonly settings: Settings
  /** This member keeps no data. It was started as such, and its configuration says the same. */
  readonly witness: boolean
  readonly out: Output.Outputs = Output.make()

  /** Monotonic time in milliseconds, and a random number in [0, 1), both as of the present batch. */
  now: number
  jitter = 0

  role: RoleName
  /** Changes with every change of role. */
  epoch = 0
  term: Term
  vote: MemberId
  leader: MemberId = ""

  readonly log: LogShape
  durableIndex: LogIndex
  commitIndex: LogIndex
  appliedIndex: LogIndex

  /** Numbers of the last write ordered, of the last one that is durable, and of the last change of term or vote. */
  writeNumber = 0
  writtenNumber = 0
  hardStateWrite = 0
  readonly pendingAppends: Array<PendingAppend> = []

  /** The configurations in the log that may still be undone, behind the one that may not; ascending. The last one is in force. */
  readonly configurations: Array<{ readonly index: LogIndex; readonly configuration: Configuration.Configuration }>
  /** This member has been in a configuration that is committed: one that was undone made no member of it. */
  wasMember = false

  /** When this run of the member began. */
  readonly startedAt: number
  /** When the leader was last heard, and whether the link to it broke since. */
  contactAt: number
  contactBroken = false
  electionTimeout: number
  electionDeadline: number
  heartbeatDeadline = Infinity
  quorumDeadline = Infinity
  /** Of a leader that has a commit index to tell: when it is told for its own sake. */
  commitDeadline = Infinity

  /** A candidate's answers so far. */
  readonly votes = new Map<MemberId, boolean>()
  /** The present candidacy was asked for by the leader. */
  transferring = false

  /** Of a follower: up to where its log is known to be the present leader's. */
  matchedIndex: LogIndex = 0

  /** A follower's answer to the appends of the present batch. */
  ack: { readonly to: MemberId; readonly index: LogIndex } | undefined

  /** Of a leader. */
  readonly progress = new Map<MemberId, Progress>()
  /** First index of this leadership; reads and changes of membership wait until it is committed. */
  leaderSince: LogIndex = 0
  matchChanged = false
  uncommittedBytes = 0
  readonly uncommitted: Array<{ readonly lastIndex: LogIndex; readonly bytes: number }> = []
  /** Groups that this member put into the log and has not applied: up to where, and what they cost. Their commands are in memory until then. */
  unappliedBytes = 0
  readonly unapplied: Array<{ readonly lastIndex: LogIndex; readonly bytes: number }> = []
  /** Number of the last permit; never used twice, so that a report that comes late is recognised even in a later leadership. */
  permitNumber = 0
  /** Counts heartbeat broadcasts in this leadership. */
  round = 0
  /** When the last rounds were sent, by number modulo how many are kept. */
  readonly roundsSentAt: Array<number> = []
  /** In this leadership somebody was asked to stand for election. */
  askedToStand = false
  readonly reads: Read.Reads = Read.make()
  change: { readonly id: number; readonly index: LogIndex } | undefined
  transfer: { readonly id: number; readonly to: MemberId; readonly deadline: number; asked: boolean } | undefined

  constructor(options: {
    readonly id: MemberId
    readonly settings: Settings
    /** Default false. */
    readonly witness?: boolean
    readonly hardState: HardState
    readonly log: LogShape
    readonly appliedIndex: LogIndex
    readonly configurations: ReadonlyArray<
      { readonly index: LogIndex; readonly configuration: Configuration.Configuration }
    >
    readonly now: number
    readonly jitter: number
  }) {
    this.id = options.id
    this.settings = options.settings
    this.witness = options.witness ?? false
    this.term = options.hardState.term
    this.vote = options.hardState.vote
    this.log = options.log
    this.durableIndex = options.log.lastIndex
    this.commitIndex = options.appliedIndex
    this.appliedIndex = options.appliedIndex
    this.configurations = options.configurations.length === 0
      ? [{ index: 0, configuration: Configuration.empty }]
      : [...options.configurations]
    this.noteMembership()
    this.role = this.restingRole
    this.now = options.now
    this.startedAt = this.now
    this.contactAt = -Infinity
    this.electionTimeout = this.settings.electionTimeoutMillis * (1 + options.jitter)
    // A lone voter has nobody to wait for, unless it may be bound to a leader that is on its way out.
    const isAlone = this.configuration.voters.length === 1 && this.configuration.outgoing.length === 0
    this.electionDeadline = isAlone && this.role === "Follower"
      ? Math.max(this.now, Lease.boundUntil(this))
      : this.now + this.electionTimeout + this.deferenceMillis
    invariant(
      this.commitIndex <= this.log.lastIndex,
      `applied up to ${this.commitIndex}, but the log ends at ${this.log.lastIndex}`
    )
  }

  /** The configuration in force. */
  get configuration(): Configuration.Configuration {
    return this.configurations[this.configurations.length - 1]!.configuration
  }

  /** Where the configuration in force stands in the log. */
  get configurationIndex(): LogIndex {
    return this.configurations[this.configurations.length - 1]!.index
  }

  /**
   * Whether this member may stand for election. One whose removal is not committed has to: nobody else may have the entry that removes it, and then none
   * of those who need its vote can win (dissertation §4.2.2).
   */
  get isElectable(): boolean {
    return this.configurations.some(({ configuration }) => Configuration.isVoter(configuration, this.id))
  }

  /** How much longer than usual this member waits before it stands for election: whom elections prefer to it goes first. */
  get deferenceMillis(): number {
    return Configuration.prefersAnother(this.configuration, this.id) ? this.settings.electionTimeoutMillis : 0
  }

  /** What this member is while it neither leads nor wants to. A witness could serve nobody as a leader, so it never becomes one. */
  get restingRole(): RoleName {
    return this.witness ? "Witness" : this.isElectable ? "Follower" : "Learner"
  }

  /** What may be applied: committed, and in this member's own durable log. */
  get applicableIndex(): LogIndex {
    return Math.min(this.commitIndex, this.durableIndex)
  }

  /**
   * Entries up to here need not be at hand any more: they are durable and applied here, and everyone whom this leader replicates to and who answers has them
   * durably. Who is slower than that, or is not being replicated to, needs them from the log.
   */
  get releasableIndex(): LogIndex {
    let index = Math.min(this.appliedIndex, this.durableIndex)
    if (this.role !== "Leader") return index
    for (const progress of this.progress.values()) {
      if (progress.state === "Replicate" && this.answers(progress.id)) index = Math.min(index, progress.match)
    }
    return index
  }

  /** Of a leader: whether the member answered within the last election timeout; it answers itself. */
  answers(id: MemberId): boolean {
    return id === this.id || this.progress.get(id)?.isActive(this.now, this.settings.electionTimeoutMillis) === true
  }

  /** Begins a batch of inputs. */
  begin(now: number, jitter: number): void {
    this.now = now
    this.jitter = jitter
    Output.clear(this.out)
  }

  step(input: Input): void {
    dispatch(this, input)
  }

  /** Ends the batch. What is returned is valid until the next `begin`. */
  settle(): Output.Outputs {
    if (this.ack !== undefined) Replication.sendAck(this)
    if (this.role === "Leader") Replication.settle(this)
    return this.out
  }

  /** Orders a write and returns its number. */
  write(write: Output.Write): number {
    this.out.writes.push(write)
    return ++this.writeNumber
  }

  /** Orders the present term and vote to be written. */
  writeHardState(): void {
    this.hardStateWrite = this.write({ _tag: "HardState", term: this.term, vote: this.vote })
  }

  /** Sends once the present term and vote, and write number `after` if given, are durable. */
  send(to: MemberId, message: Message, after = this.hardStateWrite): void {
    this.out.messages.push({ to, message, after })
  }

  /** Takes note that entries up to the end of the log are being written, as number `number`. */
  appended(number: number): void {
    this.pendingAppends.push({ number, at: this.now, own: this.role === "Leader", lastIndex: this.log.lastIndex })
  }

  /** Removes the entries from `index` on, and everything that depended on them. */
  truncate(index: LogIndex): void {
    invariant(
      index > this.commitIndex,
      `a leader replaces entry ${index}, but entries up to ${this.commitIndex} are committed`
    )
    this.log.truncate(index)
    this.durableIndex = Math.min(this.durableIndex, index - 1)
    for (const pending of this.pendingAppends) pending.lastIndex = Math.min(pending.lastIndex, index - 1)
    const out = this.out
    out.truncatedFrom = out.truncatedFrom === 0 ? index : Math.min(out.truncatedFrom, index)
    while (this.unapplied.length > 0 && this.unapplied[this.unapplied.length - 1]!.lastIndex >= index) {
      this.unappliedBytes -= this.unapplied.pop()!.bytes
    }
    while (this.configurations.length > 1 && this.configurationIndex >= index) {
      this.configurations.pop()
      out.configurationChanged = true
    }
  }

  /** To be called with every configuration that becomes the first one, the one that cannot be undone. */
  noteMembership(): void {
    if (Configuration.find(this.configurations[0]!.configuration, this.id) !== undefined) this.wasMember = true
  }

  commitTo(index: LogIndex): void {
    if (index <= this.commitIndex) return
    if (index > this.log.lastIndex) {
      throw new AcknowledgedEntriesLost(
        `entries up to ${index} are committed, but the log ends at ${this.log.lastIndex}: it has lost entries that were acknowledged`
      )
    }
    this.commitIndex = index
    while (this.configurations.length > 1 && this.configurations[1]!.index <= index) {
      this.configurations.shift()
      this.noteMembership()
      this.out.configurationChanged = true
    }
    const entry = this.configurations[0]!
    if (
      this.wasMember && this.configurations.length === 1 && !Configuration.isJoint(entry.configuration) &&
      entry.index <= index && Configuration.find(entry.configuration, this.id) === undefined
    ) this.out.removed = true
  }
}
