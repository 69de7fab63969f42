/**
 * A core without the actors around it: the test decides when a write is durable, when a message arrives, and what time it is. A node keeps its log as a list
 * of (term, label) and its state as the list of what it applied, and forgets what was not durable when it crashes.
 *
 * It carries out the core's orders as the real actors do: messages wait for their writes, permits are used at once, a snapshot is a copy of the state.
 */
import * as Configuration from "../../src/core/Configuration.ts"
import { Core } from "../../src/core/Core.ts"
import type { Settings } from "../../src/core/Core.ts"
import type { EntryHead, LogIndex, MemberId, Term } from "../../src/core/Entry.ts"
import { EntryKind } from "../../src/core/Entry.ts"
import type { HardState } from "../../src/core/HardState.ts"
import type { Input } from "../../src/core/Input.ts"
import { LogShape } from "../../src/core/LogShape.ts"
import type { Message } from "../../src/core/Message.ts"
import type { Outgoing, Outputs, Permit, Settled } from "../../src/core/Output.ts"

export interface LogEntry extends EntryHead {
  readonly label: string
}

/** What a state machine has durably: everything applied up to `index`. */
export interface State {
  readonly index: LogIndex
  readonly term: Term
  readonly configuration: Configuration.Configuration
  readonly configurationIndex: LogIndex
  readonly applied: ReadonlyArray<LogEntry>
}

interface Disk {
  hardState: HardState
  previousIndex: LogIndex
  previousTerm: Term
  entries: Array<LogEntry>
  state: State
}

interface PendingWrite {
  readonly number: number
  readonly apply: (disk: Disk) => void
}

export interface Envelope {
  readonly from: MemberId
  readonly to: MemberId
  readonly message: Message
  /** What a `SnapshotOffer` offers. */
  readonly state?: State
}

/** Looks on while a node works. */
export interface Watcher {
  /** `node` is about to take `inputs`. */
  readonly takes: (node: Node, inputs: ReadonlyArray<Input>) => void
  /** It has taken them, and is about to carry out `outputs`. */
  readonly decides: (node: Node, outputs: Outputs) => void
}

export const settings: Settings = {
  electionTimeoutMillis: 1000,
  heartbeatMillis: 100,
  commitDelayMillis: 0,
  windowMessagesMax: 4,
  windowBytesMax: 1000,
  messageBytesMax: 400,
  messageEntriesMax: 1000,
  pendingAppendsMax: 1000,
  uncommittedBytesMax: 1_000_000
}

/** Bytes that the tests pretend a command has. */
export const commandBytes = 10

const emptyState: State = {
  index: 0,
  term: 0,
  configuration: Configuration.empty,
  configurationIndex: 0,
  applied: []
}

export class Node {
  readonly id: MemberId
  readonly settings: Settings
  readonly disk: Disk = {
    hardState: { term: 0, vote: "" },
    previousIndex: 0,
    previousTerm: 0,
    entries: [],
    state: emptyState
  }
  core: Core
  /** The log as the member sees it, durable or not. */
  entries: Array<LogEntry> = []
  pending: Array<PendingWrite> = []
  held: Array<Outgoing> = []
  applied: Array<LogEntry> = []
  /** For the test: how many of them it has looked at. */
  checked = 0
  reads: Array<{ readonly id: number; readonly index: LogIndex }> = []
  settled: Array<Settled> = []
  /** Members that were reported silent, and heard again, such as `silent 1`. */
  silences: Array<string> = []
  refusals: Array<Outputs["refusals"][number]> = []
  accepted: Array<string> = []
  removed = false
  /** Permits that the test keeps back from use. */
  readonly permits: Array<Permit> = []
  keepPermits = false
  /** Snapshots on their way to others. */
  transfers: Array<{ readonly peer: MemberId; readonly index: LogIndex; readonly term: Term }> = []
  watcher: Watcher | undefined
  private readonly labels = new Map<number, ReadonlyArray<string>>()
  private readonly offered = new Map<number, State>()
  private nextGroup = 1
  private nextSnapshot = 1
  private readonly outbox: (envelope: Envelope) => void
  private readonly witness: boolean

  constructor(
    id: MemberId,
    founding: Configuration.Configuration,
    outbox: (envelope: Envelope) => void,
    now: number,
    jitter: number,
    options: Partial<Settings> = {},
    witness = false
  ) {
    this.id = id
    this.witness = witness
    this.outbox = outbox
    this.settings = { ...settings, ...options }
    if (founding.members.length > 0) {
      this.disk.hardState = { term: 1, vote: "" }
      this.disk.entries = [{
        index: 1,
        term: 1,
        kind: EntryKind.Configuration,
        bytes: commandBytes,
        label: "C",
        configuration: founding
      }]
    }
    this.core = this.recover(now, jitter)
  }

  /** Loses everything that was not durable, and starts again. */
  crash(now: number, jitter: number): void {
    this.pending = []
    this.held = []
    this.checked = 0
    this.reads = []
    this.transfers = []
    this.permits.length = 0
    this.labels.clear()
    this.offered.clear()
    this.core = this.recover(now, jitter)
  }

  step(input: Input, now: number, jitter = 0.5): void {
    this.stepAll([input], now, jitter)
  }

  /** Several inputs in one batch. */
  stepAll(inputs: ReadonlyArray<Input>, now: number, jitter = 0.5): void {
    this.watcher?.takes(this, inputs)
    this.core.begin(now, jitter)
    for (const input of inputs) this.core.step(input)
    this.settle()
  }

  receive({ from, message, state }: Envelope, now: number, jitter = 0.5): void {
    if (state !== undefined && message._tag === "SnapshotOffer") this.offered.set(message.snapshot, state)
    this.step({ _tag: "Message", from, message }, now, jitter)
  }

  propose(labels: ReadonlyArray<string>, now: number): number {
    const group = this.nextGroup++
    this.labels.set(group, labels)
    this.step({ _tag: "Propose", group, count: labels.length, bytes: labels.length * commandBytes }, now)
    return group
  }

  /** Makes the oldest outstanding writes durable. */
  sync(now: number, count = Infinity): void {
    let number = 0
    for (let done = 0; done < count && this.pending.length > 0; done++) {
      const write = this.pending.shift()!
      write.apply(this.disk)
      number = write.number
    }
    if (number > 0) this.step({ _tag: "Written", number }, now)
  }

  /** Makes the state durable and drops the log up to `index`, at most up to what was applied. */
  compact(index: LogIndex, now: number): void {
    const { disk } = this
    disk.state = this.state()
    const previousIndex = Math.min(index, disk.state.index, disk.previousIndex + disk.entries.length)
    if (previousIndex <= disk.previousIndex) return
    const count = previousIndex - disk.previousIndex
    disk.previousTerm = disk.entries[count - 1]!.term
    disk.entries.splice(0, count)
    disk.previousIndex = previousIndex
    this.entries.splice(0, Math.max(previousIndex - this.previousIndex, 0))
    this.previousIndex = Math.max(this.previousIndex, previousIndex)
    this.step({ _tag: "Applied", index: this.applied.length }, now)
    this.step({ _tag: "Compacted", index: previousIndex }, now)
  }

  /** The receiver of a snapshot has taken it, or it was given up. */
  snapshotSent(peer: MemberId, delivered: boolean, now: number): void {
    const position = this.transfers.findIndex((transfer) => transfer.peer === peer)
    const [transfer] = this.transfers.splice(position, 1)
    this.step({ _tag: "SnapshotSent", peer, index: transfer!.index, delivered }, now)
  }

  /** Position before the first entry in `entries`. */
  previousIndex: LogIndex = 0

  /** The entry at `index`, from the log or from the state. */
  entryAt(index: LogIndex): LogEntry | undefined {
    return index <= this.previousIndex ? this.applied[index - 1] : this.entries[index - this.previousIndex - 1]
  }

  /** The commands of a proposal group of this member. */
  labelsOf(group: number): ReadonlyArray<string> {
    return this.labels.get(group)!
  }

  /** The log's labels with terms, such as `C@1 N@2 a@2`. */
  get trace(): string {
    return this.entries.map(({ label, term }) => `${label}@${term}`).join(" ")
  }

  state(): State {
    let { configuration, configurationIndex } = emptyState
    for (const entry of this.applied) {
      if (entry.configuration === undefined) continue
      configuration = entry.configuration
      configurationIndex = entry.index
    }
    return {
      index: this.applied.length,
      term: this.applied.at(-1)?.term ?? 0,
      configuration,
      configurationIndex,
      applied: this.applied.slice()
    }
  }

  private recover(now: number, jitter: number): Core {
    const { disk } = this
    const { state } = disk
    const last = disk.previousIndex + disk.entries.length
    const term = state.index === disk.previousIndex
      ? disk.previousTerm
      : disk.entries[state.index - disk.previousIndex - 1]?.term
    if (state.index > last || term !== state.term) this.resetDisk(disk, state.index, state.term)
    this.entries = [...disk.entries]
    this.previousIndex = disk.previousIndex
    this.applied = [...state.applied]
    const termRuns: Array<{ index: LogIndex; term: Term }> = []
    for (const { index, term } of this.entries) if (termRuns.at(-1)?.term !== term) termRuns.push({ index, term })
    return new Core({
      id: this.id,
      settings: this.settings,
      witness: this.witness,
      hardState: disk.hardState,
      log: new LogShape({
        previousIndex: disk.previousIndex,
        previousTerm: disk.previousTerm,
        lastIndex: disk.previousIndex + disk.entries.length,
        termRuns
      }),
      appliedIndex: state.index,
      configurations: [
        { index: state.configurationIndex, configuration: state.configuration },
        ...this.entries
          .filter((entry) => entry.configuration !== undefined && entry.index > state.configurationIndex)
          .map((entry) => ({ index: entry.index, configuration: entry.configuration! }))
      ],
      now,
      jitter
    })
  }

  private resetDisk(disk: Disk, index: LogIndex, term: Term): void {
    disk.entries = []
    disk.previousIndex = index
    disk.previousTerm = term
  }

  private settle(): void {
    const { core } = this
    const out = core.settle()
    this.watcher?.decides(this, out)
    const first = core.writeNumber - out.writes.length + 1
    out.writes.forEach((write, position) => {
      const number = first + position
      switch (write._tag) {
        case "HardState":
          this.pending.push({ number, apply: (disk) => void (disk.hardState = { term: write.term, vote: write.vote }) })
          break
        case "Proposed": {
          const labels = this.labels.get(write.group)!
          this.append(
            number,
            labels.map((label, offset) => ({
              index: write.firstIndex + offset,
              term: write.term,
              kind: EntryKind.Command,
              bytes: commandBytes,
              label
            }))
          )
          this.accepted.push(...labels)
          break
        }
        case "Own":
          this.append(number, [{
            index: write.index,
            term: write.term,
            kind: write.configuration === undefined ? EntryKind.Noop : EntryKind.Configuration,
            bytes: 0,
            label: write.configuration === undefined ? "N" : "C",
            ...(write.configuration === undefined ? {} : { configuration: write.configuration })
          }])
          break
        case "Received":
          this.append(number, write.entries as ReadonlyArray<LogEntry>)
          break
        case "Reset":
          this.entries = []
          this.previousIndex = write.index
          this.pending.push({ number, apply: (disk) => this.resetDisk(disk, write.index, write.term) })
      }
    })
    this.reads.push(...out.reads)
    this.settled.push(...out.settled)
    this.refusals.push(...out.refusals)
    for (const id of out.silent) this.silences.push(`silent ${Number.parseInt(id, 16)}`)
    for (const id of out.heardAgain) this.silences.push(`heard ${Number.parseInt(id, 16)}`)
    this.removed ||= out.removed
    this.held.push(...out.messages)
    const ready = this.held.filter(({ after }) => after <= core.writtenNumber)
    this.held = this.held.filter(({ after }) => after > core.writtenNumber)
    const permits = [...out.permits]
    const offers = [...out.offers]
    const snapshots = [...out.snapshots]
    for (const { message, to } of ready) {
      if (message._tag === "VoteReply" || message.term >= core.term) this.outbox({ from: this.id, to, message })
    }
    while (this.applied.length < core.applicableIndex) this.applied.push(this.entryAt(this.applied.length + 1)!)
    for (const peer of snapshots) this.offerSnapshot(peer)
    for (const permit of permits) {
      if (this.keepPermits) this.permits.push(permit)
      else this.use(permit)
    }
    for (const { index, snapshot } of offers) {
      const state = this.offered.get(snapshot)
      if (state !== undefined && index > this.applied.length) this.install(state)
    }
  }

  /** What a replicator does with a permit. */
  use(permit: Permit): void {
    const entries: Array<LogEntry> = []
    let bytes = 0
    for (let index = permit.previousIndex + 1; index <= permit.to; index++) {
      const entry = this.entries[index - this.previousIndex - 1]
      if (entry === undefined || (entries.length > 0 && bytes + entry.bytes > permit.bytesMax)) break
      bytes += entry.bytes
      entries.push(entry)
    }
    if (entries.length === 0 && permit.to > permit.previousIndex) {
      return this.step({ _tag: "Unsent", peer: permit.peer }, this.core.now)
    }
    this.outbox({
      from: this.id,
      to: permit.peer,
      message: {
        _tag: "Append",
        term: permit.term,
        previousIndex: permit.previousIndex,
        previousTerm: permit.previousTerm,
        commit: permit.commit,
        entries
      }
    })
    this.step(
      { _tag: "Sent", peer: permit.peer, permit: permit.permit, to: permit.previousIndex + entries.length, bytes },
      this.core.now
    )
  }

  private offerSnapshot(peer: MemberId): void {
    const state = this.state()
    this.transfers.push({ peer, index: state.index, term: this.core.term })
    this.outbox({
      from: this.id,
      to: peer,
      message: {
        _tag: "SnapshotOffer",
        term: this.core.term,
        snapshot: this.nextSnapshot++,
        index: state.index,
        indexTerm: state.term
      },
      state
    })
  }

  /** The state is replaced, durably; then the core is told. */
  private install(state: State): void {
    this.disk.state = state
    this.applied = [...state.applied]
    this.step(
      {
        _tag: "SnapshotInstalled",
        index: state.index,
        term: state.term,
        configuration: state.configuration,
        configurationIndex: state.configurationIndex
      },
      this.core.now
    )
  }

  private append(number: number, entries: ReadonlyArray<LogEntry>): void {
    const first = entries[0]!.index
    this.entries.length = first - 1 - this.previousIndex
    this.entries.push(...entries)
    this.pending.push({
      number,
      apply: (disk) => {
        disk.entries.length = first - 1 - disk.previousIndex
        disk.entries.push(...entries)
      }
    })
  }
}
