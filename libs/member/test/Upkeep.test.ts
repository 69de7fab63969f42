import { MembershipError } from "@dkv/raft"
import type { RaftNode } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Logger, Option } from "effect"
import { TestClock } from "effect/testing"
import type { Self } from "../src/Self.ts"
import * as Upkeep from "../src/Upkeep.ts"
import { FakeCluster, settled } from "./FakeCluster.ts"
import { isUp, listOf, makeDisk, passing, services, stop, until, world } from "./Members.ts"
import type { Running } from "./Members.ts"

/** Runs `upkeep` for five minutes on a member whose wall clock stands still, as one that is set back again and again; what it logs. */
const logged = Effect.fnUntraced(function*(
  nodeOf: (node: RaftNode.RaftNode["Service"]) => Partial<RaftNode.RaftNode["Service"]>,
  upkeep: (self: Self, node: RaftNode.RaftNode["Service"]) => Effect.Effect<void>
) {
  const cluster = new FakeCluster(["dkv-0"])
  const member = yield* cluster.start("dkv-0")
  yield* TestClock.adjust(1)
  const node = cluster.node((yield* settled(member)).memberId)
  const clock = yield* Clock.Clock
  const still: Clock.Clock = Object.assign(Object.create(clock), {
    currentTimeMillis: Effect.succeed(0),
    currentTimeMillisUnsafe: () => 0
  })
  const lines: Array<string> = []
  const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  yield* Effect.forkChild(
    upkeep(member.self, { ...node, ...nodeOf(node) }).pipe(
      Effect.provideService(Clock.Clock, still),
      Effect.provide(logger)
    )
  )
  yield* TestClock.adjust("5 minutes")
  return lines
})

const names = ["dkv-0", "dkv-1", "dkv-2"]
const list = listOf(names)

const configurationOf = (member: Running) =>
  Effect.gen(function*() {
    const { dkv } = yield* services(member)
    return (yield* dkv.status).configuration
  })

const entryOf = (member: Running, name: string) =>
  Effect.map(configurationOf(member), ({ members }) => members.find((each) => each.name === name))

describe("addresses", () => {
  it.effect("a member that is started again with others announces them to all", () =>
    Effect.gen(function*() {
      const { start } = yield* world
      const disk = makeDisk()
      const others = yield* Effect.forEach(["dkv-0", "dkv-1"], (name) => start(name, list))
      const third = yield* start("dkv-2", list, { disk })
      for (const member of [...others, third]) yield* until(isUp(member))
      yield* stop(third)
      const again = yield* start("dkv-2", list, { disk, clientAddress: "elsewhere:1" })
      yield* until(isUp(again))
      for (const member of [...others, again]) {
        yield* until(Effect.map(entryOf(member, "dkv-2"), (entry) => entry?.clientAddress === "elsewhere:1"))
      }
    }))
})

describe("what goes on for long is logged, by a clock that nobody sets:", () => {
  it.effect("new addresses that are refused for good, now and then", () =>
    Effect.gen(function*() {
      const conflict = new MembershipError({ reason: "Conflict", message: "the address is taken" })
      const lines = yield* logged((node) => ({
        status: Effect.map(node.status, (status) => ({
          ...status,
          configuration: {
            ...status.configuration,
            members: status.configuration.members.map((member) => ({ ...member, clientAddress: "old:1" }))
          }
        })),
        changeMembership: () => Effect.fail(conflict)
      }), Upkeep.announce)
      assert.isAtLeast(lines.length, 4)
      assert.isAtMost(lines.length, 6)
      for (const line of lines) {
        assert.strictEqual(
          line,
          "dkv-0 cannot announce its addresses (peers dkv-0:2380, clients dkv-0:3000): the address is taken"
        )
      }
    }))

  it.effect("that nobody leads, once", () =>
    Effect.gen(function*() {
      const lines = yield* logged(
        (node) => ({ status: Effect.map(node.status, (status) => ({ ...status, leader: Option.none() })) }),
        (_, node) => Upkeep.reportLeader(node, 1000)
      )
      assert.deepStrictEqual(lines, ["no leader in term 1: too few of the 1 voters reach each other"])
    }))
})

describe("a cluster founded by force", () => {
  it.effect("lets each listed member in when it comes, as a voter in the end, and forgets that it had to", () =>
    Effect.gen(function*() {
      const { start } = yield* world
      const disk = makeDisk()
      const first = yield* start("dkv-0", list, { forceNewCluster: true, disk })
      yield* until(isUp(first))
      assert.deepStrictEqual((yield* configurationOf(first)).members.map((member) => member.name), ["dkv-0"])
      const second = yield* start("dkv-1", list)
      yield* until(Effect.map(configurationOf(first), ({ voters }) => voters.length === 2))
      const third = yield* start("dkv-2", list)
      yield* until(Effect.map(configurationOf(first), ({ voters }) => voters.length === 3))
      for (const member of [second, third]) yield* until(isUp(member))
      yield* until(Effect.sync(() => Option.getOrThrow(disk.record()).pending.length === 0))
    }))

  it.effect("does not let a member in again that has left", () =>
    Effect.gen(function*() {
      const { start } = yield* world
      const first = yield* start("dkv-0", listOf(["dkv-0", "dkv-1"]), { forceNewCluster: true })
      yield* until(isUp(first))
      const second = yield* start("dkv-1", listOf(["dkv-0", "dkv-1"]))
      yield* until(Effect.map(configurationOf(first), ({ voters }) => voters.length === 2))
      const { node } = yield* services(first)
      const left = Option.fromNullishOr(yield* entryOf(first, "dkv-1"))
      yield* until(isUp(second))
      yield* passing(node.changeMembership({ _tag: "Leave", id: Option.getOrThrow(left).id, force: false }))
      yield* stop(second)
      const again = yield* start("dkv-1", listOf(["dkv-0", "dkv-1"]))
      yield* passing(Effect.sleep("2 minutes"), 200)
      assert.isUndefined(yield* entryOf(first, "dkv-1"))
      assert.isFalse(yield* isUp(again))
    }))
})

describe("a new member", () => {
  it.effect("let in by id becomes a voter that serves what was there before", () =>
    Effect.gen(function*() {
      const { start } = yield* world
      const members = yield* Effect.forEach(names, (name) => start(name, list))
      for (const member of members) yield* until(isUp(member))
      const { kv, node } = yield* services(members[0]!)
      const bytes = new TextEncoder().encode("k")
      yield* passing(kv.write([{ _tag: "Put", key: bytes, value: bytes }], { timeoutMillis: 5000 }))
      const disk = makeDisk()
      const fourth = yield* start("dkv-3", [...list, { name: "dkv-3", peerAddress: "dkv-3:2380" }], {
        initialClusterState: "existing",
        disk
      })
      yield* passing(Effect.sleep("5 seconds"))
      assert.isFalse(yield* isUp(fourth))
      const { memberId } = Option.getOrThrow(disk.record())
      yield* passing(node.changeMembership({
        _tag: "Join",
        member: {
          id: memberId,
          name: "dkv-3",
          peerAddress: "dkv-3:2380",
          clientAddress: "",
          autoPromote: true,
          witness: false,
          priority: 0
        },
        replaces: Option.none()
      }))
      yield* until(isUp(fourth))
      yield* until(Effect.map(configurationOf(members[0]!), ({ voters }) => voters.includes(memberId)))
      const joined = yield* services(fourth)
      const [result] = yield* passing(
        joined.kv.read([{ key: bytes, end: new Uint8Array(0), limit: 1, reverse: false }], {
          consistency: "linearizable",
          timeoutMillis: 5000
        })
      )
      assert.strictEqual(result?._tag === "Range" && result.kvs.length, 1)
      yield* until(Effect.map(entryOf(members[0]!, "dkv-3"), (entry) => entry?.clientAddress === "dkv-3:3000"))
    }))
})
