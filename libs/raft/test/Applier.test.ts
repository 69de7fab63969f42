/** Where one batch for the state machine ends and the next begins. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Option } from "effect"
import * as Applier from "../src/Applier.ts"
import * as MetaCodec from "../src/codec/MetaCodec.ts"
import * as SessionCodec from "../src/codec/SessionCodec.ts"
import * as Configuration from "../src/core/Configuration.ts"
import { EntryKind } from "../src/core/Entry.ts"
import * as Entry from "../src/Entry.ts"
import { EntryCache } from "../src/EntryCache.ts"
import { LogStore } from "../src/LogStore.ts"
import * as Mailbox from "../src/Mailbox.ts"
import { Proposals } from "../src/Proposals.ts"
import { Sessions } from "../src/Sessions.ts"
import { StateMachine } from "../src/StateMachine.ts"
import { VolatileMeta } from "../src/VolatileMeta.ts"
import { MemoryLog } from "./support/MemoryLog.ts"
import { bytes, text } from "./support/Register.ts"

const initial: MetaCodec.Head = {
  index: 0,
  term: 0,
  configurationIndex: 0,
  configuration: Configuration.empty,
  group: undefined
}

const session = { index: 1, term: 1 }
const stamp = (count: number) => ({ session, lowestUnanswered: 0, runs: [{ sequence: 1, count }] })

/** Entries from 1 on: "a" a command, "-" none, "open" opens the session, "2:a" begins a group of two commands in it. */
const entriesOf = (list: string): ReadonlyArray<Entry.Entry> =>
  list.split(" ").map((item, position) => {
    const index = position + 1
    if (item === "-") return Entry.make(index, 1, EntryKind.Noop, new Uint8Array(0))
    if (item === "open") return Entry.make(index, 1, EntryKind.SessionOpen, new Uint8Array(0))
    const [count, label] = item.split(":")
    return label === undefined
      ? Entry.make(index, 1, EntryKind.Command, bytes(item))
      : Entry.make(index, 1, EntryKind.SessionCommand, SessionCodec.encodeFirst(stamp(Number(count)), bytes(label)))
  })

/** An applier with `list` as its log, and what it hands over: the commands of each batch, and the head that comes with them. */
const make = Effect.fnUntraced(function*(list: string, share?: (label: string) => number, witness = false) {
  const log = new MemoryLog()
  log.entries.push(...entriesOf(list))
  let reads = 0
  const service = log.service()
  const gate = Latch.makeUnsafe(true)
  const batches: Array<string> = []
  const heads: Array<MetaCodec.Head> = []
  const meta = new VolatileMeta({ head: Option.none(), records: [] })
  const mailbox = yield* Mailbox.make()
  const applier = yield* Applier.make({
    head: initial,
    sessions: new Sessions([], undefined),
    witness,
    cache: new EntryCache(),
    mailbox,
    proposals: new Proposals(mailbox.wakeup, 1)
  }).pipe(
    Effect.provideService(LogStore, {
      ...service,
      read: (...range) =>
        Effect.suspend(() => {
          reads++
          return service.read(...range)
        })
    }),
    Effect.provideService(StateMachine, {
      recover: Effect.die("not here"),
      flush: Effect.void,
      snapshot: Effect.die("not here"),
      install: Effect.die("not here"),
      ...share === undefined
        ? {}
        : { batchShare: (data: Uint8Array, start: number) => share(text(data.subarray(start))) },
      apply: (commands, raft) =>
        Effect.andThen(
          gate.await,
          Effect.sync(() => {
            batches.push(commands.map(({ data }) => text(data)).join(" "))
            heads.push(MetaCodec.decodeHead(raft.head))
            const results = commands.map(({ data }) => bytes(text(data).toUpperCase()))
            meta.keep(raft, results)
            return results
          })
        )
    })
  )
  yield* Effect.forkChild(applier.run, { startImmediately: true })
  const settle = Effect.gen(function*() {
    for (let turn = 0; turn < 1000; turn++) yield* Effect.yieldNow
  })
  const applyTo = (index: number) => Effect.andThen(Effect.sync(() => applier.advanceUnsafe(index)), settle)
  return { applier, applyTo, batches, gate, heads, log, meta, reads: () => reads, settle }
})

/** Half a batch each. */
const half = (label: string) => label.startsWith("H") ? 0.5 : 0

describe("a batch", () => {
  it.effect("has everything that may be applied, where the state machine does not say what commands take", () =>
    Effect.gen(function*() {
      const { applyTo, batches } = yield* make("H1 H2 H3 H4 H5")
      yield* applyTo(5)
      assert.deepStrictEqual(batches, ["H1 H2 H3 H4 H5"])
    }))

  it.effect("ends before the command that would take too much of it, and its head says so", () =>
    Effect.gen(function*() {
      const { applier, applyTo, batches, heads } = yield* make("- a H1 - H2 b - H3 c H4 - H5 - -", half)
      yield* applyTo(14)
      assert.deepStrictEqual(batches, ["a H1 H2 b", "H3 c H4", "H5"])
      assert.deepStrictEqual(heads.map(({ index }) => index), [7, 11, 14])
      assert.strictEqual(applier.head().index, 14)
    }))

  it.effect("has one command at least, though that says that it takes more than there is", () =>
    Effect.gen(function*() {
      const { applyTo, batches, heads } = yield* make(
        "- whole a whole huge huge a",
        (label) => label === "whole" ? 1 : label === "huge" ? 7 : 0
      )
      yield* applyTo(7)
      assert.deepStrictEqual(batches, ["whole a", "whole", "huge", "huge", "a"])
      assert.deepStrictEqual(heads.map(({ index }) => index), [3, 4, 5, 6, 7])
    }))

  it.effect("may end within the group of a session, which goes on in the next one: each takes effect once", () =>
    Effect.gen(function*() {
      const { applyTo, batches, heads, meta } = yield* make("open 4:H1 H2 H3 d 4:H1 H2 H3 d x", half)
      yield* applyTo(10)
      assert.deepStrictEqual(batches, ["H1 H2", "H3 d", "x"])
      assert.deepStrictEqual(heads.map(({ index }) => index), [3, 6, 10])
      assert.deepStrictEqual(heads.map(({ group }) => group?.firstIndex), [2, 6, undefined])
      const { records } = meta.copy()
      const again = new Sessions(records, undefined).plan(
        entriesOf("- - - - - - - - - - 4:H1 H2 H3 d").slice(10)
      )
      assert.deepStrictEqual(again.commands, [])
      assert.deepStrictEqual(again.answers([]).map(text), ["H1", "H2", "H3", "D"])
    }))

  it.effect("takes up what was read before, and reads the log again only behind it", () =>
    Effect.gen(function*() {
      const { applyTo, batches, reads } = yield* make("H1 H2 H3 H4 H5 H6 a", half)
      yield* applyTo(6)
      assert.strictEqual(reads(), 1)
      yield* applyTo(7)
      assert.strictEqual(reads(), 2)
      assert.deepStrictEqual(batches, ["H1 H2", "H3 H4", "H5 H6", "a"])
    }))

  it.effect("begins behind a snapshot that came between two, whatever was read before", () =>
    Effect.gen(function*() {
      const { applier, applyTo, batches, gate, heads, settle } = yield* make("H1 H2 H3 H4 H5 a b", half)
      gate.closeUnsafe()
      yield* applyTo(5)
      const replaced = { ...initial, index: 6, term: 1 }
      yield* Effect.forkChild(
        applier.pause(Effect.sync(() => applier.resetUnsafe(replaced, new Sessions([], undefined)))),
        { startImmediately: true }
      )
      gate.openUnsafe()
      yield* settle
      yield* applyTo(7)
      assert.deepStrictEqual(batches, ["H1 H2", "b"])
      assert.deepStrictEqual(heads.map(({ index }) => index), [2, 7])
    }))

  it.effect("of a witness has no commands, and asks about none", () =>
    Effect.gen(function*() {
      const { applyTo, batches, heads } = yield* make("open 2:H1 H2 H3", () => assert.fail("asked"), true)
      yield* applyTo(4)
      assert.deepStrictEqual(batches, [""])
      assert.deepStrictEqual(heads.map(({ index }) => index), [4])
    }))
})

describe("the command of a group's first entry", () => {
  it("begins behind the stamp, or nowhere if that does not fit in", () => {
    const first = SessionCodec.encodeFirst(stamp(3), bytes("abc"))
    assert.strictEqual(text(first.subarray(SessionCodec.commandStart(first))), "abc")
    for (let length = 0; length <= first.length - 3; length++) {
      const cut = first.subarray(0, length)
      assert.strictEqual(SessionCodec.commandStart(cut), length)
    }
  })
})
