/** Whole members with damaged data, under virtual time. */
import { AcknowledgedEntriesLost, Configuration, type RaftNode, StateMachine } from "@dkv/raft"
import { Control, MemoryNetwork, PeerPortMemory } from "@dkv/transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as ControlMessage from "../src/ControlMessage.ts"
import { MemberRecord } from "../src/MemberRecord.ts"
import * as Peers from "../src/Peers.ts"
import { isUp, listen, listOf, makeFaultyDisk, passing, services, stop, until, world } from "./Members.ts"
import type { FaultyDisk, Running } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]
const bytes = (text: string) => new TextEncoder().encode(text)

const write = (member: Running, key: string, value: string) =>
  Effect.flatMap(
    services(member),
    ({ kv }) => kv.write([{ _tag: "Put", key: bytes(key), value: bytes(value) }], { timeoutMillis: 5000 })
  )

const read = (member: Running, key: string, consistency: "linearizable" | "stale" = "linearizable") =>
  Effect.gen(function*() {
    const { kv } = yield* services(member)
    const [result] = yield* kv.read([{ key: bytes(key), end: new Uint8Array(0), limit: 1, reverse: false }], {
      consistency,
      timeoutMillis: 5000
    })
    return result?._tag === "Range" ? result.kvs.map((kv) => new TextDecoder().decode(kv.value)) : []
  })

/** A cluster of `names`, each on a disk that can be damaged, with something written. */
const founded = Effect.fnUntraced(function*(names: ReadonlyArray<string>) {
  const { loopback, network, start } = yield* world
  const list = listOf(names)
  const disks = yield* Effect.forEach(names, () => makeFaultyDisk)
  const members = yield* Effect.forEach(names, (name, at) => start(name, list, { disk: disks[at]! }))
  for (const member of members) yield* until(isUp(member))
  for (let number = 0; number < 20; number++) yield* passing(write(members[0]!, `k${number}`, `v${number}`))
  yield* TestClock.adjust("1 second")
  const again = Effect.fnUntraced(function*(at: number) {
    members[at] = yield* start(names[at]!, list, { disk: disks[at]! })
    return members[at]
  })
  const port = PeerPortMemory.layer({ address: "asker:2380" })
  const asker = yield* Layer.build(Layer.provide(Control.Control.layer, port)).pipe(
    Effect.provideService(MemoryNetwork.MemoryNetwork, network)
  )
  /** Asks for the first entries, and succeeds with why they are not given. */
  const fetch = Effect.fnUntraced(function*(address: string) {
    const clusterId = Option.getOrThrow(Option.getOrThrow(disks[0]!.record()).clusterId)
    const request = { _tag: "Fetch", version: ControlMessage.version, clusterId, from: 1, to: 15 } as const
    const asked = Peers.ask(address, request, 1000).pipe(Effect.provideContext(asker))
    const answer = yield* passing(Effect.orDie(asked))
    return answer._tag === "Refused" ? answer.message : answer._tag
  })
  return { again, disks, fetch, loopback, members }
})

const idOf = (disk: FaultyDisk) => Option.getOrThrow(disk.record()).memberId

const fencedOf = (member: Running) => Effect.flatMap(services(member), ({ dkv }) => dkv.fenced)

/** A voter of a cluster of `count` that serves what was written. */
const isBack = Effect.fnUntraced(function*(member: Running, count: number) {
  if (!(yield* isUp(member))) return false
  const { dkv } = yield* services(member)
  const { configuration } = yield* dkv.status
  return Option.isNone(yield* dkv.fenced) && Configuration.isVoter(configuration, dkv.memberId) &&
    configuration.members.length === count && configuration.outgoing.length === 0
})

const segment = "/data/log/00000000000000000001.log"

const rot = ({ memory }: FaultyDisk, at: number, length: number) => {
  for (let offset = at; offset < at + length; offset++) memory.rot(segment, offset, 0x55)
}

/** One byte of the entry that has `key` in it. */
const rotEntry = ({ memory }: FaultyDisk, key: string) => {
  const at = Buffer.from(memory.content(segment)).indexOf(key)
  assert.isAtLeast(at, 0, `${key} is in the log`)
  memory.rot(segment, at, 1)
}

const loseLog = ({ disk }: FaultyDisk) => Effect.orDie(disk.remove("/data/log"))

describe("a member with damaged data", () => {
  it.effect("comes back by itself under a new id, and its old data lies aside", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      const before = idOf(disks[2]!)
      yield* stop(members[2]!)
      rot(disks[2]!, 0, 20)
      const member = yield* again(2)
      yield* until(isBack(member, 3))
      assert.notStrictEqual(idOf(disks[2]!), before)
      const { configuration } = yield* Effect.flatMap(services(members[0]!), ({ dkv }) => dkv.status)
      assert.isUndefined(Configuration.find(configuration, before))
      assert.deepStrictEqual(yield* passing(read(member, "k19")), ["v19"])
      assert.deepStrictEqual(yield* disks[2]!.disk.list("/data/damaged"), [before])
      const record = Option.getOrThrow(disks[2]!.record())
      assert.strictEqual(Option.getOrThrow(record.damaged).memberId, before)
      assert.include(Option.getOrThrow(record.damaged).reason, `${segment} at `)
      assert.isTrue(Option.isNone(record.rebuild))
    }))

  it.effect("whose log is gone comes back by itself", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      yield* stop(members[0]!)
      yield* loseLog(disks[0]!)
      const member = yield* again(0)
      yield* until(isBack(member, 3))
      assert.deepStrictEqual(yield* passing(read(member, "k0")), ["v0"])
    }))

  it.effect("whose state is damaged, or state and log, comes back by itself", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      for (const both of [false, true]) {
        const before = idOf(disks[0]!)
        yield* stop(members[0]!)
        disks[0]!.damageState("all")
        if (both) rot(disks[0]!, 600, 100)
        const member = yield* again(0)
        yield* until(isBack(member, 3))
        assert.notStrictEqual(idOf(disks[0]!), before)
        assert.deepStrictEqual(yield* passing(read(member, "k5")), ["v5"])
      }
    }))

  it.effect("tells its clients that it leads, when it does so after its return", () =>
    Effect.gen(function*() {
      const { disks, loopback, members } = yield* founded(names)
      const heard = yield* listen(loopback, "dkv-1:3000")
      disks[1]!.damageState("reads")
      yield* passing(Effect.flip(read(members[1]!, "k3", "stale")))
      yield* until(Effect.map(fencedOf(members[1]!), Option.isSome))
      yield* until(isBack(members[1]!, 3))
      const { dkv, node } = yield* services(members[1]!)
      const lead = Effect.gen(function*() {
        if ((yield* dkv.status).role === "Leader") return true
        yield* Effect.ignore(passing(node.transferLeadership(Option.some(dkv.memberId))))
        return false
      })
      yield* until(lead)
      yield* until(Effect.sync(() => heard.at(-1) === "Leading"))
    }).pipe(Effect.scoped))

  it.effect("found while it runs refuses what is asked of it, and serves the same callers when it is back", () =>
    Effect.gen(function*() {
      const { disks, members } = yield* founded(names)
      const before = idOf(disks[1]!)
      disks[1]!.damageState("reads")
      const refusal = yield* passing(Effect.flip(read(members[1]!, "k3", "stale")))
      assert.strictEqual(refusal.reason, "Stopped")
      yield* until(Effect.map(fencedOf(members[1]!), Option.isSome))
      const { dkv, kv, node } = yield* services(members[1]!)
      assert.include(Option.getOrThrow(yield* dkv.fenced), "a row is damaged")
      const refused = yield* Effect.flip(
        kv.write([{ _tag: "Put", key: bytes("k"), value: bytes("v") }], { timeoutMillis: 5000 })
      )
      assert.strictEqual(refused.reason, "Stopped")
      assert.match(refused.message, /dkv-1 is fenced: .*a row is damaged/)
      assert.strictEqual((yield* Effect.flip(node.readBarrier())).reason, "Stopped")
      assert.strictEqual((yield* Effect.flip(node.transferLeadership(Option.none()))).reason, "Stopped")
      assert.isTrue(Option.isNone((yield* dkv.status).leader))
      yield* until(isBack(members[1]!, 3))
      assert.notStrictEqual(dkv.memberId, before)
      assert.deepStrictEqual(yield* passing(read(members[1]!, "k3")), ["v3"])
    }))

  it.effect("goes on numbering its events when it is back, for the same observers", () =>
    Effect.gen(function*() {
      const { disks, members } = yield* founded(names)
      const { node } = yield* services(members[1]!)
      const seen: Array<RaftNode.Event> = []
      yield* Effect.forkChild(Stream.runForEach(node.events, (event) => Effect.sync(() => seen.push(event))), {
        startImmediately: true
      })
      for (let round = 1; round <= 2; round++) {
        disks[1]!.damageState("reads")
        yield* passing(Effect.flip(read(members[1]!, "k3", "stale")))
        yield* until(Effect.map(fencedOf(members[1]!), Option.isSome))
        yield* until(isBack(members[1]!, 3))
        assert.isAtLeast(seen.filter((event) => event._tag === "Role" && event.role === "Follower").length, round)
      }
      assert.deepStrictEqual(seen.map(({ number }) => number - seen[0]!.number), seen.map((_, at) => at))
    }))

  it.effect("that is the only one changes nothing, stays up, and says what helps", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(["dkv-0"])
      const before = idOf(disks[0]!)
      yield* stop(members[0]!)
      rot(disks[0]!, 300, 600)
      const damaged = disks[0]!.memory.content(segment)
      const member = yield* again(0)
      yield* until(isUp(member))
      yield* TestClock.adjust("10 minutes")
      const { dkv } = yield* services(member)
      assert.match(Option.getOrThrow(yield* dkv.fenced), /0001\.log at \d+: .*it is the only member.*backup/)
      assert.strictEqual(idOf(disks[0]!), before)
      assert.deepStrictEqual(disks[0]!.memory.content(segment), damaged)
      assert.deepStrictEqual(yield* disks[0]!.disk.list("/data"), ["log", "member.json"])
    }))

  it.effect("changes nothing while there is no quorum to let it in, and comes back with it", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      for (const member of members) yield* stop(member)
      rot(disks[2]!, 0, 20)
      const before = idOf(disks[2]!)
      const member = yield* again(2)
      yield* again(1)
      yield* until(isUp(member))
      yield* TestClock.adjust("2 minutes")
      assert.isTrue(Option.isSome(yield* fencedOf(member)))
      assert.strictEqual(idOf(disks[2]!), before)
      assert.deepStrictEqual(yield* disks[2]!.disk.list("/data"), ["log", "member.json"])
      assert.isTrue(Option.isNone(Option.getOrThrow(disks[2]!.record()).rebuild))
      assert.include(Option.getOrThrow(yield* fencedOf(member)), "waiting for a leader")
      yield* again(0)
      yield* until(isBack(member, 3))
      assert.deepStrictEqual(yield* passing(read(member, "k7")), ["v7"])
    }))

  it.effect("that was removed meanwhile stays out and says so", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      const { memberId } = Option.getOrThrow(disks[2]!.record())
      yield* stop(members[2]!)
      const { node } = yield* services(members[0]!)
      const leave = node.changeMembership({ _tag: "Leave", id: memberId, force: false })
      yield* until(Effect.map(Effect.exit(passing(leave)), Exit.isSuccess))
      rot(disks[2]!, 0, 20)
      const member = yield* again(2)
      yield* until(isUp(member))
      yield* TestClock.adjust("1 minute")
      assert.match(Option.getOrThrow(yield* fencedOf(member)), /waits to be let into the cluster.*member-join dkv-2/)
      assert.strictEqual(idOf(disks[2]!), memberId)
    }))

  it.effect("that has asked for its place under a new id does not go back to the old one, even if its data can be read again", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      const before = idOf(disks[2]!)
      yield* stop(members[2]!)
      const rebuild = { memberId: "00000000000000ab", reason: "rot that has gone" }
      const records = yield* Effect.provide(MemberRecord, disks[2]!.parts.record!)
      yield* records.save({ ...Option.getOrThrow(disks[2]!.record()), rebuild: Option.some(rebuild) })
      const member = yield* again(2)
      yield* until(isBack(member, 3))
      assert.strictEqual(idOf(disks[2]!), rebuild.memberId)
      const { configuration } = yield* Effect.flatMap(services(member), ({ dkv }) => dkv.status)
      assert.isUndefined(Configuration.find(configuration, before))
    }))

  it.effect("that has lost acknowledged entries is fenced again after a restart, though nothing on its disk shows it", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      const before = idOf(disks[2]!)
      for (const other of [0, 1]) yield* stop(members[other]!)
      disks[2]!.damageState("reads", new AcknowledgedEntriesLost("it has lost entries"))
      yield* passing(Effect.flip(read(members[2]!, "k3", "stale")))
      yield* until(Effect.map(fencedOf(members[2]!), Option.isSome))
      yield* stop(members[2]!)
      const member = yield* again(2)
      yield* until(isUp(member))
      assert.include(Option.getOrThrow(yield* fencedOf(member)), "it has lost entries")
      yield* again(0)
      yield* again(1)
      yield* until(isBack(member, 3))
      assert.notStrictEqual(idOf(disks[2]!), before)
      assert.isTrue(Option.isNone(Option.getOrThrow(disks[2]!.record()).rebuild))
      assert.deepStrictEqual(yield* passing(read(member, "k3")), ["v3"])
    }))

  it.effect("that was mended in vain is rebuilt", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      const before = idOf(disks[2]!)
      yield* stop(members[2]!)
      yield* loseLog(disks[2]!)
      let attempts = 0
      const parts = {
        ...disks[2]!.parts,
        mend: () =>
          Effect.sync(() => {
            attempts++
            return { _tag: "Mended", how: "so it was said" } as const
          })
      }
      disks[2] = { ...disks[2]!, parts }
      yield* until(isBack(yield* again(2), 3))
      assert.strictEqual(attempts, 1)
      assert.notStrictEqual(idOf(disks[2]!), before)
    }))

  it.effect(
    "stopped at any write of its way back goes on from there, and is never in the cluster twice",
    () =>
      Effect.gen(function*() {
        const { again, disks, members } = yield* founded(names)
        const { memory } = disks[2]!
        const ids = new Set([idOf(disks[2]!)])
        for (let step = 1;; step++) {
          const before = idOf(disks[2]!)
          yield* stop(members[2]!)
          yield* loseLog(disks[2]!)
          let member = yield* again(2)
          memory.crashAt(memory.steps() + step)
          const start = memory.steps()
          const isOver = Effect.gen(function*() {
            if (memory.steps() >= start + step) return true
            return (yield* isBack(member, 3)) && idOf(disks[2]!) !== before
          })
          yield* until(isOver, 120)
          const wasCut = memory.steps() >= start + step
          memory.crash()
          yield* stop(member)
          yield* memory.restart
          // the new id never stands beside the old data
          if (idOf(disks[2]!) !== before) {
            assert.deepStrictEqual(yield* disks[2]!.disk.list("/data/damaged"), [before], `step ${step}`)
          }
          member = yield* again(2)
          yield* until(isBack(member, 3), 120)
          const after = idOf(disks[2]!)
          assert.isFalse(ids.has(after), `step ${step}`)
          ids.add(after)
          assert.deepStrictEqual(yield* passing(read(member, "k11")), ["v11"])
          if (!wasCut || step > 60) return assert.isAbove(step, 20)
        }
      }),
    120_000
  )
})

describe("a damaged log", () => {
  it.effect("of which the state has everything that is damaged is mended without anybody's help", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(["dkv-0"])
      const before = idOf(disks[0]!)
      yield* stop(members[0]!)
      yield* stop(yield* again(0))
      const member = yield* again(0)
      yield* until(isBack(member, 1))
      yield* passing(write(member, "later", "yes"))
      yield* TestClock.adjust("1 second")
      yield* stop(member)
      rot(disks[0]!, 600, 100)
      const mended = yield* again(0)
      yield* until(isBack(mended, 1))
      assert.strictEqual(idOf(disks[0]!), before)
      assert.deepStrictEqual(yield* passing(read(mended, "later")), ["yes"])
      assert.isAbove((yield* Effect.flatMap(services(mended), ({ dkv }) => dkv.status)).previousIndex, 0)
    }))

  it.effect("is mended by the entries of the others, and the member keeps its id", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(names)
      const before = idOf(disks[2]!)
      yield* stop(members[2]!)
      disks[2]!.memory.rot(segment, 900, 1)
      const member = yield* again(2)
      yield* until(isBack(member, 3))
      assert.strictEqual(idOf(disks[2]!), before)
      for (let number = 0; number < 20; number++) {
        assert.deepStrictEqual(yield* passing(read(member, `k${number}`)), [`v${number}`])
      }
      assert.isFalse((yield* disks[2]!.disk.list("/data")).includes("damaged"))
    }))

  it.effect("that only another member's question brings to light is no longer voted with", () =>
    Effect.gen(function*() {
      const { disks, fetch, members } = yield* founded(names)
      rotEntry(disks[0]!, "k10")
      assert.match(yield* fetch("dkv-0:2380"), /dkv-0 cannot read its log: .* is damaged/)
      yield* until(Effect.map(fetch("dkv-0:2380"), (answer) => !answer.includes("cannot read its log")))
      yield* until(isBack(members[0]!, 3))
      assert.deepStrictEqual(yield* passing(read(members[0]!, "k10")), ["v10"])
    }))
})

describe("what is no damage", () => {
  it.effect("ends the part that the member takes, at once and for everybody who asks it", () =>
    Effect.gen(function*() {
      const { disks, members } = yield* founded(names)
      const { client, dkv, node } = yield* services(members[0]!)
      yield* until(Effect.gen(function*() {
        if ((yield* dkv.status).role === "Leader") return true
        yield* Effect.ignore(passing(node.transferLeadership(Option.some(dkv.memberId))))
        return false
      }))
      disks[0]!.damageState("reads", new StateMachine.StateMachineError({ reason: "Io", message: "the disk is gone" }))
      yield* passing(Effect.flip(read(members[0]!, "k3", "stale")))
      const reason = yield* passing(Effect.flip(dkv.stopped))
      assert.include(reason.message, "the disk is gone")
      const status = yield* dkv.status
      assert.deepStrictEqual([status.role, status.leader], ["Learner", Option.none()])
      const refused = yield* passing(Effect.flip(write(members[0]!, "late", "no")))
      assert.match(refused.message, /dkv-0 has stopped: .*the disk is gone/)
      assert.strictEqual((yield* passing(Effect.flip(client.get("k3")))).reason, "Unavailable")
      const [, other] = members
      yield* until(Effect.map(
        Effect.flatMap(services(other!), ({ dkv }) => dkv.status),
        ({ leader }) => Option.isSome(leader) && leader.value !== dkv.memberId
      ))
      assert.deepStrictEqual(yield* passing(read(other!, "k3")), ["v3"])
    }))

  it.effect("and keeps a member from answering what another one asks of its log, concerns nobody else", () =>
    Effect.gen(function*() {
      const { disks, fetch, members } = yield* founded(names)
      const { dkv } = yield* services(members[0]!)
      const stopped = yield* Effect.forkChild(Effect.flip(dkv.stopped), { startImmediately: true })
      disks[0]!.memory.fail("read", 1)
      assert.match(yield* fetch("dkv-0:2380"), /dkv-0 cannot read its log: /)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* isBack(members[0]!, 3))
      assert.isUndefined(stopped.pollUnsafe())
    }))

  it.effect("stops the member as before", () =>
    Effect.gen(function*() {
      const { again, disks, members } = yield* founded(["dkv-0"])
      yield* stop(members[0]!)
      disks[0]!.memory.fail("open", 100)
      const member = yield* again(0)
      yield* until(isUp(member))
      assert.isTrue(Exit.isFailure(member.fiber.pollUnsafe()!))
    }))
})
