/** What is seen of a member that does not run, and how one goes on alone. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { LogStore } from "../src/LogStore.ts"
import * as Offline from "../src/Offline.ts"
import { StateMachine } from "../src/StateMachine.ts"
import * as Cluster from "./support/Cluster.ts"
import type { MemoryLog } from "./support/MemoryLog.ts"
import type { Register } from "./support/Register.ts"

const { passing } = Cluster

interface Data {
  readonly log: MemoryLog
  readonly register: Register
}

/** Uses log and state as they lie on the medium. */
const on = <A, E>({ log, register }: Data, use: Effect.Effect<A, E, LogStore | StateMachine>) =>
  Effect.suspend(() =>
    use.pipe(
      Effect.provideService(LogStore, log.service()),
      Effect.provideService(StateMachine, register.service())
    )
  )

/** A follower of three with entries that were never committed, after all have stopped. */
const survivor = Effect.gen(function*() {
  const cluster = yield* Cluster.make([1, 2, 3])
  const leader = yield* cluster.elected
  yield* passing(cluster.propose(leader, "acknowledged"))
  yield* TestClock.adjust(500)
  const members = [...cluster.running.values()]
  for (const member of members) if (member !== leader) yield* member.stop
  yield* Effect.ignore(passing(cluster.propose(leader, "not acknowledged", 500)))
  yield* leader.stop
  return { cluster, data: leader, id: leader.id, number: members.indexOf(leader) + 1 }
})

describe("a member that does not run", () => {
  it.effect("tells its term, the ends of log and state, and who is in the cluster, and nothing changes", () =>
    Effect.gen(function*() {
      const { data } = yield* survivor
      const { writes } = data.log
      const seen = yield* on(data, Offline.inspect)
      assert.strictEqual(seen.term, data.log.hardState.term)
      assert.strictEqual(seen.lastIndex, data.log.lastIndex)
      assert.isBelow(seen.applied.index, seen.lastIndex)
      assert.deepStrictEqual(seen.configuration.members.map(({ name }) => name), ["dkv-1", "dkv-2", "dkv-3"])
      assert.strictEqual(data.log.writes, writes)
    }))

  it.effect("made the only voter, leads alone, with everything that was in its log", () =>
    Effect.gen(function*() {
      const { cluster, data, id, number } = yield* survivor
      const before = yield* on(data, Offline.inspect)
      yield* on(data, Offline.takeOver(id))
      const seen = yield* on(data, Offline.inspect)
      assert.deepStrictEqual([seen.term, seen.lastTerm, seen.lastIndex], [
        before.term + 1,
        before.term + 1,
        before.lastIndex + 1
      ])
      const alone = yield* cluster.start(number, data)
      yield* cluster.elected
      yield* TestClock.adjust(500)
      const { configuration } = yield* alone.node.status
      assert.deepStrictEqual([configuration.members.length, configuration.voters, configuration.outgoing], [
        1,
        [id],
        []
      ])
      assert.deepStrictEqual(data.register.commands, ["acknowledged", "not acknowledged"])
      yield* passing(cluster.propose(alone, "more"))
    }))

  it.effect("made the only voter twice is made so once", () =>
    Effect.gen(function*() {
      const { data, id } = yield* survivor
      yield* on(data, Offline.takeOver(id))
      const { entries, writes } = data.log
      const count = entries.length
      yield* on(data, Offline.takeOver(id))
      assert.deepStrictEqual([data.log.writes, data.log.entries.length], [writes, count])
    }))

  it.effect("that is not in its configuration is not made a voter", () =>
    Effect.gen(function*() {
      const { data } = yield* survivor
      const { writes } = data.log
      const error = yield* Effect.flip(on(data, Offline.takeOver(Cluster.idOf(9))))
      assert.strictEqual((error as { reason?: string }).reason, "NotFound")
      assert.strictEqual(data.log.writes, writes)
    }))
})
