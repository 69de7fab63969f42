/**
 * What happens in a scenario, as lines: a cause at the left margin, and behind it, indented, what follows from it at that member.
 *
 *     at 1500 ms                               time has passed
 *     1 election timer                         also: contact, heartbeat, quorum, commit timer
 *     1->2 Append term=2 2@2 [x@2] commit=2    the message arrives, and what follows happens at 2; `lost` if it does not arrive
 *     2 synced #3                              writes up to number 3 are durable
 *       is Follower term=2 vote=1 leader=1     role, term, vote or leader changed
 *       truncate 3                             entries from 3 on are gone
 *       write #3 3 [x@2]                       ordered, not yet durable: entries from index 3 on, or term and vote
 *       config voters=1,2,4 outgoing=1,2,3     in force from now on
 *       commit 3
 *       read 7 index=3                         may go ahead once 3 is applied; `ask again` if nobody confirmed it
 *       settled 1 done / settled 1 NoQuorum    how a change or transfer ended
 *       refuse 1 Busy / forward 1              a proposal group that was not appended here
 *       snapshot for 3 / take snapshot 1       the leader makes one / the follower takes what was offered
 *       send 1 AppendReply term=2 match=3      on the wire; what must wait for a write is shown when it leaves
 *       apply 3 [x@2]
 *       removed / stops: why                   no longer a member / an invariant is violated
 */
import type { Configuration } from "../../src/core/Configuration.ts"
import type { RoleName } from "../../src/core/Core.ts"
import type { LogIndex } from "../../src/core/Entry.ts"
import type { Change, Input } from "../../src/core/Input.ts"
import type { Outputs } from "../../src/core/Output.ts"
import type { Envelope, Node } from "../support/Cores.ts"
import type { Onlooker, Script } from "../support/Script.ts"
import { numberOf } from "../support/Script.ts"
import * as Notation from "./Notation.ts"

/** What is known of a member, to see what changes. */
interface Known {
  role: string
  configuration: Configuration
  commit: LogIndex
  applied: number
}

export class Trace implements Onlooker {
  private lines: Array<string> = []
  /** Shows milestones only: neither causes nor messages and writes. */
  quiet = false
  private readonly script: Script
  private readonly known = new Map<Node, Known>()
  private now = 0
  private current: Node | undefined

  constructor(script: Script) {
    this.script = script
    for (const node of script.nodes.values()) this.learn(node)
    script.watch(this)
  }

  /** What has been traced since the last call. */
  take(): ReadonlyArray<string> {
    this.finish()
    const lines = this.lines
    this.lines = []
    return lines
  }

  /** Takes note of a member as it is, without a word. */
  learn(node: Node): void {
    const { commitIndex, configuration } = node.core
    this.known.set(node, {
      role: Notation.role(node),
      configuration,
      commit: commitIndex,
      applied: node.applied.length
    })
  }

  show(line: string): void {
    this.lines.push(line)
  }

  cause(text: string): void {
    this.finish()
    if (this.quiet) return
    if (this.script.now !== this.now) this.lines.push(`at ${this.script.now} ms`)
    this.now = this.script.now
    this.lines.push(text)
  }

  milestone(node: Node, text: string): void {
    this.lines.push(this.quiet ? `${Notation.name(node.id)} ${text}` : `  ${text}`)
  }

  /** The last member that did anything cannot go on. */
  stops(reason: string): number {
    const node = this.current!
    this.milestone(node, `stops: ${reason}`)
    this.learn(node)
    return numberOf(node.id)
  }

  takes(node: Node, inputs: ReadonlyArray<Input>): void {
    this.current ??= node
    for (const input of inputs) {
      if (input._tag === "SnapshotInstalled") this.known.get(node)!.applied = node.applied.length
      const text = cause(input, Notation.name(node.id), node.core.role)
      if (text === undefined) continue
      this.cause(text)
      this.current = node
    }
  }

  decides(node: Node, out: Outputs): void {
    const { core } = node
    const known = this.known.get(node)!
    const role = Notation.role(node)
    if (role !== known.role) this.milestone(node, `is ${role}`)
    if (out.truncatedFrom > 0) this.detail(`truncate ${out.truncatedFrom}`)
    const first = core.writeNumber - out.writes.length + 1
    out.writes.forEach((write, offset) => this.detail(`write #${first + offset} ${Notation.write(write, node)}`))
    if (core.configuration !== known.configuration) {
      this.milestone(node, `config ${Notation.configuration(core.configuration)}`)
    }
    if (core.commitIndex !== known.commit) this.milestone(node, `commit ${core.commitIndex}`)
    for (const { id, index } of out.reads) this.milestone(node, `read ${id} ${Notation.readAt(index)}`)
    for (const { id, leader, refusal } of out.settled) {
      this.milestone(node, `settled ${id} ${refusal ?? `done leader=${Notation.name(leader)}`}`)
    }
    for (const { group, reason } of out.refusals) this.milestone(node, `refuse ${group} ${reason}`)
    for (const group of out.forwards) this.milestone(node, `forward ${group}`)
    for (const peer of out.snapshots) this.detail(`snapshot for ${Notation.name(peer)}`)
    for (const { snapshot } of out.offers) this.detail(`take snapshot ${snapshot}`)
    if (out.removed) this.milestone(node, "removed")
    this.known.set(node, {
      role,
      configuration: core.configuration,
      commit: core.commitIndex,
      applied: known.applied
    })
  }

  sends({ message, to }: Envelope): void {
    this.detail(`send ${Notation.name(to)} ${Notation.notation(message)}`)
  }

  loses(envelope: Envelope): void {
    this.cause(`${arrow(envelope)} lost`)
  }

  private detail(text: string): void {
    if (!this.quiet) this.lines.push(`  ${text}`)
  }

  /** What the last member has applied shows when it is done. */
  private finish(): void {
    if (this.current === undefined) return
    const node = this.current
    const known = this.known.get(node)!
    const { length } = node.applied
    if (length > known.applied) {
      const first = known.applied + 1
      const range = first === length ? `${length}` : `${first}..${length}`
      this.detail(`apply ${range} ${Notation.list(node.applied.slice(known.applied))}`)
    }
    known.applied = length
  }
}

export const arrow = ({ from, message, to }: Envelope): string =>
  `${Notation.name(from)}->${Notation.name(to)} ${Notation.notation(message)}`

/** The line for an input, or nothing for what a member tells itself. */
const cause = (input: Input, self: string, role: RoleName): string | undefined => {
  switch (input._tag) {
    case "Message":
      return `${Notation.name(input.from)}->${self} ${Notation.notation(input.message)}`
    case "Written":
      return `${self} synced #${input.number}`
    case "ElectionTimer":
      return `${self} ${role === "Learner" ? "contact" : "election"} timer`
    case "HeartbeatTimer":
      return `${self} heartbeat timer`
    case "QuorumTimer":
      return `${self} quorum timer`
    case "CommitTimer":
      return `${self} commit timer`
    case "Propose":
      return `${self} proposal ${input.group}`
    case "Read":
      return `${self} read ${input.id}`
    case "ChangeMembership":
      return `${self} change ${input.id}: ${change(input.change)}`
    case "Transfer":
      return `${self} transfer ${input.id}: to ${input.to === "" ? "the best" : Notation.name(input.to)}`
    case "Unsent":
      return `${self} could not send to ${Notation.name(input.peer)}`
    case "Unreachable":
      return `${self} lost its link to ${Notation.name(input.peer)}`
    case "Connected":
      return `${self} has a link to ${Notation.name(input.peer)}`
    case "SnapshotSent":
      return `${self} snapshot for ${Notation.name(input.peer)} up to ${input.index} ${
        input.delivered ? "delivered" : "given up"
      }`
    case "SnapshotInstalled":
      return `${self} installed ${Notation.position(input.index, input.term)}`
    case "Compacted":
      return `${self} compacted up to ${input.index}`
    case "Applied":
    case "Sent":
      return undefined
  }
}

const change = (change: Change): string => {
  if (change._tag === "Configure") {
    return `configure ${Object.entries(change.settings).map(([name, value]) => `${name}=${value}`).join(" ")}`
  }
  const id = change._tag === "Join" ? change.member.id : change.id
  const forced = (change._tag === "Promote" || change._tag === "Leave") && change.force
  return `${change._tag.toLowerCase()} ${Notation.name(id)}${forced ? " forced" : ""}`
}
