/** Whole members under virtual time whose state is in memory only: what a crash takes from them, and how they get it back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { StateMachineError } from "../src/StateMachine.ts"
import { passing } from "./support/Cluster.ts"
import { tag } from "./support/Members.ts"
import { bytes, text } from "./support/Register.ts"
import * as VolatileMembers from "./support/VolatileMembers.ts"
import type { Running } from "./support/VolatileMembers.ts"

type Members = Effect.Success<ReturnType<typeof VolatileMembers.make>>

const numbered = (first: number, last: number): ReadonlyArray<string> =>
  Array.from({ length: last - first + 1 }, (_, n) => `command ${first + n}`)

/** Proposes each on its own, and has them acknowledged. */
const propose = (member: Running, commands: ReadonlyArray<string>) =>
  passing(
    Effect.forEach(
      commands,
      (command) => Effect.map(member.node.propose([bytes(command)]), ([result]) => text(result!))
    ),
    60_000
  )

/** Crashes everyone at once, and starts them again. */
const crashAll = Effect.fnUntraced(function*({ running, start }: Members) {
  const members = [...running.values()]
  for (const member of members) yield* member.crash
  const again: Array<Running> = []
  for (const member of members) again.push(yield* start(member.number, member))
  return again
})

/** Everyone has these commands, each once and in this order, and answers as if nothing had been. */
const assertAllHave = Effect.fnUntraced(function*(members: Members, commands: ReadonlyArray<string>) {
  const leader = yield* members.elected
  assert.deepStrictEqual(yield* propose(leader, ["last"]), [String(commands.length + 1)])
  const everyone = [...members.running.values()]
  yield* members.until(
    "everyone has everything",
    () => everyone.every(({ journal }) => journal.commands.length > commands.length)
  )
  for (const { journal } of everyone) assertSame(journal.commands, [...commands, "last"])
})

/** By their beginnings: some are long. */
const assertSame = (actual: ReadonlyArray<string>, expected: ReadonlyArray<string>): void =>
  assert.deepStrictEqual(actual.map((command) => command.slice(0, 20)), expected.map((command) => command.slice(0, 20)))

const settings = { trailingEntries: 0, compactAfterBytes: 1 }

describe("volatile members", () => {
  for (const founders of [[1], [1, 2, 3]]) {
    it.effect(`a crash of all of ${founders.length} takes the memory, and nothing that was acknowledged: the log goes on behind the snapshot`, () =>
      Effect.gen(function*() {
        const cluster = yield* VolatileMembers.make(founders, { trailingEntries: 0, compactAfterBytes: 150 })
        const leader = yield* cluster.elected
        yield* propose(leader, numbered(1, 20))
        yield* cluster.until("snapshots", () => [...cluster.running.values()].every(({ medium }) => medium.commits > 0))
        yield* TestClock.adjust(1000)
        const commits = [...cluster.running.values()].map(({ medium }) => medium.commits)
        yield* propose(leader, numbered(21, 25))
        assert.deepStrictEqual([...cluster.running.values()].map(({ medium }) => medium.commits), commits)
        for (const { journal, log, node } of yield* crashAll(cluster)) {
          assert.strictEqual((yield* node.status).appliedIndex, log.previousIndex, "the log begins behind the snapshot")
          assert.isAbove(log.previousIndex, 5)
          assert.isBelow(journal.commands.length, 25)
          assert.isAtLeast(log.entries.length, 5)
        }
        yield* assertAllHave(cluster, numbered(1, 25))
      }))
  }

  it.effect("the log is not shortened while the snapshot is being written, and a crash then loses nothing", () =>
    Effect.gen(function*() {
      for (const stalled of ["writing", "committing"] as const) {
        yield* Effect.scoped(Effect.gen(function*() {
          const cluster = yield* VolatileMembers.make([1], settings)
          const leader = yield* cluster.elected
          yield* propose(leader, numbered(1, 5))
          yield* TestClock.adjust(1000)
          const { previousIndex } = leader.log
          const { commits } = leader.medium
          assert.isAbove(commits, 0)
          yield* leader.medium[stalled].close
          yield* propose(leader, numbered(6, 20))
          yield* TestClock.adjust(5000)
          assert.deepStrictEqual([leader.log.previousIndex, leader.medium.commits], [previousIndex, commits])
          const [again] = yield* crashAll(cluster)
          assert.deepStrictEqual(again!.journal.commands, numbered(1, 5), "as of the snapshot before")
          yield* assertAllHave(cluster, numbered(1, 20))
        }))
      }
    }))

  it.effect("again and again: whenever the crash comes, the acknowledged commands are there once each", () =>
    Effect.gen(function*() {
      const cluster = yield* VolatileMembers.make([1, 2, 3], settings)
      for (let round = 0; round < 8; round++) {
        const leader = yield* cluster.elected
        yield* propose(leader, numbered(round * 7 + 1, round * 7 + 7))
        yield* TestClock.adjust(round * 70)
        yield* crashAll(cluster)
      }
      yield* assertAllHave(cluster, numbered(1, 56))
    }))

  it.effect("a damaged snapshot is refused at the start of the member, with what to do", () =>
    Effect.gen(function*() {
      const cluster = yield* VolatileMembers.make([1], settings)
      const leader = yield* cluster.elected
      yield* propose(leader, numbered(1, 5))
      yield* TestClock.adjust(1000)
      yield* leader.crash
      leader.medium.damage = new StateMachineError({
        reason: "Corrupt",
        message: "/state/snapshot at 12: a chunk is damaged"
      })
      const error = yield* Effect.flip(cluster.start(1, leader))
      assert.strictEqual(error._tag, "StateMachineError")
      assert.match(error.message, /snapshot at 12: a chunk is damaged.*Remove this member's data directory/)
    }))

  it.effect("a snapshot that is gone while the log goes on behind it is refused, with what to do", () =>
    Effect.gen(function*() {
      const cluster = yield* VolatileMembers.make([1], settings)
      const leader = yield* cluster.elected
      yield* propose(leader, numbered(1, 5))
      yield* TestClock.adjust(1000)
      yield* leader.crash
      leader.medium.stored = undefined
      assert.match(
        (yield* Effect.flip(cluster.start(1, leader))).message,
        /the state was lost or replaced.*Rebuild the member/
      )
    }))
})

/** Three members of which one is far behind, with a state of several blocks. */
const behind = Effect.gen(function*() {
  const cluster = yield* VolatileMembers.make([1, 2, 3], settings)
  const leader = yield* cluster.elected
  const late = [...cluster.running.values()].find((member) => member !== leader)!
  yield* propose(leader, numbered(1, 3))
  yield* TestClock.adjust(1000)
  cluster.network.isolate(late.id)
  const commands = Array.from({ length: 20 }, (_, n) => `${n} `.padEnd(60_000, "x"))
  yield* propose(leader, commands)
  yield* TestClock.adjust(1000)
  assert.isAbove(leader.log.previousIndex, late.log.lastIndex)
  return { cluster, leader, late, commands: [...numbered(1, 3), ...commands] }
})

describe("a volatile member that is far behind", () => {
  it.effect("is caught up by a snapshot, which a crash at once does not take from it", () =>
    Effect.gen(function*() {
      const { cluster, commands, late } = yield* behind
      let chunks = 0
      cluster.network.filter = (_, to, frame) => {
        if (to === late.id && frame[0] === tag.snapshotChunk) chunks++
        return true
      }
      cluster.network.heal()
      yield* cluster.until("the snapshot", () => late.journal.commands.length === commands.length)
      assert.strictEqual(chunks, 5)
      yield* late.crash
      const again = yield* cluster.start(late.number, late)
      assertSame(again.journal.commands, commands)
      yield* assertAllHave(cluster, commands)
    }))

  it.effect("that crashes while it receives one goes on with what it had, and gets another", () =>
    Effect.gen(function*() {
      const { cluster, commands, late } = yield* behind
      let chunks = 0
      cluster.network.filter = (_, to, frame) => to !== late.id || frame[0] !== tag.snapshotChunk || ++chunks <= 2
      const { writes } = late.medium
      cluster.network.heal()
      yield* cluster.until("a part of the snapshot", () => late.medium.writes === writes + 2)
      yield* late.crash
      cluster.network.filter = () => true
      const again = yield* cluster.start(late.number, late)
      assertSame(again.journal.commands, numbered(1, 3))
      yield* assertAllHave(cluster, commands)
    }))

  it.effect("that crashes before the snapshot is stored goes on with what it had, and gets another", () =>
    Effect.gen(function*() {
      const { cluster, commands, late } = yield* behind
      yield* late.medium.committing.close
      const { restores } = late.journal
      cluster.network.heal()
      yield* cluster.until("all of the snapshot", () => late.journal.restores > restores)
      yield* late.crash
      const again = yield* cluster.start(late.number, late)
      assertSame(again.journal.commands, numbered(1, 3))
      yield* assertAllHave(cluster, commands)
    }))

  it.effect("that crashes with the snapshot stored and its log not begun anew begins behind the snapshot", () =>
    Effect.gen(function*() {
      const { cluster, commands, late } = yield* behind
      const { commits } = late.medium
      cluster.network.filter = (_, to, frame) => {
        if (to === late.id && frame[0] === tag.snapshotChunk) late.log.disk.closeUnsafe()
        return true
      }
      cluster.network.heal()
      yield* cluster.until("the stored snapshot", () => late.medium.commits > commits)
      yield* TestClock.adjust(100)
      assert.isBelow(late.log.lastIndex, commands.length, "its reset hangs")
      yield* late.crash
      late.log.disk.openUnsafe()
      cluster.network.filter = () => true
      const again = yield* cluster.start(late.number, late)
      assertSame(again.journal.commands, commands)
      assert.isAtLeast(again.log.previousIndex, commands.length)
      yield* assertAllHave(cluster, commands)
    }))
})
