/** Exactly-once, as the table of client sessions decides it. Dissertation §6.3. */
import { assert, describe, it } from "vitest"
import * as SessionCodec from "../src/codec/SessionCodec.ts"
import { EntryKind } from "../src/core/Entry.ts"
import type { LogIndex, Term } from "../src/core/Entry.ts"
import * as Entry from "../src/Entry.ts"
import * as Limits from "../src/Limits.ts"
import type { Run, SessionId, Stamp } from "../src/Session.ts"
import { Sessions } from "../src/Sessions.ts"
import { bytes, text } from "./support/Register.ts"

type Kept = ReadonlyArray<readonly [key: Uint8Array, value: Uint8Array]>

const nameOf = (key: Uint8Array) => Buffer.from(key).toString("hex")

/** A log and what is made of it: the state machine here remembers the commands that it was given, and answers each with its position. */
class Machine {
  sessions = new Sessions([], undefined)
  readonly carriedOut: Array<string> = []
  private readonly records = new Map<string, readonly [Uint8Array, Uint8Array]>()
  private index = 0

  get kept(): Kept {
    return [...this.records.values()]
  }

  /** Applies entries as one batch; the answers, refusals by name. */
  apply(...batch: ReadonlyArray<Entry.Entry>): ReadonlyArray<string> {
    const plan = this.sessions.plan(batch)
    const results = plan.commands.map(({ data }) => bytes(String(this.carriedOut.push(text(data)))))
    for (const { key, value } of plan.changes(results)) {
      if (value === undefined) this.records.delete(nameOf(key))
      else this.records.set(nameOf(key), [key, value])
    }
    const answers = plan.answers(results)
    assert.strictEqual(answers.length, plan.answered.length)
    return plan.answered.map(({ index, kind }, position) =>
      plan.refusals.get(index) ?? (kind === EntryKind.SessionOpen ? "opened" : text(answers[position]!))
    )
  }

  /** As after a restart, or on a member that was given a snapshot. */
  restart(kept: Kept = this.kept): void {
    this.records.clear()
    for (const [key, value] of kept) this.records.set(nameOf(key), [key, value])
    this.sessions = new Sessions(this.kept, this.sessions.openGroup)
  }

  open(term: Term = 2): SessionId {
    const index = this.next()
    this.apply(Entry.make(index, term, EntryKind.SessionOpen, new Uint8Array(0)))
    return { index, term }
  }

  next(): LogIndex {
    return ++this.index
  }

  /** The entries of a group: labels, numbered by `runs`. */
  group(session: SessionId, runs: ReadonlyArray<Run>, labels: string, lowestUnanswered = 0, term: Term = 2) {
    const stamp: Stamp = { session, lowestUnanswered, runs }
    return labels.split(" ").map((label, position) => {
      const index = this.next()
      return position === 0
        ? Entry.make(index, term, EntryKind.SessionCommand, SessionCodec.encodeFirst(stamp, bytes(label)))
        : Entry.make(index, term, EntryKind.Command, bytes(label))
    })
  }

  /** One command numbered `sequence`. */
  one(session: SessionId, sequence: number, label: string, lowestUnanswered = 0) {
    return this.apply(...this.group(session, [{ sequence, count: 1 }], label, lowestUnanswered))
  }

  plain(label: string, term: Term = 2) {
    return Entry.make(this.next(), term, EntryKind.Command, bytes(label))
  }
}

describe("sessions", () => {
  it("a command that comes again is not carried out again, and has the answer that it had", () => {
    const machine = new Machine()
    const session = machine.open()
    assert.deepStrictEqual(machine.one(session, 1, "a"), ["1"])
    machine.apply(machine.plain("other"))
    assert.deepStrictEqual(machine.one(session, 1, "a"), ["1"])
    assert.deepStrictEqual(machine.carriedOut, ["a", "other"])
  })

  it("the same twice in one batch is carried out once", () => {
    const machine = new Machine()
    const session = machine.open()
    const run = [{ sequence: 1, count: 2 }]
    const batch = [...machine.group(session, run, "a b"), machine.plain("x"), ...machine.group(session, run, "a b")]
    assert.deepStrictEqual(machine.apply(...batch), ["1", "2", "3", "1", "2"])
    assert.deepStrictEqual(machine.carriedOut, ["a", "b", "x"])
  })

  it("of a group that comes again in other company, only what is new is carried out", () => {
    const machine = new Machine()
    const session = machine.open()
    machine.apply(...machine.group(session, [{ sequence: 1, count: 2 }, { sequence: 5, count: 1 }], "a b e"))
    assert.deepStrictEqual(
      machine.apply(...machine.group(session, [{ sequence: 2, count: 4 }], "b c d e")),
      ["2", "4", "5", "3"]
    )
    assert.deepStrictEqual(machine.carriedOut, ["a", "b", "e", "c", "d"])
  })

  it("groups that overtake each other are carried out as they come", () => {
    const machine = new Machine()
    const session = machine.open()
    machine.apply(...machine.group(session, [{ sequence: 3, count: 2 }], "c d"))
    assert.deepStrictEqual(machine.apply(...machine.group(session, [{ sequence: 1, count: 2 }], "a b")), ["3", "4"])
    assert.deepStrictEqual(machine.one(session, 1, "a"), ["3"])
  })

  it("a group whose entries are applied in several batches, with a restart between them, is one group", () => {
    const machine = new Machine()
    const session = machine.open()
    const entries = machine.group(session, [{ sequence: 1, count: 1 }, { sequence: 7, count: 2 }], "a g h")
    machine.apply(entries[0]!)
    machine.restart()
    machine.apply(entries[1]!)
    machine.restart()
    machine.apply(entries[2]!)
    machine.restart()
    assert.deepStrictEqual(machine.carriedOut, ["a", "g", "h"])
    assert.deepStrictEqual(machine.one(session, 8, "h"), ["3"])
    assert.deepStrictEqual(machine.apply(machine.plain("x")), ["4"], "the group is over")
  })

  it("what another leader put in the place of a group's end belongs to no session", () => {
    const machine = new Machine()
    const session = machine.open()
    const [first] = machine.group(session, [{ sequence: 1, count: 3 }], "a")
    machine.apply(first!)
    assert.deepStrictEqual(machine.apply(machine.plain("x", 3), machine.plain("y", 3)), ["2", "3"])
    assert.deepStrictEqual(machine.one(session, 2, "b"), ["4"], "sequence number 2 was not used up")
  })

  it("sessions and their answers survive a restart", () => {
    const machine = new Machine()
    const session = machine.open()
    for (let sequence = 1; sequence <= 20; sequence++) {
      machine.one(session, sequence, `c${sequence}`, Math.max(0, sequence - 3))
    }
    machine.restart()
    assert.deepStrictEqual(machine.one(session, 20, "c20", 17), ["20"])
    assert.deepStrictEqual(machine.one(session, 18, "c18", 17), ["18"])
    assert.strictEqual(machine.carriedOut.length, 20)
  })

  it("what the client has the answer to is forgotten, and never carried out again", () => {
    const machine = new Machine()
    const session = machine.open()
    machine.one(session, 1, "a")
    machine.one(session, 2, "b", 2)
    assert.deepStrictEqual(machine.one(session, 1, "a", 2), ["Answered"])
    machine.restart()
    assert.deepStrictEqual(machine.one(session, 1, "a"), ["Answered"], "even if a late frame says otherwise")
    assert.deepStrictEqual(machine.carriedOut, ["a", "b"])
  })

  it("records of answers that the client has make room for the next ones", () => {
    const machine = new Machine()
    const session = machine.open()
    for (let sequence = 1; sequence <= 500; sequence++) machine.one(session, sequence, "x", Math.max(0, sequence - 2))
    assert.isAtMost(machine.kept.length, 4)
  })

  it("records of answers that the client has do not stay in the state, however many there were, nor those of a former version", () => {
    const machine = new Machine()
    const session = machine.open()
    for (let sequence = 1; sequence <= 60; sequence++) machine.one(session, sequence, "x")
    const { kept } = machine
    assert.isAbove(kept.length, 50)
    machine.one(session, 61, "y", 61)
    assert.strictEqual(machine.kept.length, 1)
    assert.deepStrictEqual(machine.one(session, 50, "x", 61), ["Answered"])
    const [newest] = machine.kept
    const older = kept.filter(([key]) => nameOf(key) !== nameOf(newest![0]))
    machine.restart([...older, newest!])
    assert.isAbove(machine.kept.length, 50)
    machine.one(session, 62, "z", 61)
    assert.deepStrictEqual(machine.one(session, 61, "y", 61), ["61"])
    assert.isAtMost(machine.kept.length, 3)
  })

  it("a client that goes on without one answer makes few records, and every answer is there still, after a restart too", () => {
    const machine = new Machine()
    const session = machine.open()
    for (let sequence = 1; sequence <= 1000; sequence++) {
      machine.one(session, sequence * 2, "x")
      assert.isAtMost(machine.kept.length, Limits.sessionRecordsMax + 2)
    }
    const again = (lowest: number) =>
      [1, 2, 63, 64, 65, 66, 500, 998, 999, 1000].map((turn) => machine.one(session, turn * 2, "x", lowest)[0])
    const expected = ["1", "2", "63", "64", "65", "66", "500", "998", "999", "1000"]
    assert.deepStrictEqual(again(0), expected)
    machine.restart()
    assert.deepStrictEqual(again(0), expected)
    assert.deepStrictEqual(machine.one(session, 999, "y"), ["1001"])
    for (let sequence = 2001; sequence < 2100; sequence++) machine.one(session, sequence, "x", 1000)
    assert.deepStrictEqual(again(1000).slice(0, 7), [...Array(6).fill("Answered"), "500"])
    machine.one(session, 2100, "x", 2100)
    assert.strictEqual(machine.kept.length, 1)
    for (let sequence = 2101; sequence < 5000; sequence++) machine.one(session, sequence, "x", sequence - 150)
    assert.isBelow(machine.kept.reduce((bytes, [, value]) => bytes + value.length, 0), 500 * 20)
  })

  it("sessions that come by turns in one batch are told apart, and what a batch repeats of each is carried out once", () => {
    const machine = new Machine()
    const [one, other] = [machine.open(), machine.open()]
    const turn = (sequence: number) =>
      [one, other, one].flatMap((session) =>
        machine.group(session, [{ sequence, count: 2 }], `a${sequence} b${sequence}`)
      )
    assert.deepStrictEqual(machine.apply(...turn(1), ...turn(3)), [..."123412", ..."567856"])
    machine.restart()
    assert.deepStrictEqual(machine.apply(...turn(3), ...turn(1)), [..."567856", ..."123412"])
    assert.strictEqual(machine.carriedOut.length, 8)
  })

  it("records that are made into few have whole answers, and none is too large for a snapshot's chunk", () => {
    const sessions = new Sessions([], undefined)
    const machine = new Machine()
    const session = { index: 1, term: 2 }
    sessions.plan([Entry.make(machine.next(), 2, EntryKind.SessionOpen, new Uint8Array(0))]).changes([])
    const records = new Map<string, readonly [Uint8Array, Uint8Array]>()
    const one = (sequence: number) => sessions.plan(machine.group(session, [{ sequence, count: 1 }], "x"))
    let written = 0
    for (let sequence = 1; sequence <= 200; sequence++) {
      const answer = new Uint8Array(Limits.sessionAnswerBytesMax).fill(sequence)
      for (const { key, value } of one(sequence).changes([answer])) {
        written += value?.length ?? 0
        if (value === undefined) records.delete(nameOf(key))
        else records.set(nameOf(key), [key, value])
      }
    }
    const sizes = [...records.values()].map(([, value]) => value.length)
    assert.isAtMost(sizes.length, 2 * Limits.sessionRecordsMax)
    assert.isAtMost(written, 2.5 * 200 * Limits.sessionAnswerBytesMax, "and no answer is written again and again")
    assert.isAtMost(Math.max(...sizes), Limits.sessionRecordBytesMax + Limits.sessionAnswerBytesMax)
    const after = new Sessions([...records.values()], undefined)
    for (const table of [sessions, after]) {
      for (const sequence of [1, 64, 65, 66, 130, 200]) {
        const plan = table.plan(machine.group(session, [{ sequence, count: 1 }], "x"))
        assert.deepStrictEqual(plan.commands, [])
        assert.deepStrictEqual(plan.answers([]), [new Uint8Array(Limits.sessionAnswerBytesMax).fill(sequence)])
      }
    }
  })

  it("a session that is not known is refused, and so is one of another term with the same index", () => {
    const machine = new Machine()
    const session = machine.open()
    assert.deepStrictEqual(machine.one({ index: 99, term: 2 }, 1, "a"), ["Expired"])
    assert.deepStrictEqual(machine.one({ ...session, term: 3 }, 1, "a"), ["Expired"])
    assert.deepStrictEqual(machine.carriedOut, [])
  })

  it("with too many sessions the least recently used one is evicted, refused from then on, and its records are gone", () => {
    const machine = new Machine()
    const [first, second] = [machine.open(), machine.open()]
    for (let count = 2; count < Limits.sessionsMax; count++) machine.open()
    machine.one(first, 1, "a")
    machine.restart()
    machine.open()
    assert.strictEqual(machine.sessions.size, Limits.sessionsMax)
    assert.deepStrictEqual(machine.one(second, 1, "b"), ["Expired"])
    assert.deepStrictEqual(machine.one(first, 1, "a"), ["1"])
    assert.isFalse(machine.kept.some(([key]) => SessionCodec.decodeRecordKey(key).session.index === second.index))
    assert.deepStrictEqual(machine.carriedOut, ["a"])
  })

  it("a sequence number too far beyond the lowest unanswered one is refused", () => {
    const machine = new Machine()
    const session = machine.open()
    assert.deepStrictEqual(machine.one(session, Limits.sessionWindowMax + 4, "a", 5), ["1"])
    assert.deepStrictEqual(machine.one(session, Limits.sessionWindowMax + 5, "b", 5), ["Window"])
    assert.deepStrictEqual(machine.one(session, Limits.sessionWindowMax + 5, "b", 6), ["2"])
  })

  it("an answer that is too large to be kept: the command is not carried out again", () => {
    const sessions = new Sessions([], undefined)
    const open = Entry.make(1, 2, EntryKind.SessionOpen, new Uint8Array(0))
    sessions.plan([open]).changes([])
    const stamp: Stamp = { session: { index: 1, term: 2 }, lowestUnanswered: 0, runs: [{ sequence: 1, count: 1 }] }
    const entry = (index: LogIndex) =>
      Entry.make(index, 2, EntryKind.SessionCommand, SessionCodec.encodeFirst(stamp, bytes("a")))
    sessions.plan([entry(2)]).changes([new Uint8Array(Limits.sessionAnswerBytesMax + 1)])
    const again = sessions.plan([entry(3)])
    assert.deepStrictEqual(again.commands, [])
    assert.deepStrictEqual([...again.refusals.values()], ["NotKept"])
  })

  it("the answers of one batch take several records, none of them too large for a snapshot's chunk", () => {
    const sessions = new Sessions([], undefined)
    sessions.plan([Entry.make(1, 2, EntryKind.SessionOpen, new Uint8Array(0))]).changes([])
    const session = { index: 1, term: 2 }
    const count = 512
    const group = (index: LogIndex, run: Run) => {
      const first = SessionCodec.encodeFirst({ session, lowestUnanswered: 0, runs: [run] }, bytes("a"))
      return Array.from({ length: run.count }, (_, at) =>
        at === 0
          ? Entry.make(index, 2, EntryKind.SessionCommand, first)
          : Entry.make(index + at, 2, EntryKind.Command, bytes("a")))
    }
    const answer = (at: number) => new Uint8Array(10_000).fill(at % 251)
    const entries = [...group(2, { sequence: 1, count: 300 }), ...group(302, { sequence: 400, count: count - 300 })]
    const changes = sessions.plan(entries).changes(entries.map((_, at) => answer(at)))
    const records: Kept = changes.map(({ key, value }) => [key, value!])
    const sizes = records.map(([, value]) => value.length)
    assert.isAtMost(Math.max(...sizes), 1024 * 1024 + 64)
    assert.isAtMost(sizes.length, 6, "and they are filled")
    assert.strictEqual(new Set(records.map(([key]) => nameOf(key))).size, records.length)
    for (const table of [sessions, new Sessions(records, undefined)]) {
      const again = table.plan([
        ...group(1000, { sequence: 1, count: 300 }),
        ...group(1300, { sequence: 400, count: 212 })
      ])
      assert.deepStrictEqual(again.commands, [])
      assert.deepStrictEqual(again.answers([]), entries.map((_, at) => answer(at)))
    }
  })

  it("a record of a former version, however large, is read", () => {
    const session = { index: 1, term: 2 }
    const answers = Array.from({ length: 30 }, (_, at) => new Uint8Array(60_000).fill(at))
    const record = { usedIndex: 5, lowestUnanswered: 0, runs: [{ sequence: 1, count: 30 }] }
    const kept: Kept = [[SessionCodec.encodeRecordKey(session, 0), SessionCodec.encodeRecord(record, answers)]]
    const stamp: Stamp = { session, lowestUnanswered: 0, runs: [{ sequence: 30, count: 1 }] }
    const first = Entry.make(9, 2, EntryKind.SessionCommand, SessionCodec.encodeFirst(stamp, bytes("a")))
    const plan = new Sessions(kept, undefined).plan([first])
    assert.deepStrictEqual(plan.answers([]), [answers[29]!])
  })

  it("a stamp in the log that counts beyond 2^53 - 1 is refused with its whole group, after a restart too, and stops nobody", () => {
    const machine = new Machine()
    const session = machine.open()
    const last = Number.MAX_SAFE_INTEGER
    const [first, second] = machine.group(session, [{ sequence: last, count: 2 }], "a b", last)
    machine.apply(first!)
    machine.restart()
    assert.deepStrictEqual(machine.apply(second!), ["Expired"])
    const unsafe = machine.group(session, [{ sequence: last + 1, count: 1 }, { sequence: 1, count: 2 }], "a b c")
    assert.deepStrictEqual(machine.apply(...unsafe, machine.plain("x")), ["Expired", "Expired", "Expired", "1"])
    const cut = Entry.make(machine.next(), 2, EntryKind.SessionCommand, new Uint8Array(20))
    assert.deepStrictEqual(machine.apply(cut, machine.plain("y")), ["Expired", "2"])
    assert.deepStrictEqual(machine.one(session, 1, "c"), ["3"])
    machine.restart()
    assert.deepStrictEqual(machine.carriedOut, ["x", "y", "c"])
  })

  it("whatever the batches, members agree on what is carried out", () => {
    const log = (machine: Machine): ReadonlyArray<Entry.Entry> => {
      const session = { index: 1, term: 2 }
      const entries = [Entry.make(machine.next(), 2, EntryKind.SessionOpen, new Uint8Array(0))]
      for (let turn = 0; turn < 60; turn++) {
        const sequence = 1 + (turn * 7) % 40
        const lowest = Math.max(0, turn - 20)
        entries.push(...machine.group(session, [{ sequence, count: 3 }], `a${turn} b${turn} c${turn}`, lowest))
        if (turn % 5 === 0) entries.push(machine.plain(`x${turn}`))
      }
      return entries
    }
    const outcomes = [1, 2, 3, 7, 1000].map((size) => {
      const machine = new Machine()
      const entries = log(machine)
      const answers: Array<string> = []
      for (let at = 0; at < entries.length; at += size) {
        answers.push(...machine.apply(...entries.slice(at, at + size)))
        machine.restart()
      }
      return { answers, carriedOut: machine.carriedOut }
    })
    for (const outcome of outcomes) assert.deepStrictEqual(outcome, outcomes[0])
    assert.isAbove(outcomes[0]!.answers.filter((answer) => answer === "Answered").length, 0)
  })

  it("what cannot be read is refused with the version it has", () => {
    const key = SessionCodec.encodeRecordKey({ index: 1, term: 1 }, 0)
    assert.throws(() => new Sessions([[key, Uint8Array.of(9)]], undefined), /version 9/)
  })
})
