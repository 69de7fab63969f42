/** Whole members under virtual time: what a member makes of the log and the state that it finds when it starts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { TestClock } from "effect/testing"
import * as MetaCodec from "../src/codec/MetaCodec.ts"
import { EntryKind } from "../src/core/Entry.ts"
import * as Entry from "../src/Entry.ts"
import { VolatileMeta } from "../src/VolatileMeta.ts"
import * as Cluster from "./support/Cluster.ts"
import { MemoryLog } from "./support/MemoryLog.ts"
import { bytes, Register } from "./support/Register.ts"

const { passing } = Cluster

describe("start", () => {
  const head = (index: number, term: number) =>
    MetaCodec.encodeHead({
      index,
      term,
      configurationIndex: 1,
      configuration: Cluster.configurationOf(1),
      group: undefined
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

  const registerWith = (head: Uint8Array) => {
    const register = new Register()
    register.meta = new VolatileMeta({ head: Option.some(head), records: [] })
    return register
  }

  const registerOf = (index: number, term: number) => {
    return registerWith(head(index, term))
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
        /the log was lost or replaced.*Rebuild the member/
      )
    }))

  it.effect("a log that begins behind the end of the state means that the state was lost: refused, with what to do", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const log = logOf({ previousIndex: 10, count: 3 })
      const exit = yield* Effect.exit(cluster.start(1, { log, register: registerOf(5, 2) }))
      assert.match(
        String(Exit.isFailure(exit) ? exit.cause : ""),
        /the state was lost or replaced.*Rebuild the member/
      )
    }))

  it.effect("a head that a newer version wrote is refused by name", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const newer = head(5, 2)
      newer[0] = 9
      const register = registerWith(newer)
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

  it.effect("a founder whose crash left the term of its first write without the entry founds all the same", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1])
      yield* cluster.running.get(1)!.stop
      const log = new MemoryLog()
      log.hardState = { term: 1, vote: "" }
      const member = yield* cluster.start(1, { log, register: new Register() })
      yield* cluster.elected
      assert.strictEqual(yield* passing(cluster.propose(member, "a")), "1")
    }))

  it.effect("an id that would be another one once it is written down is refused, of a member and of a founder", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      for (const id of ["node-1", "00000000000000AB", "0000000000000000"]) {
        const founding = { ...Cluster.configurationOf(1), members: [{ ...Cluster.memberOf(1), id }] }
        for (const settings of [{ id }, { id: Cluster.idOf(1), configuration: Option.some(founding) }]) {
          const refused = yield* Effect.flip(cluster.start(1, undefined, { witness: false, ...settings }))
          assert.include(refused.message, `${id} is no member id`)
        }
      }
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
