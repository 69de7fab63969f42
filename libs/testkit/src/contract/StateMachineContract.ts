/**
 * What every layer of raft's `StateMachine` has to do, as cases that any test runner can run: register each `run` under its `name`. The state
 * itself is opaque here: two machines agree if the same further commands give the same results.
 */
import { Entry, EntryKind, type StateMachine } from "@dkv/raft"
import { Effect, Option, type Scope } from "effect"
import * as assert from "node:assert/strict"

export interface Subject {
  /** Opens the state machine. After the scope has closed, the next call finds what the one before left. */
  readonly open: Effect.Effect<Machine, StateMachine.StateMachineError, Scope.Scope>
  /** The computer stops now: the next `open` finds what survived, whatever is still done with the one that is open. */
  readonly crash: Effect.Effect<void>
  /** Opens one that has nothing in common with the others. */
  readonly openOther: Effect.Effect<Machine, StateMachine.StateMachineError, Scope.Scope>
  /** Command number `n`, from 1, of an endless list. Its result must depend on all commands before it. */
  readonly command: (n: number) => Uint8Array
  /** Commands that no state machine of this kind can carry out. */
  readonly nonsense: ReadonlyArray<Uint8Array>
}

export interface Case {
  readonly name: string
  readonly run: (subject: Subject) => Effect.Effect<void, StateMachine.StateMachineError, Scope.Scope>
}

type Machine = StateMachine.StateMachine["Service"]
type Results = ReadonlyArray<Uint8Array>

const bytes = (words: string): Uint8Array => new TextEncoder().encode(words)
const words = (value: Uint8Array): string => new TextDecoder().decode(value)

const headOf = (index: number): Uint8Array => bytes(String(index))

/** Applies commands `first` to `last` as one batch; the head tells the last one, a record the first one. */
const apply = (subject: Subject, machine: Machine, first: number, last: number) => {
  const entries: Array<Entry.Entry> = []
  for (let n = first; n <= last; n++) entries.push(Entry.make(n, 1, EntryKind.Command, subject.command(n)))
  return machine.apply(entries, {
    head: headOf(last),
    changes: () => [{ key: bytes("first"), value: bytes(String(first)) }]
  })
}

/** Applies in batches that end at these commands. */
const applyTo = Effect.fnUntraced(function*(
  subject: Subject,
  machine: Machine,
  first: number,
  ends: ReadonlyArray<number>
) {
  const results: Array<Uint8Array> = []
  let next = first
  for (const end of ends) {
    results.push(...(yield* apply(subject, machine, next, end)))
    next = end + 1
  }
  return results
})

const plain = (results: Results): ReadonlyArray<string> => results.map((result) => Buffer.from(result).toString("hex"))

const assertSame = (actual: Results, expected: Results): void => assert.deepEqual(plain(actual), plain(expected))

/** The results of commands 1 to `last` on a machine that nothing happens to. */
const undisturbed = (subject: Subject, last: number) =>
  Effect.scoped(Effect.flatMap(subject.openOther, (machine) => apply(subject, machine, 1, last)))

const recovered = Effect.fnUntraced(function*(machine: Machine) {
  const { head, records } = yield* machine.recover
  return {
    head: Option.getOrUndefined(Option.map(head, words)),
    records: records.map(([key, value]) => `${words(key)}=${words(value)}`)
  }
})

const chunksOf = Effect.fnUntraced(function*(reader: StateMachine.SnapshotReader) {
  const chunks: Array<Uint8Array> = []
  for (let cursor: Option.Option<Uint8Array> = Option.some(new Uint8Array(0)); Option.isSome(cursor);) {
    const { data, next } = yield* reader.read(cursor.value)
    chunks.push(data)
    cursor = next
  }
  return chunks
})

const install = Effect.fnUntraced(function*(machine: Machine, chunks: ReadonlyArray<Uint8Array>) {
  const writer = yield* machine.install
  for (const chunk of chunks) yield* writer.write(chunk)
  yield* writer.commit
}, Effect.scoped)

export const cases: ReadonlyArray<Case> = [
  {
    name: "a new state machine has neither head nor records",
    run: Effect.fnUntraced(function*({ open }) {
      assert.deepEqual(yield* recovered(yield* open), { head: undefined, records: [] })
    })
  },
  {
    name: "the last head and all records come back, in order of their keys and without the deleted ones",
    run: (subject) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          const machine = yield* subject.open
          yield* machine.apply([], {
            head: bytes("one"),
            changes: () => [{ key: bytes("b"), value: bytes("1") }, { key: bytes("c"), value: bytes("1") }, {
              key: bytes("a"),
              value: bytes("1")
            }]
          })
          yield* machine.apply([], {
            head: bytes("two"),
            changes: () => [{ key: bytes("b"), value: undefined }, { key: bytes("c"), value: bytes("") }]
          })
          assert.deepEqual(yield* recovered(machine), { head: "two", records: ["a=1", "c="] })
        }))
        assert.deepEqual(yield* recovered(yield* subject.open), { head: "two", records: ["a=1", "c="] })
      })
  },
  {
    name: "there is one result per command, however the commands are split into batches",
    run: (subject) =>
      Effect.gen(function*() {
        const expected = yield* undisturbed(subject, 60)
        assert.equal(expected.length, 60)
        assert.equal(new Set(plain(expected)).size > 1, true)
        const machine = yield* subject.open
        assertSame(yield* applyTo(subject, machine, 1, [1, 2, 2, 7, 30, 59, 60]), expected)
      })
  },
  {
    name:
      "what a command takes of a batch, if that is said, is from 0 to 1, whatever its bytes are and wherever they begin",
    run: Effect.fnUntraced(function*({ command, nonsense, open }) {
      const { batchShare } = yield* open
      if (batchShare === undefined) return
      for (const whole of [...Array.from({ length: 60 }, (_, n) => command(n + 1)), ...nonsense]) {
        for (const data of [whole, ...Array.from(whole.subarray(0, 100), (_, length) => whole.subarray(0, length))]) {
          const share = batchShare(data, 0)
          assert.ok(share >= 0 && share <= 1, `${share} of ${Buffer.from(data).toString("hex")}`)
          assert.equal(batchShare(Buffer.concat([whole, data]), whole.length), share, "behind another command")
        }
      }
    })
  },
  {
    name: "a command that cannot be carried out is answered and changes nothing",
    run: (subject) =>
      Effect.gen(function*() {
        const expected = yield* undisturbed(subject, 10)
        const machine = yield* subject.open
        assertSame(yield* apply(subject, machine, 1, 5), expected.slice(0, 5))
        const entries = subject.nonsense.map((data) => Entry.make(6, 1, EntryKind.Command, data))
        const answers = yield* machine.apply(entries, { head: headOf(5), changes: () => [] })
        assert.equal(answers.length, subject.nonsense.length)
        assertSame(yield* apply(subject, machine, 6, 10), expected.slice(5))
      })
  },
  {
    name: "closed and opened again it goes on where it was",
    run: (subject) =>
      Effect.gen(function*() {
        const expected = yield* undisturbed(subject, 40)
        for (let first = 1; first <= 40; first += 10) {
          yield* Effect.scoped(Effect.gen(function*() {
            const machine = yield* subject.open
            const { head } = yield* recovered(machine)
            assert.equal(head, first === 1 ? undefined : String(first - 1))
            assertSame(
              yield* applyTo(subject, machine, first, [first + 3, first + 9]),
              expected.slice(first - 1, first + 9)
            )
          }))
        }
      })
  },
  {
    name:
      "after a crash it is as of some batch, none before the last flush, and the log from there on gives the same results",
    run: (subject) =>
      Effect.gen(function*() {
        const expected = yield* undisturbed(subject, 100)
        let next = 1
        while (next <= 80) {
          yield* Effect.scoped(Effect.gen(function*() {
            const machine = yield* subject.open
            const { head } = yield* recovered(machine)
            const at = head === undefined ? 0 : Number(head)
            assert.ok(at === next - 1, `recovered ${at}, expected ${next - 1}`)
            const ends = [at + 2, at + 5, at + 9, at + 14, at + 20]
            assertSame(yield* applyTo(subject, machine, at + 1, ends.slice(0, 2)), expected.slice(at, at + 5))
            yield* machine.flush
            yield* applyTo(subject, machine, at + 6, ends.slice(2))
            yield* subject.crash
            next = yield* Effect.scoped(Effect.gen(function*() {
              const { head: after } = yield* recovered(yield* subject.open)
              assert.ok(ends.slice(1).map(String).includes(after!), `a crash between ${ends} left ${after}`)
              return Number(after) + 1
            }))
          }))
        }
      })
  },
  {
    name: "a snapshot carries state, head and records to another machine, durably",
    run: (subject) =>
      Effect.gen(function*() {
        const expected = yield* undisturbed(subject, 50)
        const source = yield* subject.openOther
        yield* applyTo(subject, source, 1, [10, 30])
        const chunks = yield* Effect.scoped(Effect.flatMap(source.snapshot, chunksOf))
        yield* Effect.scoped(Effect.gen(function*() {
          const machine = yield* subject.open
          yield* applyTo(subject, machine, 1, [7])
          yield* install(machine, chunks)
          assert.deepEqual(yield* recovered(machine), { head: "30", records: ["first=11"] })
          yield* subject.crash
        }))
        const machine = yield* subject.open
        assert.deepEqual(yield* recovered(machine), { head: "30", records: ["first=11"] })
        assertSame(yield* apply(subject, machine, 31, 50), expected.slice(30))
      })
  },
  {
    name: "a snapshot stays as it was opened, and the same cursor gives the same chunk",
    run: (subject) =>
      Effect.gen(function*() {
        const machine = yield* subject.open
        yield* apply(subject, machine, 1, 20)
        const reader = yield* machine.snapshot
        const before = yield* chunksOf(reader)
        yield* apply(subject, machine, 21, 40)
        yield* machine.flush
        assertSame(yield* chunksOf(reader), before)
        const other = yield* subject.openOther
        yield* install(other, before)
        assert.equal((yield* recovered(other)).head, "20")
      })
  },
  {
    name: "a snapshot that is damaged, cut short or incomplete is refused, and the state stays",
    run: (subject) =>
      Effect.gen(function*() {
        const expected = yield* undisturbed(subject, 40)
        const source = yield* subject.openOther
        yield* apply(subject, source, 1, 20)
        const chunks = yield* Effect.scoped(Effect.flatMap(source.snapshot, chunksOf))
        const last = chunks.at(-1)!
        const machine = yield* subject.open
        yield* apply(subject, machine, 1, 30)
        const refused = Effect.fnUntraced(function*(bad: ReadonlyArray<Uint8Array>, what: string) {
          const error = yield* Effect.flip(install(machine, bad))
          assert.equal(error.reason, "Snapshot", what)
        })
        for (let at = 0; at < last.length; at += Math.max(1, Math.floor(last.length / 8))) {
          const damaged = last.slice()
          damaged[at]! ^= 0x10
          yield* Effect.orDie(refused([...chunks.slice(0, -1), damaged], `byte ${at}`))
          yield* Effect.orDie(refused([...chunks.slice(0, -1), last.slice(0, at)], `${at} bytes`))
        }
        yield* Effect.orDie(refused(chunks.slice(0, -1), "without its end"))
        yield* Effect.orDie(refused([...chunks, last], "with its end twice"))
        assert.equal((yield* recovered(machine)).head, "30")
        assertSame(yield* apply(subject, machine, 31, 40), expected.slice(30))
      })
  },
  {
    name: "a snapshot that is given up is forgotten",
    run: (subject) =>
      Effect.gen(function*() {
        const expected = yield* undisturbed(subject, 40)
        const source = yield* subject.openOther
        yield* apply(subject, source, 1, 20)
        const chunks = yield* Effect.scoped(Effect.flatMap(source.snapshot, chunksOf))
        const machine = yield* subject.open
        yield* apply(subject, machine, 1, 30)
        yield* Effect.scoped(Effect.flatMap(machine.install, (writer) => Effect.forEach(chunks, writer.write)))
        assert.equal((yield* recovered(machine)).head, "30")
        yield* install(machine, chunks)
        assertSame(yield* apply(subject, machine, 21, 40), expected.slice(20))
      })
  }
]
