/**
 * Three pure cores in one loop: messages are handed over as objects, writes and applications are done as soon as they are asked for. What is left
 * is the protocol's own arithmetic. Synchronous and deterministic.
 */
import { Configuration } from "@dkv/raft"
import type { EntryKind, MemberId } from "@dkv/raft"
import { Core } from "@dkv/raft/core/Core"
import type { EntryHead } from "@dkv/raft/core/Entry"
import type { Input } from "@dkv/raft/core/Input"
import { LogShape } from "@dkv/raft/core/LogShape"
import type { Outputs } from "@dkv/raft/core/Output"

const ids: ReadonlyArray<MemberId> = ["0000000000000001", "0000000000000002", "0000000000000003"]

const configuration: Configuration.Configuration = {
  ...Configuration.empty,
  members: ids.map((id, index) => ({
    id,
    name: `dkv-${index}`,
    peerAddress: `peer-${index}`,
    clientAddress: "",
    autoPromote: false,
    witness: false,
    priority: 0
  })),
  voters: ids
}

const command: EntryKind = 1

/** A core, what waits for it, and what the loop knows of its log. */
interface Node {
  readonly core: Core
  inputs: Array<Input>
  /** Heads of the entries behind `headsFrom`; the loop's stand-in for the log store's cache. */
  heads: Array<EntryHead>
  headsFrom: number
  appliedIndex: number
}

export class CoreCluster {
  private readonly nodes: ReadonlyArray<Node>
  private readonly byId: ReadonlyMap<MemberId, Node>
  private readonly commandBytes: number
  private now = 0
  private group = 0

  constructor(commandBytes: number) {
    this.commandBytes = commandBytes
    this.nodes = ids.map((id) => ({
      core: new Core({
        id,
        settings: {
          electionTimeoutMillis: 1000,
          heartbeatMillis: 100,
          commitDelayMillis: 0,
          windowMessagesMax: 64,
          windowBytesMax: 8 * 1024 * 1024,
          messageBytesMax: 1024 * 1024,
          messageEntriesMax: 65_536,
          pendingAppendsMax: 100_000,
          uncommittedBytesMax: 64 * 1024 * 1024
        },
        hardState: { term: 1, vote: "" },
        log: new LogShape({ previousIndex: 0, previousTerm: 0, lastIndex: 1, termRuns: [{ index: 1, term: 1 }] }),
        appliedIndex: 0,
        configurations: [{ index: 1, configuration }],
        now: 0,
        jitter: id === ids[0] ? 0 : 0.9
      }),
      inputs: [],
      heads: [{ index: 1, term: 1, kind: 2, bytes: 0, configuration }],
      headsFrom: 1,
      appliedIndex: 0
    }))
    this.byId = new Map(this.nodes.map((node) => [node.core.id, node]))
  }

  /** Lets the first member stand for election and runs until it leads and has committed an entry. */
  elect(): void {
    const first = this.nodes[0]!
    this.now = first.core.electionDeadline + 1
    first.inputs.push({ _tag: "ElectionTimer" })
    for (let turn = 0; turn < 100 && !(first.core.role === "Leader" && first.core.commitIndex > 1); turn++) this.turn()
    if (first.core.role !== "Leader") throw new Error("the cores elected nobody")
  }

  /** Proposes `count` commands, each as a group of its own, to the leader. */
  propose(count: number): void {
    const { inputs } = this.nodes[0]!
    for (let index = 0; index < count; index++) {
      inputs.push({ _tag: "Propose", group: ++this.group, count: 1, bytes: this.commandBytes })
    }
  }

  /** Commands that the leader has applied. */
  get applied(): number {
    return this.nodes[0]!.appliedIndex
  }

  /** Every core takes what waits for it, once. A millisecond goes by. */
  turn(): void {
    this.now += 1
    for (const node of this.nodes) {
      const { core, inputs } = node
      if (inputs.length === 0) continue
      node.inputs = []
      core.begin(this.now, 0.5)
      for (const input of inputs) core.step(input)
      this.carryOut(node, core.settle())
    }
  }

  private carryOut(node: Node, out: Outputs): void {
    const { core } = node
    for (const write of out.writes) {
      if (write._tag === "Proposed") {
        for (let at = 0; at < write.count; at++) {
          node.heads.push({ index: write.firstIndex + at, term: write.term, kind: command, bytes: this.commandBytes })
        }
      } else if (write._tag === "Own") {
        node.heads.push({ index: write.index, term: write.term, kind: 0, bytes: 0 })
      } else if (write._tag === "Received") {
        for (const entry of write.entries) node.heads.push(entry)
      }
    }
    if (core.writeNumber > core.writtenNumber) node.inputs.push({ _tag: "Written", number: core.writeNumber })
    for (const { message, to } of out.messages) {
      this.byId.get(to)!.inputs.push({ _tag: "Message", from: core.id, message })
    }
    for (const permit of out.permits) {
      const entries: Array<EntryHead> = []
      let bytes = 0
      for (let index = permit.previousIndex + 1; index <= permit.to && bytes < permit.bytesMax; index++) {
        const entry = node.heads[index - node.headsFrom]!
        entries.push(entry)
        bytes += entry.bytes
      }
      const { commit, peer, previousIndex, previousTerm, term } = permit
      const to = previousIndex + entries.length
      node.inputs.push({ _tag: "Sent", peer, permit: permit.permit, to, bytes })
      this.byId.get(peer)!.inputs.push({
        _tag: "Message",
        from: core.id,
        message: { _tag: "Append", term, previousIndex, previousTerm, commit, entries }
      })
    }
    if (core.applicableIndex > node.appliedIndex) {
      node.appliedIndex = core.applicableIndex
      node.inputs.push({ _tag: "Applied", index: node.appliedIndex })
      this.forget(node)
    }
  }

  /** Drops heads that every member has, now and then. */
  private forget(node: Node): void {
    const everywhere = Math.min(...this.nodes.map((other) => other.appliedIndex))
    if (everywhere - node.headsFrom < 65_536) return
    node.heads = node.heads.slice(everywhere - node.headsFrom)
    node.headsFrom = everywhere
  }
}
