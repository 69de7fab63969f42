/** What callers are promised, one outcome at a time. */
import { assert, describe, it } from "@effect/vitest"
import type { Exit } from "effect"
import { Effect } from "effect"
import { EntryKind } from "../src/core/Entry.ts"
import * as Entry from "../src/Entry.ts"
import * as Limits from "../src/Limits.ts"
import { Proposals } from "../src/Proposals.ts"
import type { Answer, AppliedBatch } from "../src/Proposals.ts"
import type { RaftError } from "../src/RaftError.ts"
import * as Wakeup from "../src/Wakeup.ts"
import { bytes, text } from "./support/Register.ts"

const outcomeOf = (exit: Exit.Exit<ReadonlyArray<Answer>, RaftError>): string => {
  if (exit._tag === "Success") {
    return exit.value.map((answer) => answer instanceof Uint8Array ? text(answer) : answer.reason).join(" ")
  }
  const [reason] = exit.cause.reasons
  return reason?._tag === "Fail" ? reason.error.reason : "?"
}

const make = Effect.map(Wakeup.make, (bell) => {
  const proposals = new Proposals(bell, 1)
  const outcomes: Array<string | undefined> = []
  /** A group of as many commands as there are labels, due at 1000. */
  const add = (labels: string, deadline = 1000): number => {
    const position = outcomes.push(undefined) - 1
    const refused = proposals.add(labels.split(" ").map(bytes), "Commands", 0, deadline, (exit) => {
      assert.isUndefined(outcomes[position], "answered twice")
      outcomes[position] = outcomeOf(exit)
    })
    if (refused !== undefined) outcomes[position] = refused.reason
    return proposals.take()[0]?.id ?? 0
  }
  const append = (labels: string, firstIndex: number, term = 2): number => {
    const id = add(labels)
    proposals.appendedAt(id, firstIndex, term)
    return id
  }
  /** Entries from `from` on are applied: "a@2 b@2 -@3", the last being no command; each result is its label in capitals. */
  const apply = (from: number, list: string, refusals: AppliedBatch["refusals"] = new Map()) => {
    const entries = list.split(" ").map((item, offset) => {
      const [label, term] = item.split("@")
      const kind = label === "-" ? EntryKind.Noop : EntryKind.Command
      return Entry.make(from + offset, Number(term), kind, bytes(label!))
    })
    const commands = entries.filter(({ kind }) => kind === EntryKind.Command)
    proposals.applied({
      from,
      to: from + entries.length - 1,
      entries: commands,
      results: commands.map(({ data }) => bytes(text(data).toUpperCase())),
      refusals
    })
  }
  return { proposals, outcomes, add, append, apply }
})

describe("proposals", () => {
  it.effect("a group applied where it was appended succeeds with one result per command", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes, proposals } = yield* make
      append("a b", 5)
      append("c", 7)
      apply(4, "x@1 a@2 b@2 c@2 y@2")
      assert.deepStrictEqual(outcomes, ["A B", "C"])
      assert.strictEqual(proposals.size, 0)
    }))

  it.effect("a group may be applied in several batches", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes } = yield* make
      append("a b c d e", 5)
      apply(5, "a@2 b@2")
      apply(7, "c@2")
      assert.deepStrictEqual(outcomes, [undefined])
      apply(8, "d@2 e@2")
      assert.deepStrictEqual(outcomes, ["A B C D E"])
    }))

  it.effect("a command that is refused for its session's sake takes none of its group with it", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes } = yield* make
      append("a b c", 5)
      append("d e", 8)
      apply(5, "a@2 b@2", new Map([[6, "NotKept"]]))
      apply(7, "c@2 d@2 e@2", new Map([[8, "Window"], [9, "Answered"]]))
      assert.deepStrictEqual(outcomes, ["A Unknown C", "Busy Unknown"])
    }))

  it.effect("a group of a session that is not open is refused as a whole", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes } = yield* make
      append("a b", 5)
      apply(5, "a@2", new Map([[5, "Expired"]]))
      assert.deepStrictEqual(outcomes, ["Expired"])
    }))

  it.effect("entries that are no commands lie between groups without harm", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes } = yield* make
      append("a", 5)
      append("b", 8)
      apply(5, "a@2 -@2 -@2")
      apply(8, "b@2")
      assert.deepStrictEqual(outcomes, ["A", "B"])
    }))

  it.effect("another term at its place is a definite failure", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes } = yield* make
      append("a", 5)
      append("b", 6)
      apply(5, "z@3 y@3")
      assert.deepStrictEqual(outcomes, ["Lost", "Lost"])
    }))

  it.effect("what takes its place may be no command, and is a definite failure too", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes } = yield* make
      append("a b", 5)
      apply(5, "-@3")
      assert.deepStrictEqual(outcomes, ["Lost"])
    }))

  it.effect("a group whose end another leader's entries replace is unknown, and gets no answer of theirs", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes } = yield* make
      append("a b", 5)
      append("c d", 7)
      apply(5, "a@2 z@3 y@3 x@3")
      assert.deepStrictEqual(outcomes, ["Unknown", "Lost"])
    }))

  it.effect("what another leader replaces in this log may be committed by a third: it is open until something is applied there (seed 6080)", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes, proposals } = yield* make
      append("a", 5)
      append("b c", 6)
      append("d", 8)
      append("e", 9)
      proposals.truncated(7)
      assert.deepStrictEqual(outcomes, [undefined, undefined, undefined, undefined])
      apply(5, "a@2 b@2")
      apply(7, "c@2 z@3")
      assert.deepStrictEqual(outcomes, ["A", "B C", "Lost", undefined])
      apply(9, "e@2")
      assert.deepStrictEqual(outcomes, ["A", "B C", "Lost", "E"])
      assert.strictEqual(proposals.size, 0)
    }))

  it.effect("a group that was truncated is not taken for one that is appended at its place later", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes, proposals } = yield* make
      append("a", 5, 2)
      proposals.truncated(5)
      append("b", 5, 4)
      apply(5, "b@4")
      assert.deepStrictEqual(outcomes, ["Lost", "B"])
    }))

  it.effect("a batch is not searched for groups that it does not reach", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes, proposals } = yield* make
      append("a", 5)
      proposals.truncated(5)
      const entries = [Entry.make(4, 2, EntryKind.Command, bytes("x"))]
      entries.findIndex = () => assert.fail("searched")
      proposals.applied({ from: 4, to: 4, entries, results: [bytes("X")], refusals: new Map() })
      assert.deepStrictEqual(outcomes, [undefined])
      apply(5, "a@2")
      assert.deepStrictEqual(outcomes, ["A"])
    }))

  it.effect("a group that was truncated has a deadline, and is unknown over a snapshot", () =>
    Effect.gen(function*() {
      const { append, outcomes, proposals } = yield* make
      append("a", 5)
      append("b", 6)
      proposals.truncated(5)
      proposals.skipped(5)
      assert.deepStrictEqual(outcomes, ["Unknown", undefined])
      proposals.expire(1000)
      assert.deepStrictEqual(outcomes, ["Unknown", "Unknown"])
    }))

  it.effect("over a snapshot nobody knows whether the entry was this one", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes, proposals } = yield* make
      append("a", 5)
      append("b c", 6)
      append("d", 9)
      proposals.skipped(6)
      assert.deepStrictEqual(outcomes, ["Unknown", "Unknown", undefined])
      apply(10, "z@3")
      assert.deepStrictEqual(outcomes, ["Unknown", "Unknown", "Unknown"], "the log jumped past it")
    }))

  it.effect("a deadline before it was appended anywhere means that it never happens", () =>
    Effect.gen(function*() {
      const { add, outcomes, proposals } = yield* make
      add("a", 1000)
      assert.strictEqual(proposals.expire(999), 1000)
      assert.deepStrictEqual(outcomes, [undefined])
      assert.strictEqual(proposals.expire(1000), Infinity)
      assert.deepStrictEqual(outcomes, ["NoLeader"])
    }))

  it.effect("a deadline after it was appended, or forwarded, leaves the outcome unknown", () =>
    Effect.gen(function*() {
      const { add, append, outcomes, proposals } = yield* make
      append("a", 5)
      proposals.get(add("b"))!.forwardedTo = "leader"
      proposals.expire(1000)
      assert.deepStrictEqual(outcomes, ["Unknown", "Unknown"])
    }))

  it.effect("a group that was answered is passed over when its entry is applied after all", () =>
    Effect.gen(function*() {
      const { append, apply, outcomes, proposals } = yield* make
      append("a b", 5)
      proposals.expire(1000)
      append("c", 7)
      apply(5, "a@2 b@2 c@2")
      assert.deepStrictEqual(outcomes, ["Unknown", "C"])
    }))

  it.effect("a broken link makes unknown what was forwarded over it, and nothing else", () =>
    Effect.gen(function*() {
      const { add, append, outcomes, proposals } = yield* make
      proposals.get(add("a"))!.forwardedTo = "one"
      proposals.get(add("b"))!.forwardedTo = "two"
      append("c", 5)
      add("d")
      proposals.linkLost("one")
      assert.deepStrictEqual(outcomes, ["Unknown", undefined, undefined, undefined])
    }))

  it.effect("a parked group is tried again at its time, or as soon as there is a leader, and is no longer with the former one", () =>
    Effect.gen(function*() {
      const { add, outcomes, proposals } = yield* make
      const id = add("a")
      proposals.get(id)!.forwardedTo = "one"
      proposals.park(id, 100)
      proposals.linkLost("one")
      assert.deepStrictEqual(outcomes, [undefined])
      proposals.unpark(100 + Limits.retryMillis - 1, false)
      assert.strictEqual(proposals.take().length, 0)
      assert.strictEqual(proposals.expire(100), 100 + Limits.retryMillis)
      proposals.unpark(100 + Limits.retryMillis, false)
      const [again] = proposals.take()
      assert.notStrictEqual(again!.id, id, "it may be forwarded anew, which the former id was")
      proposals.park(again!.id, 200)
      proposals.unpark(200, true)
      assert.strictEqual(proposals.take().length, 1)
    }))

  it.effect("a parked group whose deadline passed is not tried again", () =>
    Effect.gen(function*() {
      const { add, outcomes, proposals } = yield* make
      proposals.park(add("a"), 990)
      proposals.expire(1000)
      proposals.unpark(2000, true)
      assert.deepStrictEqual(proposals.take(), [])
      assert.deepStrictEqual(outcomes, ["NoLeader"])
    }))

  it.effect("when the member stops, what is under way is unknown and the rest never happens", () =>
    Effect.gen(function*() {
      const { add, append, outcomes, proposals } = yield* make
      append("a", 5)
      proposals.get(add("b"))!.forwardedTo = "one"
      add("c")
      proposals.stop()
      assert.deepStrictEqual(outcomes, ["Unknown", "Unknown", "Stopped"])
      assert.strictEqual(proposals.size, 0)
    }))

  it.effect("too large a command, or a group, or too many commands are refused for good", () =>
    Effect.gen(function*() {
      const { proposals } = yield* make
      const refusal = (commands: ReadonlyArray<Uint8Array>) =>
        proposals.add(commands, "Commands", 0, 1, () => {})?.reason
      assert.strictEqual(refusal([new Uint8Array(Limits.commandBytesMax + 1)]), "TooLarge")
      assert.strictEqual(refusal(new Array(Limits.groupCommandsMax + 1).fill(new Uint8Array(0))), "TooLarge")
      const command = new Uint8Array(Limits.commandBytesMax)
      assert.strictEqual(refusal([command, command]), "TooLarge")
      assert.isUndefined(refusal([command]))
      assert.isUndefined(refusal(new Array(Limits.groupCommandsMax).fill(new Uint8Array(0))))
      assert.strictEqual(proposals.size, 2)
    }))

  it.effect("what waits is bounded in bytes and in count, and room comes back with every answer", () =>
    Effect.gen(function*() {
      const { proposals } = yield* make
      const command = new Uint8Array(Limits.commandBytesMax)
      const refusal = (commands: ReadonlyArray<Uint8Array>) =>
        proposals.add(commands, "Commands", 0, 10, () => {})?.reason
      for (let count = Limits.proposalBytesMax / Limits.commandBytesMax; count > 0; count--) {
        assert.isUndefined(refusal([command]))
      }
      assert.strictEqual(refusal([bytes("a")]), "Busy")
      proposals.expire(10)
      for (let count = 0; count < Limits.proposalsMax; count++) assert.isUndefined(refusal([bytes("a")]))
      assert.strictEqual(refusal([bytes("a")]), "Busy")
    }))
})
