/**
 * What every layer of raft's `LogStore` has to do, as cases that any test runner can run: register each `run` under its `name`.
 */
import { Entry, EntryKind, type LogStore } from "@dkv/raft"
import { Effect, type Scope } from "effect"
import * as assert from "node:assert/strict"

export interface Subject {
  /** Opens the log. After the scope has closed, the next call finds what the one before left. */
  readonly open: Effect.Effect<LogStore.LogStore["Service"], LogStore.LogStoreError, Scope.Scope>
  /**
   * The computer stops now: the next `open` finds what survived, whatever is still done with the one that is open. Whatever was not made durable should be lost as
   * often as not. Without it, nothing is proven about what a crash leaves, and a log that never syncs passes.
   */
  readonly crash?: Effect.Effect<void>
}

export interface Case {
  readonly name: string
  readonly run: (subject: Subject) => Effect.Effect<void, LogStore.LogStoreError, Scope.Scope>
}

type Log = LogStore.LogStore["Service"]

/** How often a crash strikes where what it leaves is at stake. */
const crashes = 16

/** A payload that tells index and term. */
const payload = (index: number, term: number, size = 40): Uint8Array => {
  const bytes = new Uint8Array(size)
  for (let at = 0; at < size; at++) bytes[at] = index * 7 + term * 13 + at
  return bytes
}

export const entries = (first: number, last: number, term: number, size?: number): Array<Entry.Entry> =>
  Array.from(
    { length: last - first + 1 },
    (_, at) => Entry.make(first + at, term, EntryKind.Command, payload(first + at, term, size))
  )

export const append = (first: number, last: number, term: number, size?: number): LogStore.LogWrite => ({
  _tag: "Append",
  entries: entries(first, last, term, size)
})

/** Fails unless the log reads back as exactly these entries. */
export const assertReads = Effect.fnUntraced(function*(log: Log, expected: ReadonlyArray<Entry.Entry>) {
  const first = expected[0]?.index ?? 1
  const read: Array<Entry.Entry> = []
  while (true) {
    const part = yield* log.read(first + read.length, Number.MAX_SAFE_INTEGER, 1000)
    if (part.length === 0) break
    read.push(...part)
  }
  assert.deepEqual(read.map(plain), expected.map(plain))
})

const plain = ({ data, index, kind, term }: Entry.Entry) => ({ index, term, kind, data: [...data] })

const inOne =
  (run: (log: Log, subject: Subject) => Effect.Effect<void, LogStore.LogStoreError, Scope.Scope>) =>
  (subject: Subject) => Effect.scoped(Effect.flatMap(subject.open, (log) => run(log, subject)))

/** Runs one body after another, each on a log that was just opened. */
const inTurn =
  (...bodies: ReadonlyArray<(log: Log) => Effect.Effect<void, LogStore.LogStoreError, Scope.Scope>>) =>
  (subject: Subject) =>
    Effect.forEach(bodies, (body) => Effect.scoped(Effect.flatMap(subject.open, body)), { discard: true })

export const cases: ReadonlyArray<Case> = [
  {
    name: "a new log is empty and has no term",
    run: inOne((log) =>
      Effect.gen(function*() {
        assert.deepEqual(log.recovered, {
          hardState: { term: 0, vote: "" },
          previousIndex: 0,
          previousTerm: 0,
          lastIndex: 0,
          termRuns: [],
          configurations: []
        })
        assert.deepEqual(yield* log.read(1, 10, 1000), [])
      })
    )
  },
  {
    name: "what was written is read back, and found again after a restart",
    run: inTurn(
      (log) =>
        Effect.gen(function*() {
          yield* log.write([
            { _tag: "HardState", hardState: { term: 3, vote: "00000000000000ab" } },
            append(1, 5, 2),
            append(6, 9, 3)
          ])
          yield* assertReads(log, [...entries(1, 5, 2), ...entries(6, 9, 3)])
        }),
      (log) =>
        Effect.gen(function*() {
          assert.deepEqual(log.recovered.hardState, { term: 3, vote: "00000000000000ab" })
          assert.equal(log.recovered.lastIndex, 9)
          assert.deepEqual(log.recovered.termRuns, [{ index: 1, term: 2 }, { index: 6, term: 3 }])
          yield* assertReads(log, [...entries(1, 5, 2), ...entries(6, 9, 3)])
        })
    )
  },
  {
    name: "what write has returned is there after a crash",
    run: Effect.fnUntraced(function*({ crash, open }) {
      if (crash === undefined) return
      let kept: ReadonlyArray<Entry.Entry> = []
      let hardState = { term: 0, vote: "" }
      const recovers = (log: Log) =>
        Effect.gen(function*() {
          assert.deepEqual(log.recovered.hardState, hardState)
          assert.equal(log.recovered.lastIndex, kept.length)
          yield* assertReads(log, kept)
        })
      for (let term = 1; term <= crashes; term++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const log = yield* open
          yield* recovers(log)
          // some that are there already are replaced, and the last write is now a vote and now an entry
          const first = Math.max(1, kept.length - term % 4)
          const appended = entries(first, first + 4 + term % 3, term, 1 << (term % 13))
          const writes: ReadonlyArray<LogStore.LogWrite> = [
            { _tag: "HardState", hardState: { term, vote: term % 2 === 0 ? "a" : "b" } },
            { _tag: "Append", entries: appended }
          ]
          for (const write of term % 2 === 0 ? writes : writes.toReversed()) yield* log.write([write])
          kept = [...kept.slice(0, first - 1), ...appended]
          hardState = { term, vote: term % 2 === 0 ? "a" : "b" }
          yield* crash
        }))
      }
      yield* Effect.scoped(Effect.flatMap(open, recovers))
    })
  },
  {
    name: "the last of several hard states counts, and an empty vote is kept",
    run: inTurn(
      (log) =>
        log.write([
          { _tag: "HardState", hardState: { term: 1, vote: "a" } },
          { _tag: "HardState", hardState: { term: 2, vote: "" } }
        ]),
      (log) => Effect.sync(() => assert.deepEqual(log.recovered.hardState, { term: 2, vote: "" }))
    )
  },
  {
    name: "an entry that is not behind the last one replaces everything from there on",
    run: inTurn(
      (log) =>
        Effect.gen(function*() {
          yield* log.write([append(1, 10, 1)])
          yield* log.write([append(6, 7, 2)])
          yield* assertReads(log, [...entries(1, 5, 1), ...entries(6, 7, 2)])
          yield* log.write([append(8, 8, 2), append(7, 9, 3)])
          yield* assertReads(log, [...entries(1, 5, 1), ...entries(6, 6, 2), ...entries(7, 9, 3)])
        }),
      (log) =>
        Effect.gen(function*() {
          assert.equal(log.recovered.lastIndex, 9)
          assert.deepEqual(log.recovered.termRuns, [{ index: 1, term: 1 }, { index: 6, term: 2 }, {
            index: 7,
            term: 3
          }])
          yield* assertReads(log, [...entries(1, 5, 1), ...entries(6, 6, 2), ...entries(7, 9, 3)])
        })
    )
  },
  {
    name: "the whole log may be replaced from its first entry on",
    run: inTurn(
      (log) => log.write([append(1, 4, 1), append(1, 2, 2)]),
      (log) => assertReads(log, entries(1, 2, 2))
    )
  },
  {
    name: "changes of one write take effect in the order given",
    run: inTurn(
      (log) => log.write([append(1, 3, 1), { _tag: "Reset", index: 7, term: 2 }, append(8, 9, 2)]),
      (log) =>
        Effect.gen(function*() {
          assert.equal(log.recovered.previousIndex, 7)
          assert.equal(log.recovered.previousTerm, 2)
          yield* assertReads(log, entries(8, 9, 2))
        })
    )
  },
  {
    name: "a reset empties the log and lets it go on behind the position",
    run: inTurn(
      (log) =>
        Effect.gen(function*() {
          yield* log.write([{ _tag: "HardState", hardState: { term: 5, vote: "a" } }, append(1, 20, 1)])
          yield* log.write([{ _tag: "Reset", index: 100, term: 4 }])
          assert.deepEqual(yield* log.read(1, 200, 1000), [])
        }),
      (log) =>
        Effect.gen(function*() {
          assert.deepEqual(log.recovered, {
            hardState: { term: 5, vote: "a" },
            previousIndex: 100,
            previousTerm: 4,
            lastIndex: 100,
            termRuns: [],
            configurations: []
          })
          yield* log.write([append(101, 102, 5)])
          yield* assertReads(log, entries(101, 102, 5))
        }),
      (log) => assertReads(log, entries(101, 102, 5))
    )
  },
  {
    name: "a read ends with the range, the log, or the bytes, but has at least one entry",
    run: inOne((log) =>
      Effect.gen(function*() {
        yield* log.write([append(1, 20, 1, 100)])
        const indices = (from: number, to: number, bytesMax: number) =>
          Effect.map(log.read(from, to, bytesMax), (read) => read.map((entry) => entry.index))
        assert.deepEqual(yield* indices(3, 5, 10_000), [3, 4, 5])
        assert.deepEqual(yield* indices(19, 40, 10_000), [19, 20])
        assert.deepEqual(yield* indices(4, 20, 0), [4])
        const some = yield* indices(1, 20, 350)
        assert.ok(some.length >= 3 && some.length <= 4, `${some.length} entries of 100 bytes for 350`)
        assert.deepEqual(yield* indices(21, 30, 1000), [])
        assert.deepEqual(yield* indices(0, 5, 1000), [])
      })
    )
  },
  {
    name: "compaction keeps every entry behind its index, and says where the log starts now",
    run: inTurn(
      (log) =>
        Effect.gen(function*() {
          for (let batch = 0; batch < 20; batch++) {
            yield* log.write([append(batch * 5 + 1, batch * 5 + 5, 1 + (batch >> 3), 60)])
          }
          const { previousIndex, previousTerm } = yield* log.compact(62)
          assert.ok(previousIndex <= 62)
          if (previousIndex > 0) assert.equal(previousTerm, previousIndex <= 40 ? 1 : 2)
          assert.deepEqual(yield* log.read(previousIndex, 100, 1000), [])
          assert.equal((yield* log.read(previousIndex + 1, 100, 1000))[0]?.index, previousIndex + 1)
          assert.equal((yield* log.compact(previousIndex)).previousIndex, previousIndex)
          assert.equal((yield* log.compact(0)).previousIndex, previousIndex)
        }),
      (log) =>
        Effect.gen(function*() {
          const { lastIndex, previousIndex, termRuns } = log.recovered
          assert.ok(previousIndex <= 62)
          assert.equal(lastIndex, 100)
          assert.equal(termRuns[0]!.index, previousIndex + 1)
          const expected = [...entries(1, 40, 1, 60), ...entries(41, 80, 2, 60), ...entries(81, 100, 3, 60)]
          yield* assertReads(log, expected.slice(previousIndex))
        })
    )
  },
  {
    name: "configurations that are present are found on start, in order",
    run: inTurn(
      (log) =>
        Effect.gen(function*() {
          const configuration = (index: number, term: number) =>
            Entry.make(index, term, EntryKind.Configuration, payload(index, term, 300))
          yield* log.write([{
            _tag: "Append",
            entries: [configuration(1, 1), ...entries(2, 3, 1), configuration(4, 1), configuration(5, 1)]
          }])
          yield* log.write([{ _tag: "Append", entries: [configuration(5, 2)] }])
        }),
      (log) =>
        Effect.gen(function*() {
          assert.deepEqual(log.recovered.configurations.map(({ index, term }) => [index, term]), [[1, 1], [4, 1], [
            5,
            2
          ]])
          assert.deepEqual([...log.recovered.configurations[2]!.data], [...payload(5, 2, 300)])
          yield* log.write([{ _tag: "Reset", index: 5, term: 2 }])
        }),
      (log) => Effect.sync(() => assert.deepEqual(log.recovered.configurations, []))
    )
  },
  {
    name: "payloads of no bytes, of one, and of a megabyte are kept whole",
    run: inTurn(
      (log) =>
        log.write([{
          _tag: "Append",
          entries: [0, 1, 1 << 20].map((size, at) => Entry.make(at + 1, 1, EntryKind.Command, payload(at, 1, size)))
        }]),
      (log) =>
        Effect.gen(function*() {
          const read = yield* log.read(1, 3, 4 << 20)
          assert.deepEqual(read.map((entry) => entry.data.length), [0, 1, 1 << 20])
          assert.ok(read.every((entry, at) => Buffer.compare(entry.data, payload(at, 1, entry.data.length)) === 0))
        })
    )
  },
  {
    name: "indices and terms beyond 32 bits are kept",
    run: inTurn(
      (log) =>
        log.write([
          { _tag: "HardState", hardState: { term: 2 ** 40 + 7, vote: "b" } },
          { _tag: "Reset", index: 2 ** 45, term: 2 ** 40 },
          append(2 ** 45 + 1, 2 ** 45 + 3, 2 ** 40 + 7)
        ]),
      (log) =>
        Effect.gen(function*() {
          assert.equal(log.recovered.hardState.term, 2 ** 40 + 7)
          assert.equal(log.recovered.previousIndex, 2 ** 45)
          yield* assertReads(log, entries(2 ** 45 + 1, 2 ** 45 + 3, 2 ** 40 + 7))
        })
    )
  },
  {
    name: "reading beside a write sees only what was durable before or after it",
    run: inOne((log) =>
      Effect.gen(function*() {
        yield* log.write([append(1, 50, 1)])
        const [, seen] = yield* Effect.all([
          log.write([append(40, 60, 2)]),
          Effect.all(Array.from({ length: 10 }, () => log.read(35, 70, 100_000)))
        ], { concurrency: "unbounded" })
        for (const read of seen) {
          const last = read[read.length - 1]!
          assert.ok(
            (last.index === 50 && last.term === 1) || (last.index === 60 && last.term === 2),
            `ends with ${last.index}, ${last.term}`
          )
          assert.deepEqual(read.map(({ index }) => index), Array.from({ length: last.index - 34 }, (_, at) => 35 + at))
        }
      })
    )
  },
  {
    name: "the size grows with what is written",
    run: inOne((log) =>
      Effect.gen(function*() {
        const before = yield* log.sizeBytes
        yield* log.write([append(1, 10, 1, 1000)])
        assert.ok((yield* log.sizeBytes) >= before + 10_000)
      })
    )
  },
  {
    name: "a write that would leave a gap dies and does not pass for a failure of the disk",
    run: inOne((log) =>
      Effect.gen(function*() {
        yield* log.write([append(1, 3, 1)])
        const exit = yield* Effect.exit(log.write([append(5, 6, 1)]))
        assert.ok(exit._tag === "Failure" && exit.cause.reasons.every((reason) => reason._tag === "Die"))
      })
    )
  }
]
