/**
 * A data directory is started where it does not belong. Number 33 of the historic bugs in the table of `@dkv/testkit`'s README (dragonboat's deployment
 * id, etcd's "cluster ID mismatch").
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { isUp, listOf, makeDisk, passing, services, stop, until, world } from "./Members.ts"
import type { Disk, Running } from "./Members.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]
const bytes = (text: string) => new TextEncoder().encode(text)

const write = (member: Running, key: string) =>
  Effect.gen(function*() {
    const { kv } = yield* services(member)
    return yield* kv.write([{ _tag: "Put", key: bytes(key), value: bytes(key) }], { timeoutMillis: 10_000 })
  })

const keys = (member: Running) =>
  Effect.gen(function*() {
    const { kv } = yield* services(member)
    const [result] = yield* kv.read([{ key: Uint8Array.of(0), end: Uint8Array.of(0), limit: 0, reverse: false }], {
      consistency: "linearizable",
      timeoutMillis: 10_000
    })
    return result?._tag === "Range" ? result.kvs.map((kv) => new TextDecoder().decode(kv.key)) : []
  })

/** A cluster of its own, in which `key` was written, and that has stopped. Its members' disks. */
const cluster = Effect.fnUntraced(function*(key: string) {
  const { start } = yield* world
  const disks = names.map(makeDisk)
  const members = yield* Effect.forEach(names, (name, at) => start(name, listOf(names), { disk: disks[at]! }))
  for (const member of members) yield* until(isUp(member))
  yield* passing(write(members[0]!, key))
  for (const member of members) yield* stop(member)
  return disks
})

const clusterOf = (disk: Disk) => Option.getOrThrow(Option.getOrThrow(disk.record()).clusterId)

describe("a data directory in the wrong place", () => {
  it.effect("#33: a member is started with another one's directory, and two have one identity: refused, with both names", () =>
    Effect.gen(function*() {
      const { start } = yield* world
      const disk = makeDisk()
      yield* start("dkv-0", listOf(["dkv-0"]), { disk }).pipe(
        Effect.tap((member) => until(isUp(member))),
        Effect.flatMap(stop)
      )
      const wrong = yield* start("dkv-1", listOf(["dkv-1"]), { disk })
      yield* until(isUp(wrong))
      const exit = yield* Fiber.await(wrong.fiber)
      assert.isTrue(Exit.isFailure(exit))
      assert.match(String(exit), /the data belongs to member dkv-0, but this one is called dkv-1/)
    }))

  it.effect("#33: a member is started with a directory of another cluster, and brings its log and its votes along: nobody hears it, and it stops", () =>
    Effect.gen(function*() {
      const ours = yield* cluster("ours")
      const theirs = yield* cluster("theirs")
      assert.notStrictEqual(clusterOf(ours[0]!), clusterOf(theirs[0]!))
      const { start } = yield* world
      const disks = [ours[0]!, ours[1]!, theirs[2]!]
      const members = yield* Effect.forEach(names, (name, at) => start(name, listOf(names), { disk: disks[at]! }))
      for (const member of members) yield* until(isUp(member))
      yield* passing(write(members[0]!, "more"))
      const { dkv } = yield* services(members[2]!)
      assert.strictEqual(dkv.clusterId, clusterOf(theirs[2]!))
      const stopped = yield* passing(Effect.flip(dkv.stopped))
      assert.include(stopped.message, `has the data of cluster ${clusterOf(theirs[2]!)}`)
      assert.include(stopped.message, `belong to cluster ${clusterOf(ours[0]!)}`)
      for (const member of members.slice(0, 2)) {
        assert.deepStrictEqual(yield* passing(keys(member)), ["more", "ours"])
      }
      assert.isTrue(Exit.isFailure(yield* passing(Effect.exit(keys(members[2]!)))))
      // With its own directory it is one of them again.
      yield* stop(members[2]!)
      const back = yield* start("dkv-2", listOf(names), { disk: ours[2]! })
      yield* until(isUp(back))
      assert.deepStrictEqual(yield* passing(keys(back)), ["more", "ours"])
    }))

  it.effect("does not stop a member that hears only some of the others: its own cluster may be the one that is silent", () =>
    Effect.gen(function*() {
      const ours = yield* cluster("ours")
      const theirs = yield* cluster("theirs")
      const { start } = yield* world
      const alone = yield* start("dkv-0", listOf(names), { disk: ours[0]! })
      const misplaced = yield* start("dkv-2", listOf(names), { disk: theirs[2]! })
      for (const member of [alone, misplaced]) yield* until(isUp(member))
      yield* passing(Effect.sleep("30 seconds"))
      const { dkv } = yield* services(misplaced)
      assert.isUndefined((yield* Effect.forkChild(dkv.stopped, { startImmediately: true })).pollUnsafe())
    }))
})
