/** What has gone wrong, or nearly: each test is named after the symptom. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { Changes } from "../src/Changes.ts"
import { EntryKind } from "../src/core/Entry.ts"
import * as Entry from "../src/Entry.ts"
import { EntryCache } from "../src/EntryCache.ts"
import * as Limits from "../src/Limits.ts"
import type { Member } from "../src/Member.ts"
import { Proposals } from "../src/Proposals.ts"
import * as Timer from "../src/roles/Timer.ts"
import * as Wakeup from "../src/Wakeup.ts"
import * as Cluster from "./support/Cluster.ts"
import { bytes } from "./support/Register.ts"
import { Script } from "./support/Script.ts"

const { passing } = Cluster

const tag = { append: 3, snapshotOffer: 10, snapshotChunk: 21 } as const

describe("callers", () => {
  it.effect("a proposal whose deadline passed before its turn never takes effect", () =>
    Effect.gen(function*() {
      const proposals = new Proposals(yield* Wakeup.make, 1)
      const answers: Array<unknown> = []
      assert.isUndefined(proposals.add([bytes("a")], "Commands", 0, 10, (exit) => answers.push(exit._tag)))
      proposals.add([bytes("b")], "Commands", 0, 1000, (exit) => answers.push(exit._tag))
      proposals.expire(20)
      assert.deepStrictEqual(answers, ["Failure"])
      assert.deepStrictEqual(proposals.take().map(({ deadline }) => deadline), [1000])
    }))

  it.effect("a change of membership whose deadline passed before its turn never takes effect", () =>
    Effect.gen(function*() {
      const changes = new Changes(yield* Wakeup.make, 1)
      const answers: Array<unknown> = []
      changes.add({ _tag: "Transfer", to: "" }, 10, (refusal) => answers.push(refusal))
      changes.expire(20)
      assert.deepStrictEqual(answers, ["NoLeader"])
      assert.deepStrictEqual(changes.take(), [])
    }))

  it.effect("a group that fits no frame is refused, instead of waiting for a leader that can never get it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1])
      const leader = yield* cluster.elected
      const half = new Uint8Array(Limits.groupBytesMax / 2 + 1)
      const error = yield* passing(Effect.flip(leader.node.propose([half, half])))
      assert.strictEqual(error.reason, "TooLarge")
    }))

  it.effect("a reader goes on when a snapshot brings what it waits for, though nothing more is written", () =>
    Effect.gen(function*() {
      const { cluster, late } = yield* behind
      cluster.network.heal()
      yield* TestClock.adjust(10)
      yield* passing(late.node.readBarrier({ timeoutMillis: 5000 }))
      assert.strictEqual(late.register.commands.length, 50)
    }))
})

/** A member that needs a snapshot, cut off. */
const behind = Effect.gen(function*() {
  const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 0, compactAfterBytes: 1 })
  const leader = yield* cluster.elected
  const late = [...cluster.running.values()].find((member) => member !== leader)!
  cluster.network.isolate(late.id)
  yield* TestClock.adjust(1500)
  for (let count = 0; count < 50; count++) yield* passing(cluster.propose(leader, `v${count}`))
  yield* TestClock.adjust(1000)
  return { cluster, leader, late }
})

describe("snapshots and the log", () => {
  it.effect("a crash between the snapshot and the log's reset is completed on start, where the log is longer but differs", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const number = [...cluster.running.keys()].find((number) => cluster.running.get(number) !== leader)!
      const member = cluster.running.get(number)!
      for (const value of ["a", "b", "c"]) yield* passing(cluster.propose(leader, value))
      yield* TestClock.adjust(500)
      yield* member.stop
      // Its own log has entries of a leader that nobody else ever heard, in the place of what the snapshot brought.
      const { log } = member
      const own = Array.from({ length: 20 }, (_, at) => Entry.make(2 + at, 1, EntryKind.Command, bytes(`lost-${at}`)))
      log.entries = [...log.entries.slice(0, 1), ...own]
      yield* cluster.start(number, member)
      yield* passing(cluster.propose(leader, "d"))
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(member.register.commands, ["a", "b", "c", "d"])
    }))

  it.effect("after its snapshot a member gets the rest from the log, however much was written meanwhile", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind
      const offered = new Set<string>()
      let held = true
      let slow = true
      cluster.network.filter = (_, to, frame) => {
        if (to !== late.id) return true
        if (held && frame[0] === tag.snapshotChunk) return false
        if (frame[0] === tag.snapshotOffer) offered.add(frame.slice(9, 17).toString())
        return !(slow && frame[0] === tag.append)
      }
      cluster.network.heal()
      yield* cluster.eventually(Effect.sync(() => offered.size > 0 ? Option.some(true) : Option.none()))
      yield* passing(cluster.propose(leader, "meanwhile"))
      held = false
      yield* cluster.eventually(
        Effect.sync(() => late.register.commands.length === 50 ? Option.some(true) : Option.none())
      )
      for (let count = 0; count < 20; count++) yield* passing(cluster.propose(leader, `w${count}`))
      yield* TestClock.adjust(2000)
      slow = false
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.strictEqual(offered.size, 1)
      yield* TestClock.adjust(1000)
      assert.isAbove((yield* leader.node.status).previousIndex, 60, "then the log is let go")
    }))

  it("entries that wait for a slow state machine do not fill the memory once they are durable", () => {
    const cache = new EntryCache()
    const data = new Uint8Array(1024)
    cache.append(Array.from({ length: 100 }, (_, at) => Entry.make(1 + at, 1, EntryKind.Command, data)))
    cache.evict(40, 10 * 1024, 1000)
    assert.isUndefined(cache.read(40, 100, Infinity, Infinity), "durable")
    assert.strictEqual(cache.read(41, 100, Infinity, Infinity)!.length, 60, "not durable yet, and nowhere else")
    cache.evict(100, 10 * 1024, 1000)
    assert.strictEqual(cache.read(91, 100, Infinity, Infinity)!.length, 10)
  })
})

describe("replication", () => {
  it.effect("a backlog of tiny commands is cut by their number too, or it would fit no frame", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const late = [...cluster.running.values()].find((member) => member !== leader)!
      cluster.network.isolate(late.id)
      const group = new Array<Uint8Array>(Limits.groupCommandsMax).fill(new Uint8Array(0))
      yield* passing(leader.node.propose(group))
      yield* passing(leader.node.propose(group))
      let largest = 0
      cluster.network.filter = (_, to, frame) => {
        if (to === late.id && frame[0] === tag.append) {
          largest = Math.max(largest, new DataView(frame.buffer, frame.byteOffset).getUint32(33))
        }
        return true
      }
      cluster.network.heal()
      yield* cluster.eventually(
        Effect.sync(() => late.register.commands.length === 2 * group.length ? Option.some(true) : Option.none())
      )
      assert.isAtMost(largest, Limits.messageEntriesMax)
    }))
})

describe("leadership", () => {
  it.effect("a timer notices within a heartbeat that its deadline has come nearer, as when the link to the leader breaks", () =>
    Effect.gen(function*() {
      const inputs: Array<string> = []
      let deadline = 2000
      const clock = yield* Clock.Clock
      const member = {
        clock,
        core: { settings: { heartbeatMillis: 100 } },
        mailbox: { complete: ({ _tag }: { readonly _tag: string }) => void inputs.push(_tag) }
      } as unknown as Member
      yield* Effect.forkScoped(Timer.run(member, () => deadline, { _tag: "ElectionTimer" }))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(inputs, [])
      deadline = 510
      yield* TestClock.adjust(100)
      assert.include(inputs, "ElectionTimer")
    }))

  it("a voter that leaves is reached until the final configuration, because the joint one may need its vote", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    script.change(1, { _tag: "Leave", id: Cluster.idOf(3), force: false })
    const ids = () => script.core(1).configuration.members.map(({ id }) => id)
    assert.deepStrictEqual(script.core(1).configuration.outgoing, [1, 2, 3].map(Cluster.idOf))
    assert.include(ids(), Cluster.idOf(3))
    script.run()
    assert.deepStrictEqual(ids(), [Cluster.idOf(1), Cluster.idOf(2)])
  })

  it("a leader whose disk hangs gives way within two election timeouts to those whose disks work, and does not come back", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    script.stalled.add(1)
    script.propose(1, "a")
    script.run()
    script.pass(900)
    assert.strictEqual(script.core(1).role, "Leader", "it may be slow only")
    script.pass(1100)
    assert.notStrictEqual(script.core(1).role, "Leader")
    const leaders = [2, 3].filter((number) => script.core(number).role === "Leader")
    assert.strictEqual(leaders.length, 1)
    script.pass(5000)
    assert.strictEqual(script.core(leaders[0]!).role, "Leader")
    script.stalled.clear()
    script.run()
    script.pass(500)
    const applied = (number: number) => script.node(number).applied.map(({ label }) => label)
    assert.deepStrictEqual(applied(1), applied(leaders[0]!))
  })

  it("a leader whose disk hangs stays as long as nobody else is better off", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    for (const number of [1, 2, 3]) script.stalled.add(number)
    script.propose(1, "a")
    script.run()
    script.pass(5000)
    assert.strictEqual(script.core(1).role, "Leader")
  })
})
