/**
 * Scripted scenarios over pure cores: a handful of numbered members, one wire, and a clock that only the test moves. Writes are durable at once
 * unless the test says otherwise; messages arrive in order unless the test takes them off the wire.
 */
import * as ClusterSettings from "../../src/core/ClusterSettings.ts"
import type { Configuration, Member } from "../../src/core/Configuration.ts"
import * as Configurations from "../../src/core/Configuration.ts"
import type { Core, Settings } from "../../src/core/Core.ts"
import type { LogIndex, MemberId, Term } from "../../src/core/Entry.ts"
import { EntryKind } from "../../src/core/Entry.ts"
import type { Change, Input } from "../../src/core/Input.ts"
import type { Message } from "../../src/core/Message.ts"
import { idOf, memberOf } from "./Cluster.ts"
import type { Envelope, LogEntry, Watcher } from "./Cores.ts"
import { Node } from "./Cores.ts"

type MessageOf<Tag extends Message["_tag"]> = Extract<Message, { readonly _tag: Tag }>

export interface Options {
  /** Numbers of the founding voters. */
  readonly voters: ReadonlyArray<number>
  /** The founding members, if they are to have other names and addresses than the usual ones. */
  readonly founders?: ReadonlyArray<Member>
  /** In the founding configuration, without a vote. */
  readonly learners?: ReadonlyArray<Member>
  /** The voters of before, if the founding configuration is joint. */
  readonly outgoing?: ReadonlyArray<number>
  /** Members that nobody knows yet. */
  readonly spares?: ReadonlyArray<number>
  /** Those of them all that hold no data. */
  readonly witnesses?: ReadonlyArray<number>
  readonly settings?: Partial<Settings>
  /** Of founding voters, by number; 0 for the others. */
  readonly priorities?: { readonly [number: number]: number }
  /** Of the founding configuration, where they differ from the defaults. */
  readonly cluster?: Partial<ClusterSettings.Settings>
}

/** Looks on while a scenario runs. */
export interface Onlooker extends Watcher {
  /** `envelope` is on the wire. */
  readonly sends: (envelope: Envelope) => void
  /** It never arrives. */
  readonly loses: (envelope: Envelope) => void
}

export class Script {
  now = 0
  wire: Array<Envelope> = []
  /** Members whose writes are not durable until the test says so. */
  readonly stalled = new Set<number>()
  /** Members that hear and reach nobody. */
  readonly isolated = new Set<number>()
  /** Links that carry nothing in one direction, such as `1>2`. */
  readonly cuts = new Set<string>()
  /** Members that crashed and have not started again. */
  readonly down = new Set<number>()
  readonly nodes = new Map<number, Node>()
  private changes = 0
  private drawn = 1
  private passing = false
  private onlooker: Onlooker | undefined

  constructor({
    cluster,
    founders,
    learners = [],
    outgoing = [],
    priorities = {},
    settings,
    spares = [],
    voters,
    witnesses = []
  }: Options) {
    const usual = () =>
      [...new Set([...voters, ...outgoing])].map((number) => ({
        ...memberOf(number),
        priority: priorities[number] ?? 0,
        witness: witnesses.includes(number)
      }))
    const members = (founders ?? usual()).concat(learners)
    const founding: Configuration = {
      members,
      voters: voters.map(idOf),
      outgoing: outgoing.map(idOf),
      settings: { ...ClusterSettings.defaults, ...cluster }
    }
    const add = (number: number, configuration: Configuration) =>
      this.nodes.set(
        number,
        new Node(
          idOf(number),
          configuration,
          (envelope) => this.post(envelope),
          this.now,
          0.5,
          settings,
          witnesses.includes(number)
        )
      )
    for (const { id } of members) add(numberOf(id), founding)
    for (const number of spares) add(number, Configurations.empty)
  }

  watch(onlooker: Onlooker): void {
    this.onlooker = onlooker
    for (const node of this.nodes.values()) node.watcher = onlooker
  }

  private post(envelope: Envelope): void {
    this.wire.push(envelope)
    this.onlooker?.sends(envelope)
  }

  node(number: number): Node {
    return this.nodes.get(number)!
  }

  core(number: number): Core {
    return this.node(number).core
  }

  step(number: number, ...inputs: ReadonlyArray<Input>): void {
    this.node(number).stepAll(inputs, this.now)
  }

  /** Gives `message` to `to` as if `from` had sent it. */
  send(from: number, to: number, message: Message): void {
    this.step(to, { _tag: "Message", from: idOf(from), message })
  }

  /** Delivers and syncs until nothing is left to do, or until `done`. */
  run(done: () => boolean = () => false): void {
    for (let turns = 0; turns < 10_000 && !done(); turns++) {
      let idle = true
      for (const [number, node] of this.nodes) {
        if (this.stalled.has(number) || node.pending.length === 0) continue
        idle = false
        node.sync(this.now)
      }
      const envelope = this.wire.shift()
      if (envelope !== undefined) {
        idle = false
        this.deliver(envelope)
      }
      for (const node of this.nodes.values()) {
        if (this.now < node.core.commitDeadline) continue
        idle = false
        node.step({ _tag: "CommitTimer" }, this.now)
      }
      if (idle) return
      if (turns === 9999) throw new Error("the members never come to rest")
    }
  }

  deliver(envelope: Envelope): void {
    const { from, message, to } = envelope
    if (!this.reaches(numberOf(from), numberOf(to))) return this.onlooker?.loses(envelope)
    this.nodes.get(numberOf(to))?.receive(envelope, this.now, this.jitter())
    if (message._tag !== "SnapshotOffer") return
    const sender = this.node(numberOf(from))
    if (sender.transfers.some(({ peer }) => peer === to)) sender.snapshotSent(to, true, this.now)
  }

  private reaches(from: number, to: number): boolean {
    return !this.isolated.has(from) && !this.isolated.has(to) && !this.down.has(to) && !this.cuts.has(`${from}>${to}`)
  }

  /** Takes messages off the wire: those of a kind, from and to whom given. */
  take<Tag extends Message["_tag"]>(
    tag: Tag,
    options: { readonly from?: number; readonly to?: number } = {}
  ): ReadonlyArray<MessageOf<Tag>> {
    const { from, to } = options
    const matches = (envelope: Envelope) =>
      envelope.message._tag === tag && (from === undefined || envelope.from === idOf(from)) &&
      (to === undefined || envelope.to === idOf(to))
    const taken = this.wire.filter(matches)
    this.wire = this.wire.filter((envelope) => !matches(envelope))
    return taken.map(({ message }) => message as MessageOf<Tag>)
  }

  /** Everything on the wire is lost. */
  drop(): void {
    this.wire = []
  }

  /** Time passes, and every timer that comes due fires in its order. Messages are delivered meanwhile. */
  pass(millis: number): void {
    const end = this.now + millis
    this.passing = true
    while (true) {
      const due = this.nextDeadline()
      if (due > end) break
      this.now = Math.max(this.now, due)
      this.fire()
      this.run()
    }
    this.passing = false
    this.now = end
  }

  /** While time passes, different for each member, as in life, and the same in each run. */
  private jitter(): number {
    if (!this.passing) return 0.5
    this.drawn = (Math.imul(this.drawn, 1103515245) + 12345) >>> 0
    return this.drawn / 0x1_0000_0000
  }

  private running(): ReadonlyArray<Node> {
    return [...this.nodes].filter(([number]) => !this.down.has(number)).map(([, node]) => node)
  }

  private nextDeadline(): number {
    let next = Infinity
    for (const { core } of this.running()) {
      const election = core.role === "Leader" ? Infinity : core.electionDeadline
      next = Math.min(next, election, core.heartbeatDeadline, core.quorumDeadline)
    }
    return next
  }

  private fire(): void {
    for (const node of this.running()) {
      const { core } = node
      if (core.role !== "Leader" && this.now >= core.electionDeadline) {
        node.step({ _tag: "ElectionTimer" }, this.now, this.jitter())
      }
      if (this.now >= core.heartbeatDeadline) node.step({ _tag: "HeartbeatTimer" }, this.now)
      if (this.now >= core.quorumDeadline) node.step({ _tag: "QuorumTimer" }, this.now)
    }
  }

  /** The election timer of `number` fires, whatever the others do; what follows is on the wire. */
  timeout(number: number): void {
    this.now = Math.max(this.now, this.core(number).electionDeadline)
    this.step(number, { _tag: "ElectionTimer" })
  }

  /** `number` becomes the leader, if the others let it. */
  elect(number: number): Node {
    this.timeout(number)
    this.run()
    const node = this.node(number)
    if (node.core.role !== "Leader") throw new Error(`member ${number} was not elected: ${node.core.role}`)
    return node
  }

  /** `number` becomes the leader, and nothing that it says as one is delivered. */
  electSilently(number: number): Node {
    this.timeout(number)
    this.run(() => this.core(number).role === "Leader")
    this.drop()
    return this.node(number)
  }

  /** No link, in both directions. */
  cut(one: number, other: number): void {
    this.cuts.add(`${one}>${other}`).add(`${other}>${one}`)
  }

  /** The heartbeat timer of `number` fires. */
  beat(number: number): void {
    this.now = Math.max(this.now, this.core(number).heartbeatDeadline)
    this.step(number, { _tag: "HeartbeatTimer" })
  }

  propose(number: number, ...labels: ReadonlyArray<string>): number {
    return this.node(number).propose(labels, this.now)
  }

  read(number: number, id: number): void {
    this.step(number, { _tag: "Read", id })
  }

  change(number: number, change: Change): number {
    const id = ++this.changes
    this.step(number, { _tag: "ChangeMembership", id, change })
    return id
  }

  transfer(number: number, to: number): number {
    const id = ++this.changes
    this.step(number, { _tag: "Transfer", id, to: to === 0 ? "" : idOf(to) })
    return id
  }

  /** How change `id` ended: its refusal, or "done"; `undefined` while it is under way. */
  outcome(number: number, id: number): string | undefined {
    const settled = this.node(number).settled.find((settled) => settled.id === id)
    return settled === undefined ? undefined : settled.refusal ?? "done"
  }

  crash(number: number): void {
    this.node(number).crash(this.now, 0.5)
  }
}

export const numberOf = (id: MemberId): number => Number.parseInt(id, 16)

/** An append as a leader would send it: `entries` such as `"a@2"` behind (`previousIndex`, `previousTerm`). */
export const append = (
  term: Term,
  previousIndex: LogIndex,
  previousTerm: Term,
  entries: ReadonlyArray<string>,
  commit: LogIndex = 0
): Message => ({
  _tag: "Append",
  term,
  previousIndex,
  previousTerm,
  commit,
  entries: entries.map((entry, position): LogEntry => {
    const [label, entryTerm] = entry.split("@")
    return {
      index: previousIndex + 1 + position,
      term: Number(entryTerm),
      kind: label === "N" ? EntryKind.Noop : EntryKind.Command,
      bytes: 10,
      label: label!
    }
  })
})

/**
 * Member 1 leads term 2, has committed an entry of it, and is in the middle of a joint change from the voters 1, 2, 3 to 1, 4, 5, whose first step, at
 * index 3, nobody has acknowledged.
 */
export const amidJointChange = (cluster: Partial<ClusterSettings.Settings> = {}): Script => {
  const script = new Script({
    cluster,
    voters: [1, 2, 3],
    learners: [
      { ...memberOf(4, true), replaces: idOf(2) },
      { ...memberOf(5, true), replaces: idOf(3) }
    ]
  })
  script.electSilently(1)
  script.node(1).sync(script.now)
  const accepted = { _tag: "AppendReply", term: 2, success: true, index: 2, hintIndex: 0, hintTerm: 0 } as const
  script.step(1, ...[2, 3, 4, 5].map((number): Input => ({ _tag: "Message", from: idOf(number), message: accepted })))
  script.drop()
  const { configuration } = script.core(1)
  if (configuration.voters.join() !== [1, 4, 5].map(idOf).join() || configuration.outgoing.length !== 3) {
    throw new Error("no joint change has begun")
  }
  return script
}

export const join = (number: number, options: Partial<Member> = {}): Change => ({
  _tag: "Join",
  member: { ...memberOf(number), ...options }
})

export const leave = (number: number, force = false): Change => ({ _tag: "Leave", id: idOf(number), force })

export const promote = (number: number, force = false): Change => ({ _tag: "Promote", id: idOf(number), force })
