import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Limits from "../src/Limits.ts"
import { MemberRecord } from "../src/MemberRecord.ts"
import * as Self from "../src/Self.ts"
import { FakeCluster, isWaiting, settled } from "./FakeCluster.ts"
import type { Process } from "./FakeCluster.ts"

const names = ["dkv-0", "dkv-1", "dkv-2"]

const clusterOf = (process: Process) => Effect.map(settled(process), (record) => Option.getOrThrow(record.clusterId))

const rejoins = (cluster: FakeCluster, process: Process) =>
  Effect.gen(function*() {
    yield* TestClock.adjust("10 seconds")
    const record = yield* settled(process)
    const joins = cluster.changes.filter((change) => change._tag === "Join")
    return { record, joins }
  })

describe("a member that is started beyond the limits", () => {
  const started = (name: string, initialCluster: Self.Options["initialCluster"]) =>
    Effect.gen(function*() {
      const options = {
        name,
        initialCluster,
        peerAddress: "a:2380",
        clientAddress: "",
        forceNewCluster: false
      } as const
      const { message } = yield* Effect.flip(Self.make({ ...options, initialClusterState: "new" }))
      const records = yield* MemberRecord
      assert.isTrue(Option.isNone(yield* records.load))
      return message
    }).pipe(Effect.provide(MemberRecord.layerMemory))

  it.effect("fails with the limit, and writes nothing down", () =>
    Effect.gen(function*() {
      assert.match(yield* started("漢".repeat(86), []), /256 bytes at most/)
      const many = Array.from({ length: 65 }, (_, at) => ({ name: `dkv-${at}`, peerAddress: `dkv-${at}:2380` }))
      assert.match(yield* started("dkv-0", many), /lists 65 members, 64 are allowed/)
    }))
})

describe("founding", () => {
  it.effect("the first listed name founds once every other has answered, and all get the same cluster and configuration", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const first = yield* cluster.start("dkv-0")
      const second = yield* cluster.start("dkv-1")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isWaiting(first))
      assert.isTrue(isWaiting(second))
      const third = yield* cluster.start("dkv-2")
      yield* TestClock.adjust("10 seconds")
      const records = yield* Effect.forEach([first, second, third], settled)
      assert.strictEqual(new Set(records.map((record) => Option.getOrThrow(record.clusterId))).size, 1)
      assert.strictEqual(new Set(records.map((record) => record.memberId)).size, 3)
      for (const record of records) {
        const founding = Option.getOrThrow(record.founding)
        assert.deepStrictEqual(founding.voters, records.map((each) => each.memberId))
        assert.deepStrictEqual(founding.members.map((member) => member.name), names)
        assert.deepStrictEqual(
          founding.members.map((member) => member.clientAddress),
          names.map((name) => `${name}:3000`)
        )
      }
    }))

  it.effect("a single listed member founds at once, without asking anyone", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(["dkv-0"])
      const only = yield* cluster.start("dkv-0")
      yield* TestClock.adjust(1)
      yield* settled(only)
      assert.deepStrictEqual(cluster.sent, [])
    }))

  it.effect("a member that is not the first never founds", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const second = yield* cluster.start("dkv-1")
      const third = yield* cluster.start("dkv-2")
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(isWaiting(second))
      assert.isTrue(isWaiting(third))
    }))

  it.effect("members with different lists found nothing", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const first = yield* cluster.start("dkv-0")
      yield* cluster.start("dkv-1")
      yield* cluster.start("dkv-2", { initialCluster: [cluster.list[2]!, cluster.list[0]!, cluster.list[1]!] })
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isWaiting(first))
      assert.isFalse(cluster.sent.some(({ request }) => request._tag === "Found"))
    }))

  it.effect("a founder that dies before it has written the cluster down has founded nothing, and founds after its restart", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      cluster.crashes.set("dkv-0", "before")
      yield* cluster.start("dkv-0")
      const second = yield* cluster.start("dkv-1")
      const third = yield* cluster.start("dkv-2")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isWaiting(second))
      const again = yield* cluster.start("dkv-0")
      yield* TestClock.adjust("10 seconds")
      const clusters = yield* Effect.forEach([again, second, third], clusterOf)
      assert.strictEqual(new Set(clusters).size, 1)
    }))

  it.effect("a founder that dies just after it has written the cluster down tells the others after its restart", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      cluster.crashes.set("dkv-0", "after")
      yield* cluster.start("dkv-0")
      const second = yield* cluster.start("dkv-1")
      const third = yield* cluster.start("dkv-2")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isWaiting(second))
      assert.isTrue(isWaiting(third))
      const written = Option.getOrThrow(cluster.disks.get("dkv-0")!.clusterId)
      const again = yield* cluster.start("dkv-0")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Effect.forEach([again, second, third], clusterOf), [written, written, written])
    }))

  it.effect("when the founder dies for good after telling one, that one's word brings in the other", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const isFounded = () => Option.isSome(cluster.disks.get("dkv-0")!.clusterId)
      cluster.filter = (from, to) => !(isFounded() && (from === "dkv-2" || to === "dkv-2:2380"))
      const first = yield* cluster.start("dkv-0")
      const second = yield* cluster.start("dkv-1")
      const third = yield* cluster.start("dkv-2")
      while (isWaiting(second)) yield* TestClock.adjust("10 millis")
      yield* cluster.kill(first)
      assert.isTrue(isWaiting(third))
      cluster.filter = () => true
      yield* TestClock.adjust("10 seconds")
      const [left, right] = yield* Effect.all([settled(second), settled(third)])
      assert.deepStrictEqual(left.clusterId, right.clusterId)
      assert.deepStrictEqual(left.founding, right.founding)
    }))

  it.effect("a founder goes on telling one that cannot ask", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      let deaf = true
      cluster.filter = (from, to, request) =>
        from !== "dkv-2" && !(deaf && to === "dkv-2:2380" && request._tag === "Found")
      const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
      yield* TestClock.adjust("1 minute")
      assert.isFalse(isWaiting(processes[1]!))
      assert.isTrue(isWaiting(processes[2]!))
      deaf = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* clusterOf(processes[2]!), yield* clusterOf(processes[0]!))
    }))

  it.effect("a told member that dies before it has written the cluster down is told again", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      cluster.crashes.set("dkv-1", "before")
      const first = yield* cluster.start("dkv-0")
      yield* cluster.start("dkv-1")
      const third = yield* cluster.start("dkv-2")
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Option.isNone(cluster.disks.get("dkv-1")!.clusterId))
      const again = yield* cluster.start("dkv-1")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(new Set(yield* Effect.forEach([first, again, third], clusterOf)).size, 1)
    }))

  it.effect("a told member that dies just after it has written the cluster down is in it after its restart", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      cluster.crashes.set("dkv-1", "after")
      const first = yield* cluster.start("dkv-0")
      yield* cluster.start("dkv-1")
      yield* cluster.start("dkv-2")
      yield* TestClock.adjust("10 seconds")
      const again = yield* cluster.start("dkv-1")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* clusterOf(again), yield* clusterOf(first))
    }))

  it.effect("a cluster is not founded twice: a restart with the same flags, all disks kept, changes nothing", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
      yield* TestClock.adjust("10 seconds")
      const before = yield* Effect.forEach(processes, settled)
      yield* Effect.forEach(processes, (process) => cluster.kill(process))
      const again = yield* Effect.forEach(names, (name) => cluster.start(name))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Effect.forEach(again, settled), before)
    }))

  it.effect("by force, the cluster is founded with those who answer, and names the others as pending", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const second = yield* cluster.start("dkv-1")
      const first = yield* cluster.start("dkv-0", { forceNewCluster: true })
      yield* TestClock.adjust(Limits.forceAfterMillis - 10)
      assert.isTrue(Option.isNone(first.self.record().clusterId), "the others may only be starting")
      yield* TestClock.adjust(Limits.roundDelayMillisMax + Limits.probeTimeoutMillis)
      const record = yield* settled(first)
      assert.deepStrictEqual(Option.getOrThrow(record.founding).members.map((member) => member.name), [
        "dkv-0",
        "dkv-1"
      ])
      assert.deepStrictEqual(record.pending, ["dkv-2"])
      assert.deepStrictEqual((yield* settled(second)).clusterId, record.clusterId)
    }))

  it.effect("not even force founds a second cluster beside one that answers", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
      yield* TestClock.adjust("10 seconds")
      const clusterId = yield* clusterOf(processes[1]!)
      yield* cluster.kill(processes[0]!)
      cluster.leader = (yield* settled(processes[1]!)).memberId
      cluster.silent.add((yield* settled(processes[0]!)).memberId)
      cluster.loseDisk("dkv-0")
      const again = yield* cluster.start("dkv-0", { forceNewCluster: true })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* clusterOf(again), clusterId)
    }))
})

describe("coming back without a disk", () => {
  const founded = Effect.gen(function*() {
    const cluster = new FakeCluster(names)
    const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
    yield* TestClock.adjust("10 seconds")
    const records = yield* Effect.forEach(processes, settled)
    cluster.leader = records[1]!.memberId
    return { cluster, processes, records }
  })

  it.effect("the first listed member asks for its old place under a new id, and founds nothing", () =>
    Effect.gen(function*() {
      const { cluster, processes, records } = yield* founded
      yield* cluster.kill(processes[0]!)
      cluster.silent.add(records[0]!.memberId)
      cluster.loseDisk("dkv-0")
      const { joins, record } = yield* rejoins(cluster, yield* cluster.start("dkv-0"))
      assert.notStrictEqual(record.memberId, records[0]!.memberId)
      assert.deepStrictEqual(record.clusterId, records[1]!.clusterId)
      assert.isTrue(Option.isNone(record.founding))
      assert.strictEqual(joins.length, 1)
      assert.deepStrictEqual(joins[0]!.replaces, Option.some(records[0]!.memberId))
      assert.isTrue(joins[0]!.member.autoPromote)
    }))

  it.effect("waits for as long as its former self answers", () =>
    Effect.gen(function*() {
      const { cluster, processes, records } = yield* founded
      yield* cluster.kill(processes[0]!)
      cluster.loseDisk("dkv-0")
      const again = yield* cluster.start("dkv-0")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isWaiting(again))
      assert.deepStrictEqual(cluster.changes, [])
      cluster.silent.add(records[0]!.memberId)
      const { joins } = yield* rejoins(cluster, again)
      assert.strictEqual(joins.length, 1)
    }))

  it.effect("waits when its former self was only not heard yet by a leader that was just elected", () =>
    Effect.gen(function*() {
      const { cluster, processes, records } = yield* founded
      yield* cluster.kill(processes[0]!)
      cluster.loseDisk("dkv-0")
      cluster.silent.add(records[0]!.memberId)
      const again = yield* cluster.start("dkv-0")
      yield* TestClock.adjust("900 millis")
      cluster.silent.delete(records[0]!.memberId)
      yield* TestClock.adjust("1 minute")
      assert.isTrue(isWaiting(again))
      assert.deepStrictEqual(cluster.changes, [])
    }))

  it.effect("a disk lost twice leaves one learner, which replaces the voter", () =>
    Effect.gen(function*() {
      const { cluster, processes, records } = yield* founded
      yield* cluster.kill(processes[2]!)
      cluster.silent.add(records[2]!.memberId)
      cluster.loseDisk("dkv-2")
      const once = yield* cluster.start("dkv-2")
      const { record } = yield* rejoins(cluster, once)
      yield* cluster.kill(once)
      cluster.silent.add(record.memberId)
      cluster.loseDisk("dkv-2")
      const { joins } = yield* rejoins(cluster, yield* cluster.start("dkv-2"))
      assert.strictEqual(joins.length, 2)
      assert.deepStrictEqual(joins[1]!.replaces, Option.some(records[2]!.memberId))
      const learners = cluster.configuration.members.filter((member) =>
        !cluster.configuration.voters.includes(member.id)
      )
      assert.strictEqual(learners.length, 1)
    }))

  it.effect("let in without hearing of it, it finds itself in the configuration", () =>
    Effect.gen(function*() {
      const { cluster, processes, records } = yield* founded
      yield* cluster.kill(processes[2]!)
      cluster.silent.add(records[2]!.memberId)
      cluster.loseDisk("dkv-2")
      cluster.crashes.set("dkv-2", "before")
      yield* cluster.start("dkv-2")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(cluster.configuration.members.length, 4)
      const { joins, record } = yield* rejoins(cluster, yield* cluster.start("dkv-2"))
      assert.strictEqual(joins.length, 1)
      assert.deepStrictEqual(record.clusterId, records[0]!.clusterId)
      assert.isTrue(Option.isNone(record.founding))
    }))
})

describe("a new member", () => {
  it.effect("waits until it is let in, and then belongs to the cluster as none of its founders", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const processes = yield* Effect.forEach(names, (name) => cluster.start(name))
      yield* TestClock.adjust("10 seconds")
      const fourth = yield* cluster.start("dkv-3", {
        initialClusterState: "existing",
        initialCluster: [...cluster.list, { name: "dkv-3", peerAddress: "dkv-3:2380" }]
      })
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(isWaiting(fourth))
      cluster.configuration = {
        ...cluster.configuration,
        members: [
          ...cluster.configuration.members,
          { ...cluster.configuration.members[0]!, id: fourth.self.record().memberId, name: "dkv-3" }
        ]
      }
      yield* TestClock.adjust("10 seconds")
      const record = yield* settled(fourth)
      assert.deepStrictEqual(record.clusterId, (yield* settled(processes[0]!)).clusterId)
      assert.isTrue(Option.isNone(record.founding))
    }))

  it.effect("started as existing, never founds, even as the first of a list that answers nothing", () =>
    Effect.gen(function*() {
      const cluster = new FakeCluster(names)
      const first = yield* cluster.start("dkv-0", { initialClusterState: "existing" })
      yield* cluster.start("dkv-1")
      yield* cluster.start("dkv-2")
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(isWaiting(first))
    }))
})
