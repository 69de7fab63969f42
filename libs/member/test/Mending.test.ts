/** Entries for a log with a hole, from a member that has them. */
import { Entry, EntryKind } from "@dkv/raft"
import { MemoryLog } from "@dkv/storage"
import { Control } from "@dkv/transport"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Limits from "../src/Limits.ts"
import * as Mending from "../src/Mending.ts"
import { FakeCluster, settled } from "./FakeCluster.ts"
import { passing } from "./Members.ts"

const termOf = (index: number) => index <= 1000 ? 1 : 2

const at = (index: number) => ({ index, term: termOf(index) })

/** Two members, of which the second has `count` entries of `bytes` each behind the first `compacted`, the first `commitIndex` of them committed. */
const pair = Effect.fnUntraced(function*(options: {
  readonly count: number
  readonly bytes?: number
  readonly compacted?: number
  readonly commitIndex?: number
}) {
  const cluster = new FakeCluster(["dkv-0", "dkv-1"])
  const processes = yield* Effect.forEach(["dkv-0", "dkv-1"], (name) => cluster.start(name))
  yield* TestClock.adjust("10 seconds")
  const [asking, asked] = processes as [typeof processes[0] & {}, typeof processes[0] & {}]
  const record = yield* settled(asked)
  const log = MemoryLog.makeOf(MemoryLog.makeMedium())
  const entries = Array.from(
    { length: options.count },
    (_, n) => Entry.make(n + 1, termOf(n + 1), EntryKind.Command, new Uint8Array(options.bytes ?? 8).fill(n % 251))
  )
  yield* Effect.orDie(log.write([{ _tag: "Append", entries }]))
  if (options.compacted !== undefined) yield* Effect.orDie(log.compact(options.compacted))
  const status = { ...cluster.status(record.memberId), commitIndex: options.commitIndex ?? options.count }
  asked.self.setNode({ ...cluster.node(record.memberId), status: Effect.succeed(status) }, log)
  cluster.sent.length = 0
  const clusterId = Option.getOrThrow(record.clusterId)
  const fetch = (before: number | { index: number; term: number }, behind: number | { index: number; term: number }) =>
    passing(
      Mending.entriesFrom(clusterId, ["nobody:2380", "dkv-1:2380"])(
        typeof before === "number" ? at(before) : before,
        typeof behind === "number" ? at(behind) : behind
      ).pipe(Effect.provideService(Control.Control, asking.control))
    )
  return { cluster, entries, fetch }
})

describe("missing entries", () => {
  it.effect("come in as many pieces as it takes, from the first member that has them all", () =>
    Effect.gen(function*() {
      const { cluster, entries, fetch } = yield* pair({ count: 3 * Limits.fetchEntriesMax })
      const found = Option.getOrThrow(yield* fetch(10, 3000))
      assert.deepStrictEqual(found, entries.slice(9, 3000))
      assert.isAtLeast(cluster.sent.filter(({ to }) => to === "dkv-1:2380").length, 3)
      assert.deepStrictEqual(Option.getOrThrow(yield* fetch({ index: 0, term: 0 }, 3)), entries.slice(0, 3))
    }))

  it.effect("are none where a term at either end is another", () =>
    Effect.gen(function*() {
      const { fetch } = yield* pair({ count: 2000 })
      assert.isTrue(Option.isSome(yield* fetch(500, 1500)))
      assert.isTrue(Option.isNone(yield* fetch({ index: 500, term: 2 }, 1500)))
      assert.isTrue(Option.isNone(yield* fetch(500, { index: 1500, term: 1 })))
    }))

  it.effect("are not given before they are committed, nor once they are compacted", () =>
    Effect.gen(function*() {
      const { fetch } = yield* pair({ count: 100, commitIndex: 50, compacted: 20 })
      assert.isTrue(Option.isSome(yield* fetch(21, 50)))
      assert.isTrue(Option.isNone(yield* fetch(21, 51)))
      assert.isTrue(Option.isNone(yield* fetch(20, 50)))
    }))

  it.effect("that are too large for an answer, or too many, are none", () =>
    Effect.gen(function*() {
      const large = yield* pair({ count: 3, bytes: Limits.fetchBytesMax + 1 })
      assert.isTrue(Option.isNone(yield* large.fetch(1, 3)))
      const fitting = yield* pair({ count: 3, bytes: Limits.fetchBytesMax })
      assert.isTrue(Option.isSome(yield* fitting.fetch(1, 3)))
      const count = Limits.mendBytesMax / Limits.fetchBytesMax
      const many = yield* pair({ count: count + 1, bytes: Limits.fetchBytesMax })
      assert.isTrue(Option.isNone(yield* many.fetch(1, count + 1)))
    }), 60_000)
})
