/** Whole members under virtual time: what callers see when links, disks, leaders and members come and go. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as MetaCodec from "../src/codec/MetaCodec.ts"
import { EntryKind } from "../src/core/Entry.ts"
import * as Entry from "../src/Entry.ts"
import { LogStoreError } from "../src/LogStore.ts"
import { StateMachineError } from "../src/StateMachine.ts"
import * as Cluster from "./support/Cluster.ts"
import { MemoryLog } from "./support/MemoryLog.ts"
import { bytes, Register, text } from "./support/Register.ts"

const { passing } = Cluster

type Running = Cluster.Running
type Members = Effect.Success<ReturnType<typeof Cluster.make>>

/** First bytes of frames. */
const tag = {
  append: 3,
  forward: 16,
  forwardDone: 17,
  snapshotOffer: 10,
  snapshotChunk: 21,
  snapshotProgress: 22
} as const

const followersOf = (cluster: Members, leader: Running): ReadonlyArray<Running> =>
  [...cluster.running.values()].filter((member) => member !== leader)

const numberOf = (member: Running): number => Number.parseInt(member.id, 16)

/** Three members of which one is a follower that lags so far behind that it needs a snapshot. */
const behind = Effect.fnUntraced(function*(commands: number) {
  const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 0, compactAfterBytes: 1 })
  const leader = yield* cluster.elected
  const late = followersOf(cluster, leader)[0]!
  yield* TestClock.adjust(1000)
  cluster.network.isolate(late.id)
  yield* TestClock.adjust(1500)
  const group = Array.from({ length: commands }, (_, count) => bytes(`v${count}`))
  yield* passing(leader.node.propose(group))
  yield* TestClock.adjust(1000)
  assert.isAbove((yield* leader.node.status).previousIndex, commands)
  return { cluster, leader, late }
})

describe("forwarding", () => {
  it.effect("when the link to the leader breaks after a proposal went over it, its outcome is unknown, and it happens at most once", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower, other] = followersOf(cluster, leader)
      cluster.network.filter = (_, to, frame) => !(to === follower!.id && frame[0] === tag.forwardDone)
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(follower!, "a")))
      yield* TestClock.adjust(100)
      assert.isUndefined(call.pollUnsafe())
      cluster.network.sever(leader.id, follower!.id)
      assert.strictEqual((yield* passing(Fiber.join(call))).reason, "Unknown")
      cluster.network.mend(leader.id, follower!.id)
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(other!.register.commands, ["a"])
    }))

  it.effect("what the leader refuses is refused to the caller, with the leader's reason", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower, target] = followersOf(cluster, leader)
      cluster.network.isolate(target!.id)
      yield* Effect.forkChild(Effect.exit(leader.node.transferLeadership(Option.some(target!.id))))
      yield* TestClock.adjust(10)
      const error = yield* passing(Effect.flip(cluster.propose(follower!, "a")))
      assert.strictEqual(error.reason, "Refused")
      assert.deepStrictEqual(leader.register.commands, [])
    }))

  it.effect("without a leader a proposal waits, and fails with NoLeader at its deadline", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [one, other] = followersOf(cluster, leader)
      yield* leader.stop
      yield* other!.stop
      yield* TestClock.adjust(5000)
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(one!, "a", 1000)))
      yield* TestClock.adjust(990)
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust(60)
      assert.strictEqual((yield* Fiber.join(call)).reason, "NoLeader")
    }))

  it.effect("a proposal that waits for a leader goes through when there is one before its deadline", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const member = cluster.running.get(2)!
      const calls = yield* Effect.forkChild(Effect.all(
        [member.node.propose([bytes("a"), bytes("b")]), member.node.propose([bytes("c")])],
        { concurrency: "unbounded" }
      ))
      const results = yield* passing(Fiber.join(calls))
      assert.deepStrictEqual(results.flat().map(text).sort(), ["1", "2", "3"])
      yield* TestClock.adjust(500)
      for (const { register } of cluster.running.values()) assert.strictEqual(register.commands.length, 3)
    }))

  it.effect("an answer to a former run of a member does not answer its new callers", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const follower = followersOf(cluster, leader)[0]!
      const late: Array<Uint8Array> = []
      cluster.network.filter = (_, to, frame) => {
        if (to !== follower.id || frame[0] !== tag.forwardDone) return true
        late.push(frame)
        return false
      }
      yield* Effect.forkChild(Effect.exit(cluster.propose(follower, "old")))
      yield* TestClock.adjust(100)
      assert.strictEqual(late.length, 1)
      yield* follower.stop
      const again = yield* cluster.start(numberOf(follower), follower)
      yield* TestClock.adjust(200)
      cluster.network.filter = (_, __, frame) => frame[0] !== tag.forward
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(again, "new", 1000)))
      yield* TestClock.adjust(100)
      cluster.network.handlers.get(again.id)!.onFrame(leader.id, "raft", late[0]!)
      yield* TestClock.adjust(2000)
      assert.strictEqual((yield* Fiber.join(call)).reason, "Unknown")
    }))

  it.effect("a group of many commands is one unit: its results come together and in order", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const commands = Array.from({ length: 9000 }, (_, count) => bytes(`c${count}`))
      for (const member of cluster.running.values()) {
        const before = leader.register.commands.length
        const results = yield* passing(member.node.propose(commands))
        assert.deepStrictEqual(results.map(text), commands.map((_, count) => String(before + count + 1)))
      }
    }))
})

describe("reads", () => {
  it.effect("after a change of leader a read on any member covers every write acknowledged before it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3, 4, 5])
      for (const value of ["a", "b"]) {
        const leader = yield* cluster.elected
        yield* passing(cluster.propose(leader, value))
        yield* leader.stop
      }
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "c"))
      for (const member of cluster.running.values()) {
        yield* passing(member.node.readBarrier())
        assert.deepStrictEqual(member.register.commands, ["a", "b", "c"])
      }
    }))

  it.effect("a member that cannot reach the leader does not answer a read", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      cluster.network.isolate(follower!.id)
      const error = yield* passing(Effect.flip(follower!.node.readBarrier({ timeoutMillis: 2000 })))
      assert.strictEqual(error.reason, "NoLeader")
    }))

  it.effect("a read that was lost on its way is asked again", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      yield* passing(cluster.propose(leader, "a"))
      let dropped = 0
      cluster.network.filter = (_, __, frame) => frame[0] !== 7 || dropped++ > 0
      yield* passing(follower!.node.readBarrier())
      assert.deepStrictEqual(follower!.register.commands, ["a"])
      assert.strictEqual(dropped, 2)
    }))
})

describe("disks", () => {
  it.effect("a stalled disk on a follower delays nobody but itself", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [slow, other] = followersOf(cluster, leader)
      yield* slow!.log.disk.close
      for (const value of ["a", "b", "c"]) yield* passing(cluster.propose(leader, value), 50)
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(other!.register.commands, ["a", "b", "c"])
      assert.deepStrictEqual(slow!.register.commands, [], "it applies nothing that is not in its own durable log")
      yield* slow!.log.disk.open
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(slow!.register.commands, ["a", "b", "c"])
    }))

  it.effect("a stalled disk on the only other voter holds up every acknowledgement", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2])
      const leader = yield* cluster.elected
      const [other] = followersOf(cluster, leader)
      yield* other!.log.disk.close
      const call = yield* Effect.forkChild(cluster.propose(leader, "a"))
      yield* TestClock.adjust(1500)
      assert.isUndefined(call.pollUnsafe())
      assert.deepStrictEqual(leader.register.commands, [])
      yield* other!.log.disk.open
      assert.strictEqual(yield* passing(Fiber.join(call)), "1")
    }))

  it.effect("a stalled disk on the leader holds up its answers, and nothing is applied before it is durable there", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* leader.log.disk.close
      const call = yield* Effect.forkChild(cluster.propose(leader, "a"))
      yield* TestClock.adjust(800)
      assert.isUndefined(call.pollUnsafe())
      assert.deepStrictEqual(leader.register.commands, [])
      yield* leader.log.disk.open
      assert.strictEqual(yield* passing(Fiber.join(call)), "1")
    }))

  it.effect("a single member answers nothing before its sync", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1])
      const leader = yield* cluster.elected
      yield* leader.log.disk.close
      const call = yield* Effect.forkChild(cluster.propose(leader, "a"))
      yield* TestClock.adjust(1500)
      assert.isUndefined(call.pollUnsafe())
      yield* leader.log.disk.open
      assert.strictEqual(yield* passing(Fiber.join(call)), "1")
    }))

  it.effect("a write that fails stops the member: it says why, tells its callers, and falls silent", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const stopped = yield* Effect.forkChild(Effect.flip(leader.node.stopped))
      leader.log.failure = new LogStoreError({ reason: "Io", message: "fdatasync: EIO on 00001.log" })
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(leader, "a")))
      yield* TestClock.adjust(50)
      const error = yield* Fiber.join(stopped)
      assert.strictEqual(error._tag, "MemberStopped")
      assert.include(error.message, "fdatasync: EIO on 00001.log")
      assert.strictEqual((yield* Fiber.join(call)).reason, "Unknown")
      assert.strictEqual((yield* Effect.flip(cluster.propose(leader, "b"))).reason, "Stopped")
      assert.strictEqual((yield* Effect.flip(leader.node.readBarrier())).reason, "Stopped")
      assert.strictEqual((yield* Effect.flip(leader.node.transferLeadership(Option.none()))).reason, "Stopped")
      let frames = 0
      cluster.network.filter = (from) => {
        if (from === leader.id) frames++
        return true
      }
      const writes = leader.log.writes
      yield* TestClock.adjust(5000)
      assert.strictEqual(frames, 0, "a leader that cannot write sends no heartbeats")
      assert.strictEqual(leader.log.writes, writes, "and tries nothing again")
      const others = followersOf(cluster, leader)
      const roles = yield* Effect.forEach(others, (member) => member.node.status)
      assert.isTrue(roles.some(({ role }) => role === "Leader"))
    }))

  it.effect("an invariant that breaks stops the member, and the message says which", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      yield* TestClock.adjust(500)
      const victim = followersOf(cluster, leader)[0]!
      yield* victim.stop
      // The disk loses the end of the log and the state with it, as when an old copy is put back.
      victim.log.entries = victim.log.entries.slice(0, 1)
      const register = new Register()
      const again = yield* cluster.start(numberOf(victim), { log: victim.log, register })
      const stopped = yield* Effect.forkChild(Effect.flip(again.node.stopped))
      const error = yield* passing(Fiber.join(stopped))
      assert.include(error.message, "it has lost entries that were acknowledged")
      assert.strictEqual(yield* passing(cluster.propose(leader, "b")), "2", "the others go on")
    }))
})

describe("start", () => {
  const head = (index: number, term: number) =>
    MetaCodec.encodeHead({
      index,
      term,
      configurationIndex: 1,
      configuration: Cluster.configurationOf(1),
      sessions: 0
    })

  const logOf = (options: { readonly previousIndex?: number; readonly term?: number; readonly count: number }) => {
    const log = new MemoryLog()
    log.hardState = { term: options.term ?? 3, vote: "" }
    log.previousIndex = options.previousIndex ?? 0
    log.previousTerm = log.previousIndex > 0 ? 2 : 0
    log.entries = Array.from(
      { length: options.count },
      (_, count) => Entry.make(log.previousIndex + 1 + count, 2, EntryKind.Command, bytes("x"))
    )
    return log
  }

  const registerOf = (index: number, term: number) => {
    const register = new Register()
    register.head = head(index, term)
    return register
  }

  it.effect("a state ahead of the log was brought by a snapshot: the log begins anew behind it, durably, before anything else", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const log = logOf({ count: 4 })
      const member = yield* cluster.start(1, { log, register: registerOf(9, 3) })
      assert.deepStrictEqual([log.previousIndex, log.previousTerm, log.entries.length], [9, 3, 0])
      const status = yield* member.node.status
      assert.deepStrictEqual([status.lastIndex, status.commitIndex, status.appliedIndex], [9, 9, 9])
    }))

  it.effect("a state of a term that the log never saw means that the log was lost: refused, with what to do", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const exit = yield* Effect.exit(cluster.start(1, { log: new MemoryLog(), register: registerOf(9, 3) }))
      assert.isTrue(Exit.isFailure(exit))
      assert.match(
        String(Exit.isFailure(exit) ? exit.cause : ""),
        /the log was lost or replaced.*Remove this member's data/
      )
    }))

  it.effect("a log that begins behind the end of the state means that the state was lost: refused, with what to do", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const log = logOf({ previousIndex: 10, count: 3 })
      const exit = yield* Effect.exit(cluster.start(1, { log, register: registerOf(5, 2) }))
      assert.match(
        String(Exit.isFailure(exit) ? exit.cause : ""),
        /the state was lost or replaced.*Remove this member's/
      )
    }))

  it.effect("a head that a newer version wrote is refused by name", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const register = registerOf(5, 2)
      register.head![0] = 9
      const exit = yield* Effect.exit(cluster.start(1, { log: logOf({ count: 5 }), register }))
      assert.match(String(Exit.isFailure(exit) ? exit.cause : ""), /version 9/)
    }))

  it.effect("after a restart nothing is applied before a leader's commit covers it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      yield* TestClock.adjust(500)
      const members = [...cluster.running.values()]
      for (const member of members) yield* member.stop
      const alone = yield* cluster.start(1, { log: members[0]!.log, register: new Register() })
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(alone.register.commands, [])
      yield* cluster.start(2, members[1]!)
      yield* cluster.elected
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(alone.register.commands, ["a"])
    }))

  it.effect("a member that nobody founded or joined waits, and stands for nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const member = yield* cluster.start(1)
      yield* TestClock.adjust(10_000)
      const status = yield* member.node.status
      assert.deepStrictEqual([status.role, status.term, status.removed], ["Learner", 0, false])
    }))
})

describe("snapshots", () => {
  it.effect("chunks are sent once each while nothing is lost", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(400)
      const sent: Array<number> = []
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] === tag.snapshotChunk) sent.push(new DataView(frame.buffer, frame.byteOffset).getUint32(9))
        return true
      }
      cluster.network.heal()
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.deepStrictEqual(sent, Array.from({ length: 40 }, (_, chunk) => chunk))
    }))

  it.effect("lost and damaged chunks are sent again, and the rest is not", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(400)
      let chunks = 0
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] !== tag.snapshotChunk) return true
        chunks++
        if (chunks === 10) frame[frame.length - 1]! ^= 1
        return chunks % 7 !== 0
      }
      cluster.network.heal()
      yield* TestClock.adjust(60_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.strictEqual(late.register.installs, 1)
      assert.isBelow(chunks, 100, "40 chunks, a lost one costs what was in flight behind it")
    }))

  it.effect("a transfer whose link was cut goes on where it stopped", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(400)
      const received: Array<number> = []
      cluster.network.filter = (_, to, frame) => {
        if (to !== late.id || frame[0] !== tag.snapshotChunk) return true
        received.push(new DataView(frame.buffer, frame.byteOffset).getUint32(9))
        if (received.length === 15) cluster.network.sever(leader.id, late.id)
        return true
      }
      for (const other of cluster.running.values()) if (other !== late) cluster.network.mend(other.id, late.id)
      yield* TestClock.adjust(1000)
      assert.isAtMost(received.length, 15)
      assert.deepStrictEqual(late.register.commands, [])
      const before = received.length
      cluster.network.mend(leader.id, late.id)
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.isAbove(Math.min(...received.slice(before)), 5, "not from the beginning")
    }))

  it.effect("a snapshot that the state machine refuses changes nothing, and is offered again", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(50)
      late.register.refusal = new StateMachineError({ reason: "Snapshot", message: "not of this format" })
      let refused = 0
      cluster.network.filter = (from, _, frame) => {
        if (from === late.id && frame[0] === tag.snapshotProgress && frame[13] === 2) refused++
        return true
      }
      cluster.network.heal()
      yield* TestClock.adjust(3000)
      assert.isAbove(refused, 0)
      assert.deepStrictEqual(late.register.commands, [])
      assert.strictEqual((yield* late.node.status).role, "Follower")
      late.register.refusal = undefined
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
    }))

  it.effect("a snapshot that keeps being refused is not offered in a hot loop", () =>
    Effect.gen(function*() {
      const { cluster, late } = yield* behind(50)
      late.register.refusal = new StateMachineError({ reason: "Snapshot", message: "not of this format" })
      let offers = 0
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] === tag.snapshotOffer) offers++
        return true
      }
      cluster.network.heal()
      yield* TestClock.adjust(10_000)
      assert.isAtMost(offers, 20)
    }))

  it.effect("a transfer whose last word was lost ends all the same, and does not hold up the next one", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(50)
      let offers = 0
      cluster.network.filter = (_, __, frame) => {
        if (frame[0] === tag.snapshotOffer) offers++
        return !(frame[0] === tag.snapshotProgress && frame[13] === 1)
      }
      cluster.network.heal()
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.isAtMost(offers, 3)
      cluster.network.filter = () => true
      yield* passing(cluster.propose(leader, "after"))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
    }))

  it.effect("two snapshots in a short time: the member has what the newer one brought", () =>
    Effect.gen(function*() {
      const { cluster, late, leader } = yield* behind(50)
      cluster.network.heal()
      yield* cluster.eventually(
        Effect.sync(() => late.register.commands.length === 50 ? Option.some(true) : Option.none())
      )
      cluster.network.isolate(late.id)
      yield* TestClock.adjust(1500)
      for (let count = 0; count < 30; count++) yield* passing(cluster.propose(leader, `w${count}`))
      yield* TestClock.adjust(5000)
      cluster.network.heal()
      yield* TestClock.adjust(10_000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
    }))
})

describe("compaction", () => {
  it.effect("the log keeps its last entries, so that a member a little behind needs no snapshot", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 20, compactAfterBytes: 1 })
      const leader = yield* cluster.elected
      for (let count = 0; count < 30; count++) yield* passing(cluster.propose(leader, `v${count}`))
      yield* TestClock.adjust(1000)
      const late = followersOf(cluster, leader)[0]!
      cluster.network.isolate(late.id)
      for (let count = 0; count < 15; count++) yield* passing(cluster.propose(leader, `w${count}`))
      yield* TestClock.adjust(1000)
      const { appliedIndex, previousIndex } = yield* leader.node.status
      assert.isAbove(previousIndex, 0)
      assert.isAtMost(previousIndex, appliedIndex - 20)
      cluster.network.heal()
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(late.register.commands, leader.register.commands)
      assert.strictEqual(late.register.installs, 0)
    }))

  it.effect("a log that took in little is not shortened", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1], { trailingEntries: 0 })
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      yield* TestClock.adjust(5000)
      assert.strictEqual((yield* leader.node.status).previousIndex, 0)
      yield* TestClock.adjust(30_000)
      assert.strictEqual((yield* leader.node.status).previousIndex, 3, "but after a while it is")
    }))

  it.effect("a member goes on after its log was compacted and it was restarted", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], { trailingEntries: 2, compactAfterBytes: 1 })
      const leader = yield* cluster.elected
      for (let count = 0; count < 20; count++) yield* passing(cluster.propose(leader, `v${count}`))
      yield* TestClock.adjust(1000)
      const members = [...cluster.running]
      for (const [, member] of members) yield* member.stop
      for (const [number, member] of members) yield* cluster.start(number, member)
      const again = yield* cluster.elected
      assert.strictEqual(yield* passing(cluster.propose(again, "z")), "21")
    }))
})

describe("peers", () => {
  it.effect("frames that make no sense are dropped without harm", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      let state = 17
      const next = () => {
        state = (Math.imul(state, 1103515245) + 12345) >>> 0
        return state >>> 16
      }
      for (const to of [leader, follower!]) {
        const handlers = cluster.network.handlers.get(to.id)!
        for (let count = 0; count < 500; count++) {
          // Tags of which no message is that short.
          const garbage = Uint8Array.from({ length: next() % 8 }, () => next() & 0xff)
          handlers.onFrame(cluster.running.get(3)!.id, count % 2 === 0 ? "raft" : "bulk", garbage)
        }
      }
      assert.strictEqual(yield* passing(cluster.propose(leader, "a")), "1")
      assert.strictEqual((yield* leader.node.status).role, "Leader")
      assert.strictEqual((yield* leader.node.status).term, (yield* follower!.node.status).term)
    }))

  it.effect("a leader that dies with its connections is replaced within an election timeout", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* TestClock.adjust(1000)
      yield* leader.stop
      let waited = 0
      while (Option.isNone(yield* cluster.leader)) {
        yield* TestClock.adjust(10)
        waited += 10
      }
      assert.isAtMost(waited, 1000)
    }))

  it.effect("five members do without any two, and not without three", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3, 4, 5])
      for (const value of ["1", "2"]) {
        const leader = yield* cluster.elected
        yield* leader.stop
        const fresh = yield* cluster.elected
        assert.strictEqual(yield* passing(cluster.propose(fresh, value)), value)
      }
      const leader = yield* cluster.elected
      yield* followersOf(cluster, leader)[0]!.stop
      const error = yield* passing(Effect.flip(cluster.propose(leader, "x", 3000)))
      assert.include(["Unknown", "NoLeader"], error.reason)
      assert.deepStrictEqual(leader.register.commands, ["1", "2"])
    }))
})

describe("membership", () => {
  const settled = (cluster: Members, voters: ReadonlyArray<number>) =>
    cluster.eventually(Effect.gen(function*() {
      const leader = yield* cluster.leader
      if (Option.isNone(leader)) return leader
      const { configuration } = yield* leader.value.node.status
      return configuration.outgoing.length === 0 &&
          [...configuration.voters].sort().join() === voters.map(Cluster.idOf).join()
        ? leader
        : Option.none<Running>()
    }))

  it.effect("a leader that leaves answers first; the others go on without it, and it knows that it is out", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      const rest = followersOf(cluster, leader)
      const configuration = yield* passing(
        leader.node.changeMembership({ _tag: "Leave", id: leader.id, force: false })
      )
      assert.deepStrictEqual([...configuration.voters], rest.map(({ id }) => id))
      const status = yield* leader.node.status
      assert.deepStrictEqual([status.role, status.removed], ["Learner", true])
      const fresh = yield* settled(cluster, rest.map(numberOf))
      assert.strictEqual(yield* passing(cluster.propose(fresh, "b")), "2")
    }))

  it.effect("a follower that leaves is told, and stays out", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [gone, other] = followersOf(cluster, leader)
      yield* passing(other!.node.changeMembership({ _tag: "Leave", id: gone!.id, force: false }))
      yield* TestClock.adjust(5000)
      const status = yield* gone!.node.status
      assert.deepStrictEqual([status.role, status.removed], ["Learner", true])
      assert.strictEqual((yield* leader.node.status).role, "Leader")
      assert.strictEqual(yield* passing(cluster.propose(other!, "a")), "1")
    }))

  it.effect("a member that lost its disk comes back under a new id, and the two change places in one step", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      const lost = followersOf(cluster, leader)[0]!
      yield* lost.stop
      yield* TestClock.adjust(2000)
      yield* cluster.start(4)
      const { name, peerAddress } = Cluster.memberOf(numberOf(lost))
      yield* passing(leader.node.changeMembership({
        _tag: "Join",
        member: { ...Cluster.memberOf(4, true), name, peerAddress },
        replaces: Option.some(lost.id)
      }))
      const voters = [1, 2, 3].filter((number) => number !== numberOf(lost)).concat(4)
      yield* settled(cluster, voters)
      const { configuration } = yield* leader.node.status
      assert.strictEqual(configuration.members.length, 3)
      assert.strictEqual(configuration.members.filter((member) => member.name === name).length, 1)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(cluster.running.get(4)!.register.commands, ["a"])
    }))

  it.effect("refusals reach a caller on a follower with their reason", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      const reasonOf = (effect: Effect.Effect<unknown, { readonly reason: string }>) =>
        Effect.map(passing(Effect.flip(effect)), ({ reason }) => reason)
      const { node } = follower!
      const stranger = Cluster.idOf(9)
      assert.strictEqual(
        yield* reasonOf(node.changeMembership({ _tag: "Leave", id: stranger, force: false })),
        "NotFound"
      )
      assert.strictEqual(yield* reasonOf(node.transferLeadership(Option.some(stranger))), "NotFound")
      const clash = { ...Cluster.memberOf(9), name: "dkv-1" }
      assert.strictEqual(
        yield* reasonOf(node.changeMembership({ _tag: "Join", member: clash, replaces: Option.none() })),
        "Conflict"
      )
    }))

  it.effect("a change without a leader waits, and fails with NoLeader at its deadline", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [one, other] = followersOf(cluster, leader)
      yield* leader.stop
      yield* other!.stop
      yield* TestClock.adjust(5000)
      const error = yield* passing(
        Effect.flip(one!.node.changeMembership({ _tag: "Leave", id: leader.id, force: false }, { timeoutMillis: 500 }))
      )
      assert.strictEqual(error.reason, "NoLeader")
    }))
})
