/** How long the stages of a proposal take, and what observers are told. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream, Struct } from "effect"
import { TestClock } from "effect/testing"
import type { RaftNode } from "../src/index.ts"
import * as Limits from "../src/Limits.ts"
import * as Stages from "../src/Stages.ts"
import * as Cluster from "./support/Cluster.ts"
import { followersOf } from "./support/Members.ts"
import { bytes } from "./support/Register.ts"

const { passing } = Cluster

const counts = ({ applied, committed, persisted, queued }: Stages.Latency) =>
  [queued, persisted, committed, applied].map(({ count }) => count)

const sums = ({ applied, committed, persisted, queued }: Stages.Latency) =>
  [queued, persisted, committed, applied].map(({ sumMillis }) => sumMillis)

describe("stages", () => {
  it("a group is put down once for each stage, with the time that the stage took", () => {
    const stages = new Stages.Stages()
    stages.appended(5, 100, 110)
    stages.appended(7, 105, 110)
    stages.progressed(5, 0, 115)
    stages.progressed(7, 6, 130)
    stages.applied(6, 150)
    assert.deepStrictEqual(counts(stages.latency), [2, 2, 1, 1])
    assert.deepStrictEqual(sums(stages.latency), [15, 25, 20, 20])
    stages.progressed(7, 7, 160)
    stages.applied(7, 161)
    assert.deepStrictEqual(counts(stages.latency), [2, 2, 2, 2])
    assert.deepStrictEqual(sums(stages.latency), [15, 25, 70, 21])
  })

  it("only so many groups are timed at once, however far the state machine is behind", () => {
    const stages = new Stages.Stages()
    for (let index = 1; index <= Limits.trackedGroupsMax + 5; index++) stages.appended(index, 0, 1)
    assert.strictEqual(stages.size, Limits.trackedGroupsMax)
    const last = Limits.trackedGroupsMax + 5
    stages.progressed(last, last, 2)
    stages.applied(last, 3)
    assert.deepStrictEqual(counts(stages.latency), [last, last - 5, last - 5, last - 5])
    assert.strictEqual(stages.size, 0)
  })

  it("what another leader replaced, or a snapshot jumped over, counts no further", () => {
    const stages = new Stages.Stages()
    for (const index of [5, 6, 7, 8]) stages.appended(index, 0, 0)
    stages.progressed(6, 5, 1)
    stages.truncated(7)
    stages.progressed(9, 9, 2)
    stages.skipped(9)
    stages.applied(9, 3)
    assert.deepStrictEqual(counts(stages.latency), [4, 2, 2, 0])
    stages.appended(10, 3, 3)
    stages.progressed(10, 10, 4)
    stages.applied(10, 5)
    assert.deepStrictEqual(counts(stages.latency), [5, 3, 3, 1])
  })

  it("a duration is counted below the first bound that it does not exceed", () => {
    const stages = new Stages.Stages()
    const durations = [0, 1 / 16, 0.07, 1, 1.01, 16_384, 20_000]
    for (const duration of durations) stages.appended(1, 0, duration)
    const { boundsMillis, counts } = stages.latency.queued
    assert.strictEqual(counts.length, boundsMillis.length + 1)
    const bounds = counts.flatMap((count, at) => Array.from({ length: count }, () => boundsMillis[at] ?? Infinity))
    assert.strictEqual(bounds.length, durations.length)
    for (const [at, duration] of durations.entries()) {
      assert.isAtLeast(bounds[at]!, duration)
      const position = boundsMillis.indexOf(bounds[at]!)
      if (position > 0) assert.isAbove(duration, boundsMillis[position - 1]!)
    }
  })

  it.effect("a member that leads measures what it commits, and the others nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      yield* passing(leader.node.propose([bytes("a"), bytes("b")]))
      yield* passing(follower!.node.propose([bytes("c")]))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(counts(yield* leader.node.latency), [2, 2, 2, 2])
      assert.deepStrictEqual(counts(yield* follower!.node.latency), [0, 0, 0, 0])
    }))
})

describe("events", () => {
  it.effect("tell who leads, in which role this member is, and which configuration is in force", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [one, other] = followersOf(cluster, leader)
      const watching = yield* Effect.forkChild(
        one!.node.events.pipe(Stream.takeUntil(({ _tag }) => _tag === "Configuration"), Stream.runCollect),
        { startImmediately: true }
      )
      yield* leader.stop
      const next = yield* cluster.elected
      yield* passing(
        next.node.changeMembership({ _tag: "Leave", id: leader.id, force: false })
      )
      const events = yield* passing(Fiber.join(watching))
      const told = events.map((event) => event._tag)
      assert.include(told, "Role")
      assert.deepStrictEqual(
        events.flatMap((event) => event._tag === "Leader" && event.leader._tag === "Some" ? [event.leader.value] : []),
        [next.id]
      )
      assert.deepStrictEqual(events.map(({ number }) => number - events[0]!.number), events.map((_, at) => at))
      assert.isDefined(other)
    }))

  it.effect("tell of a voter that falls silent and is heard again, of its snapshot on both sides, and of one that was removed", () =>
    Effect.gen(function*() {
      const settings = { compactAfterBytes: 1, trailingEntries: 2 }
      const cluster = yield* Cluster.make([1, 2, 3], settings, { deadMemberMillis: 20_000 })
      const leader = yield* cluster.elected
      const [away] = followersOf(cluster, leader)
      const eventsOf = Effect.fnUntraced(function*(member: Cluster.Running) {
        const events: Array<RaftNode.Event> = []
        yield* Effect.forkChild(
          Stream.runForEach(member.node.events, (event) => Effect.sync(() => events.push(event))),
          {
            startImmediately: true
          }
        )
        return events
      })
      const [atLeader, atAway] = [yield* eventsOf(leader), yield* eventsOf(away!)]
      cluster.network.isolate(away!.id)
      for (let number = 0; number < 20; number++) yield* passing(cluster.propose(leader, `v${number}`))
      yield* TestClock.adjust(40_000)
      cluster.network.heal()
      yield* TestClock.adjust(10_000)
      const { appliedIndex } = yield* away!.node.status
      const voter = { voter: away!.id }
      const kept = (events: ReadonlyArray<RaftNode.Event>, ...tags: ReadonlyArray<RaftNode.Event["_tag"]>) =>
        events.filter(({ _tag }) => tags.includes(_tag))
          .map((event): Record<string, unknown> => Struct.omit(event, ["atMillis", "number"]))
      assert.deepStrictEqual(kept(atLeader, "Silent", "HeardAgain"), [
        { _tag: "Silent", ...voter },
        { _tag: "HeardAgain", ...voter }
      ])
      const sent = { _tag: "SnapshotSent", peer: away!.id }
      assert.deepStrictEqual(kept(atLeader, "SnapshotSent"), [
        { ...sent, index: 6, delivered: false },
        { ...sent, index: appliedIndex, delivered: true }
      ])
      assert.deepStrictEqual(kept(atAway, "SnapshotInstalled"), [{ _tag: "SnapshotInstalled", index: appliedIndex }])
      yield* passing(leader.node.changeMembership({ _tag: "Leave", id: away!.id, force: false }))
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(kept(atAway, "Removed"), [{ _tag: "Removed" }])
    }))

  it.effect("wait for nobody: who does not listen in time loses the oldest, and sees it by their numbers", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1])
      const { node } = yield* cluster.elected
      const slow = yield* Stream.toPull(node.events)
      const first = yield* Effect.forkChild(slow, { startImmediately: true })
      for (let turn = 0; turn < Limits.eventsMax; turn++) {
        yield* passing(node.changeMembership({
          _tag: "Update",
          id: node.id,
          peerAddress: `moved-${turn}:2380`,
          clientAddress: ""
        }))
      }
      const [before] = yield* Fiber.join(first)
      const [after] = yield* slow
      assert.isAbove(after!.number, before!.number + 1)
    }).pipe(Effect.scoped))
})
