/**
 * The safety properties of Raft (figure 3 of the paper) under random loss, delay, duplication, reordering, members that are cut off, crashes that lose unsynced
 * writes, and membership changes, over the pure core. One seed, one run.
 */
import { assert, describe, it } from "vitest"
import * as Configuration from "../../src/core/Configuration.ts"
import { EntryKind } from "../../src/core/Entry.ts"
import type { MemberId } from "../../src/core/Entry.ts"
import { configurationOf, idOf, memberOf, witnessOf } from "../support/Cluster.ts"
import type { Envelope } from "../support/Cores.ts"
import { Node } from "../support/Cores.ts"
import { LogProperties } from "../support/LogProperties.ts"

const random = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

interface Faults {
  readonly loss: number
  readonly duplicate: number
  readonly cut: number
  readonly crash: number
  readonly change: number
  readonly compact: number
}

const noFaults: Faults = { loss: 0, duplicate: 0, cut: 0, crash: 0, change: 0, compact: 0 }

export class World {
  readonly nodes = new Map<MemberId, Node>()
  readonly committed: Array<{ readonly term: number; readonly label: string }> = []
  readonly leaders = new Map<number, MemberId>()
  private readonly logs = new LogProperties()
  wire: Array<Envelope> = []
  now = 0
  commands = 0
  elections = 0
  changes = 0
  readonly next: () => number
  private readonly witnesses: ReadonlyArray<number>
  /** Hears and reaches nobody. */
  private cutOff: MemberId | undefined

  constructor(seed: number, members: number, spares: number, witnesses: ReadonlyArray<number> = []) {
    this.next = random(seed)
    this.witnesses = witnesses
    const founding = configurationOf(...Array.from({ length: members }, (_, position) => position + 1))
    const configuration = { ...founding, members: founding.members.map(({ id }) => this.memberOf(id)) }
    for (let number = 1; number <= members + spares; number++) {
      this.nodes.set(
        idOf(number),
        new Node(
          idOf(number),
          number <= members ? configuration : Configuration.empty,
          (envelope) => this.wire.push(envelope),
          0,
          this.next(),
          {},
          witnesses.includes(number)
        )
      )
    }
  }

  private memberOf(id: MemberId): ReturnType<typeof memberOf> {
    const number = Number.parseInt(id, 16)
    return this.witnesses.includes(number) ? witnessOf(number, true) : memberOf(number, true)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<A>(from: ReadonlyArray<A>): A {
    return from[Math.floor(this.next() * from.length)]!
  }

  tick(faults: Faults): void {
    this.now += Math.floor(this.next() * 40)
    const all = [...this.nodes.values()]
    if (faults.cut === 0) this.cutOff = undefined
    else if (this.chance(faults.cut)) {
      const leader = all.find(({ core }) => core.role === "Leader")
      this.cutOff = this.pick([undefined, leader, this.pick(all)])?.id
    }
    for (const node of all) {
      const { core } = node
      const jitter = this.next()
      if (this.now >= core.electionDeadline) node.step({ _tag: "ElectionTimer" }, this.now, jitter)
      if (this.now >= core.heartbeatDeadline) node.step({ _tag: "HeartbeatTimer" }, this.now, jitter)
      if (this.now >= core.commitDeadline) node.step({ _tag: "CommitTimer" }, this.now, jitter)
      if (this.now >= core.quorumDeadline) node.step({ _tag: "QuorumTimer" }, this.now, jitter)
      if (this.chance(0.7)) node.sync(this.now, 1 + Math.floor(this.next() * 3))
      this.check()
    }
    for (let count = Math.ceil(this.wire.length * 0.7); count > 0; count--) {
      const position = this.chance(0.7) ? 0 : Math.floor(this.next() * this.wire.length)
      const [envelope] = this.chance(faults.duplicate) ? [this.wire[position]!] : this.wire.splice(position, 1)
      if (envelope === undefined || this.chance(faults.loss)) continue
      if (envelope.from === this.cutOff || envelope.to === this.cutOff) continue
      const node = this.nodes.get(envelope.to)
      node?.receive(envelope, this.now, this.next())
      this.check()
    }
    for (const node of all) {
      const [transfer] = node.transfers
      if (transfer === undefined) continue
      const arrived = this.nodes.get(transfer.peer)!.applied.length >= transfer.index
      if (arrived ? this.chance(0.5) : this.chance(0.05)) node.snapshotSent(transfer.peer, arrived, this.now)
    }
    if (this.chance(faults.compact)) {
      const node = this.pick(all)
      node.compact(node.applied.length - Math.floor(this.next() * 3), this.now)
    }
    if (this.chance(faults.crash)) this.pick(all).crash(this.now, this.next())
    const leader = all.filter((node) => node.core.role === "Leader")
    if (leader.length > 0 && this.chance(0.5)) {
      this.pick(leader).propose([`x${++this.commands}`, `y${this.commands}`], this.now)
    }
    if (leader.length > 0 && this.chance(faults.change)) this.change(this.pick(leader))
    this.check()
  }

  private change(node: Node): void {
    const id = ++this.changes
    const target = this.pick([...this.nodes.keys()])
    const { configuration } = node.core
    const present = configuration.members.some((member) => member.id === target)
    if (!present) {
      node.step({ _tag: "ChangeMembership", id, change: { _tag: "Join", member: this.memberOf(target) } }, this.now)
    } else if (configuration.voters.length > 2 && this.chance(0.5)) {
      node.step({ _tag: "ChangeMembership", id, change: { _tag: "Leave", id: target, force: false } }, this.now)
    } else node.step({ _tag: "Transfer", id, to: target }, this.now)
  }

  check(): void {
    for (const node of this.nodes.values()) {
      const { core } = node
      if (core.role === "Leader") {
        assert.isFalse(core.witness, "a witness leads")
        const known = this.leaders.get(core.term)
        if (known === undefined) {
          this.leaders.set(core.term, node.id)
          this.elections++
          const missing = this.committed.findIndex((entry, position) => node.entryAt(position + 1)?.term !== entry.term)
          assert.strictEqual(
            missing,
            -1,
            `leader completeness: ${node.id} leads term ${core.term} without entry ${missing + 1}`
          )
        } else assert.strictEqual(known, node.id, `election safety in term ${core.term}`)
      }
      for (; node.checked < node.applied.length; node.checked++) {
        const position = node.checked
        const entry = node.applied[position]!
        const known = this.committed[position]
        if (known === undefined) this.committed.push({ term: entry.term, label: entry.label })
        else if (known.term !== entry.term || known.label !== entry.label) {
          assert.fail(
            `state machine safety at ${position + 1}: ${known.label}@${known.term} and ${entry.label}@${entry.term}`
          )
        }
      }
      if (core.commitIndex > core.log.lastIndex || core.log.lastIndex !== node.previousIndex + node.entries.length) {
        assert.fail(`the log of ${node.id}`)
      }
    }
  }

  checkLogs(): void {
    this.logs.check([...this.nodes.values()])
  }

  /** No more faults: somebody must lead, commit, and bring everyone who takes part to the same log. */
  heal(): void {
    for (let round = 0; round < 600; round++) this.tick(noFaults)
    const leaders = [...this.nodes.values()].filter((node) => node.core.role === "Leader")
    assert.isAtLeast(leaders.length, 1, "liveness: a leader after the faults have ended")
    const leader = leaders.reduce((best, node) => node.core.term > best.core.term ? node : best)
    const before = leader.core.commitIndex
    for (let round = 0; round < 100; round++) this.tick(noFaults)
    assert.isAbove(leader.core.commitIndex, before, "liveness: the leader commits")
    const { members } = leader.core.configuration
    for (const { id } of members) {
      assert.isAtLeast(
        this.nodes.get(id)!.core.commitIndex,
        before,
        `liveness: ${id} has what the leader had committed`
      )
    }
    this.checkLogs()
  }
}

describe("safety of the core", () => {
  const seeds = Number(process.env["DKV_SEEDS"] ?? 60)
  const first = Number(process.env["DKV_SEED"] ?? 1)
  const clusters: ReadonlyArray<readonly [members: number, witnesses: ReadonlyArray<number>]> = [
    [1, []],
    [2, []],
    [3, []],
    [5, []],
    [3, [3]],
    [3, [2, 3, 4]],
    [5, [4, 5]]
  ]
  for (const [members, witnesses] of clusters) {
    const described = witnesses.length === 0
      ? `${members} members`
      : `${members} members, with ${witnesses} as witnesses,`
    it(`holds for ${described} under loss, delay, duplication, reordering, cuts and crashes`, () => {
      for (let seed = first; seed < first + seeds; seed++) {
        const world = new World(seed * 7919 + members, members, 2, witnesses)
        const faults = {
          loss: world.pick([0, 0.05, 0.3]),
          duplicate: world.pick([0, 0.1]),
          cut: world.pick([0, 0.01, 0.05]),
          crash: world.pick([0, 0.01, 0.05]),
          change: world.pick([0, 0.02, 0.1]),
          compact: world.pick([0, 0.05, 0.3])
        }
        try {
          for (let round = 0; round < 500; round++) {
            world.tick(faults)
            if (round % 25 === 0) world.checkLogs()
          }
          world.heal()
        } catch (error) {
          throw new Error(`seed ${seed}, ${described} ${JSON.stringify(faults)}`, { cause: error })
        }
        assert.isTrue(
          world.committed.some((entry) => entry.label !== "N" && entry.label !== "C"),
          `seed ${seed}: something committed`
        )
      }
    })
  }

  it("kinds of entries are what the log says they are", () => {
    assert.strictEqual(EntryKind.Configuration, 2)
  })
})
