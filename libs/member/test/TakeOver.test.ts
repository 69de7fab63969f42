/** Going on alone with one survivor's data, whole members and crashes included. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { MemberRecord } from "../src/MemberRecord.ts"
import * as TakeOver from "../src/TakeOver.ts"
import { isUp, listOf, makeFaultyDisk, passing, services, stop, until, world } from "./Members.ts"
import type { FaultyDisk } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]
const bytes = (text: string) => new TextEncoder().encode(text)

/** Three members that were, with one key written. */
const lost = Effect.gen(function*() {
  const { start } = yield* world
  const disks = yield* Effect.forEach(names, () => makeFaultyDisk)
  const members = yield* Effect.forEach(names, (name, at) => start(name, listOf(names), { disk: disks[at]! }))
  for (const member of members) yield* until(isUp(member))
  const { kv } = yield* services(members[0]!)
  yield* passing(kv.write([{ _tag: "Put", key: bytes("k"), value: bytes("v") }], { timeoutMillis: 5000 }))
  yield* TestClock.adjust("1 second")
  for (const member of members) yield* stop(member)
  return { disks, start: (at: number) => start(names[at]!, listOf(names), { disk: disks[at]! }) }
})

const partsOf = ({ parts }: FaultyDisk) => ({ log: parts.log!, state: parts.state! })

const inspect = (disk: FaultyDisk) => Effect.provide(TakeOver.inspect(partsOf(disk)), disk.parts.record!)

const takeOver = (disk: FaultyDisk) =>
  Effect.flatMap(
    TakeOver.inspect(partsOf(disk)),
    (survivor) => TakeOver.run(partsOf(disk), survivor)
  ).pipe(Effect.provide(disk.parts.record!))

const recordOf = (disk: FaultyDisk) => Option.getOrThrow(disk.record())

describe("taking a cluster over", () => {
  it.effect("leaves a cluster of one under a new id, with what was written", () =>
    Effect.gen(function*() {
      const { disks, start } = yield* lost
      const before = recordOf(disks[1]!)
      const clusterId = yield* takeOver(disks[1]!)
      const after = recordOf(disks[1]!)
      assert.strictEqual(after.memberId, before.memberId)
      assert.deepStrictEqual(after.clusterId, Option.some(clusterId))
      assert.notDeepEqual(after.clusterId, before.clusterId)
      assert.deepStrictEqual(after.formerClusters, Option.toArray(before.clusterId))
      const member = yield* start(1)
      yield* until(isUp(member))
      const { dkv, kv } = yield* services(member)
      const range = { key: bytes("k"), end: new Uint8Array(0), limit: 1, reverse: false }
      const [found] = yield* passing(kv.read([range], { consistency: "linearizable", timeoutMillis: 5000 }))
      assert.strictEqual(found?._tag === "Range" ? found.kvs.length : 0, 1)
      const { configuration } = yield* dkv.status
      assert.deepStrictEqual(configuration.voters, [dkv.memberId])
    }))

  it.effect(
    "cut off by a crash at any step leaves the old cluster or the new one, and the next start completes what was decided",
    () =>
      Effect.gen(function*() {
        const outcomes = new Set<string>()
        for (let step = 1;; step++) {
          const { disks, start } = yield* lost
          const disk = disks[0]!
          const before = recordOf(disk)
          disk.memory.crashAt(disk.memory.steps() + step)
          const outcome = yield* Effect.exit(takeOver(disk))
          disk.memory.crash()
          yield* disk.memory.restart
          const decided = recordOf(disk)
          const isNew = Option.isSome(decided.takeOver) || decided.formerClusters.length > 0
          outcomes.add(Option.isSome(decided.takeOver) ? "decided" : isNew ? "new" : "old")
          const member = yield* start(0)
          yield* until(isUp(member))
          yield* TestClock.adjust("20 seconds")
          const { dkv } = yield* services(member)
          const { configuration, role } = yield* dkv.status
          assert.strictEqual(role === "Leader", isNew, `step ${step}`)
          assert.strictEqual(configuration.members.length, isNew ? 1 : 3, `step ${step}`)
          assert.strictEqual(dkv.clusterId === Option.getOrThrow(before.clusterId), !isNew, `step ${step}`)
          yield* stop(member)
          if (Exit.isSuccess(outcome)) break
        }
        assert.deepStrictEqual([...outcomes].sort(), ["decided", "new", "old"])
      }),
    120_000
  )

  it.effect("tells members that come with their old data that they were given up", () =>
    Effect.gen(function*() {
      const { disks, start } = yield* lost
      yield* takeOver(disks[1]!)
      yield* until(isUp(yield* start(1)))
      const old = yield* start(0)
      yield* until(isUp(old))
      const { dkv } = yield* services(old)
      const why = yield* passing(Effect.flip(dkv.stopped))
      assert.match(why.message, /dkv-0 .* was given up: dkv-1 has taken its cluster over.*remove its data directory/)
    }))

  it.effect("stops nobody who finds a quorum of the old cluster, leader or not", () =>
    Effect.gen(function*() {
      const { disks, start } = yield* lost
      yield* takeOver(disks[1]!)
      yield* until(isUp(yield* start(1)))
      for (let round = 0; round < 4; round++) {
        const members = yield* Effect.forEach([0, 2], start)
        for (const member of members) yield* until(isUp(member))
        const all = yield* Effect.forEach(members, services)
        const stops = yield* Effect.forEach(all, ({ dkv }) =>
          Effect.forkChild(Effect.flip(dkv.stopped), { startImmediately: true }))
        yield* until(Effect.map(
          Effect.forEach(all, ({ dkv }) =>
            dkv.status),
          (found) => found.some(({ role }) => role === "Leader")
        ))
        yield* TestClock.adjust("10 seconds")
        for (const stopped of stops) assert.isUndefined(stopped.pollUnsafe())
        for (const member of members) yield* stop(member)
      }
    }))

  it.effect("is refused for an empty directory, for damaged data, and for data that was being rebuilt", () =>
    Effect.gen(function*() {
      const empty = yield* Effect.flip(inspect(yield* makeFaultyDisk))
      assert.match(empty.message, /no member of a cluster here/)
      const { disks } = yield* lost
      disks[0]!.memory.rot("/data/log/00000000000000000001.log", 3, 1)
      assert.match((yield* Effect.flip(inspect(disks[0]!))).message, /dkv-0 is damaged: .*0001\.log at 0.*backup/)
      const records = yield* Effect.provide(MemberRecord, disks[1]!.parts.record!)
      const rebuild = Option.some({ memberId: "00000000000000aa", reason: "rot" })
      yield* records.save({ ...recordOf(disks[1]!), rebuild })
      assert.match((yield* Effect.flip(inspect(disks[1]!))).message, /being rebuilt/)
    }))

  it.effect("is refused for a member that left", () =>
    Effect.gen(function*() {
      const { disks, start } = yield* lost
      const members = yield* Effect.forEach([0, 1, 2], start)
      for (const member of members) yield* until(isUp(member))
      yield* TestClock.adjust("5 seconds")
      const { memberId } = recordOf(disks[2]!)
      const { node } = yield* services(members[0]!)
      const leave = { _tag: "Leave", id: memberId, force: false } as const
      // a change may be refused while the one before it is being finished, and is then asked for again
      yield* until(Effect.map(Effect.exit(passing(node.changeMembership(leave))), Exit.isSuccess))
      yield* TestClock.adjust("1 second")
      for (const member of members) yield* stop(member)
      assert.match((yield* Effect.flip(inspect(disks[2]!))).message, /dkv-2 is not in the cluster any more/)
    }))

  it.effect("is refused for a witness, before anything of it is opened as if it held data", () =>
    Effect.gen(function*() {
      const { disks } = yield* lost
      const { parts } = disks[0]!
      const records = yield* Effect.provide(MemberRecord, parts.record!)
      yield* records.save({ ...recordOf(disks[0]!), witness: true })
      const opened = Layer.effectContext(Effect.die("opened"))
      const refusal = TakeOver.inspect({ log: () => opened, state: opened }).pipe(
        Effect.provide(parts.record!),
        Effect.flip
      )
      assert.match((yield* refusal).message, /dkv-0 is a witness, which has no data/)
    }))
})
