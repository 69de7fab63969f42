import { Option } from "effect"
import { assert, describe, it } from "vitest"
import * as Checker from "../src/linearizability/Checker.ts"
import * as History from "../src/linearizability/History.ts"
import type { Model } from "../src/linearizability/Model.ts"
import { type Atomic, bruteForce, Dice, op, simulate } from "./linearizabilityParts.ts"

type Input = { readonly write: number } | { readonly add: number } | "read"
type Output = number | "ok"

/** A register of a number. */
const register: Model<number, Input, Output> = {
  initial: 0,
  step: (state, input, output) => {
    if (input === "read") return Option.contains(output, state) ? [state] : []
    if (Option.isSome(output) && output.value !== "ok") return []
    return ["write" in input ? input.write : state + input.add]
  },
  keyOf: String,
  isRead: (input) => input === "read"
}

class Register implements Atomic<Input, Output> {
  private value = 0

  apply(input: Input): Output {
    if (input === "read") return this.value
    this.value = "write" in input ? input.write : this.value + input.add
    return "ok"
  }
}

const verdict = (...intervals: ReadonlyArray<History.Interval<Input, Output>>) =>
  Checker.check(register, History.fromIntervals(intervals))

const write = (value: number): Input => ({ write: value })

describe("a history", () => {
  const call = (client: string, timeMillis: number) => ({ _tag: "Call" as const, client, timeMillis, input: "read" })

  it("refuses a second operation of a client that has one open", () => {
    assert.throws(() => History.fromEvents([call("a", 0), call("a", 1)]), History.HistoryError)
  })

  it("lets a client go on after an operation of unknown outcome, which stays open", () => {
    const history = History.fromEvents([call("a", 0), { _tag: "Unknown", client: "a", timeMillis: 1 }, call("a", 2)])
    assert.deepEqual(history.map((operation) => [operation.id, operation.return]), [[0, Infinity], [1, Infinity]])
  })

  it("leaves out what certainly was not carried out", () => {
    assert.deepEqual(History.fromEvents([call("a", 0), { _tag: "Failed", client: "a", timeMillis: 1 }]), [])
  })

  it("refuses a return without a call, and time that goes back", () => {
    assert.throws(() => History.fromEvents([{ _tag: "Unknown", client: "a", timeMillis: 0 }]), History.HistoryError)
    assert.throws(() => History.fromEvents([call("a", 1), call("b", 0)]), History.HistoryError)
    assert.throws(() => History.fromEvents([call("a", NaN)]), History.HistoryError)
    assert.throws(() => History.fromIntervals([op("a", 5, 4, "read", 0)]), History.HistoryError)
  })

  it("keeps the order of events of one virtual time", () => {
    const [first, second] = History.fromEvents([
      call("a", 7),
      { _tag: "Return", client: "a", timeMillis: 7, output: 0 },
      call("b", 7)
    ])
    assert.isBelow(first!.return, second!.call)
  })

  it("takes intervals that touch for concurrent", () => {
    const [first, second] = History.fromIntervals([op("a", 0, 5, "read", 0), op("b", 5, 9, "read", 0)])
    assert.isAbove(first!.return, second!.call)
  })
})

describe("the checker", () => {
  it("accepts a read that saw a concurrent write, and one that did not", () => {
    assert.equal(verdict(op("a", 0, 9, write(1), "ok"), op("b", 1, 3, "read", 0), op("b", 4, 6, "read", 1))._tag, "Ok")
  })

  it("refuses a read of what was overwritten before it was called", () => {
    assert.equal(verdict(op("a", 0, 1, write(1), "ok"), op("b", 2, 3, "read", 0))._tag, "Violation")
  })

  it("refuses that one reader sees a write and a later one does not", () => {
    const found = verdict(op("a", 0, 9, write(1), "ok"), op("b", 1, 3, "read", 1), op("c", 4, 6, "read", 0))
    assert.equal(found._tag, "Violation")
  })

  it("lets a write of unknown outcome show long after its client went on", () => {
    const unknown = op<Input, Output>("a", 0, 1, write(1))
    assert.equal(verdict(unknown, op("a", 2, 3, "read", 0), op("a", 4, 5, "read", 1))._tag, "Ok")
    assert.equal(verdict(unknown, op("a", 2, 3, "read", 0))._tag, "Ok")
  })

  it("does not let a write of unknown outcome show before its call, nor twice", () => {
    const unknown = op<Input, Output>("a", 4, 5, write(1))
    assert.equal(verdict(op("b", 0, 1, "read", 1), unknown)._tag, "Violation")
    const twice = verdict(
      unknown,
      op("b", 6, 7, "read", 1),
      op("b", 8, 9, write(2), "ok"),
      op("b", 10, 11, "read", 1)
    )
    assert.equal(twice._tag, "Violation")
  })

  it("needs no place for an operation of unknown outcome that the model refuses everywhere", () => {
    assert.equal(verdict(op("a", 0, 1, "read"), op("b", 2, 3, "read", 0))._tag, "Ok")
  })

  it("gives the order that it found, and how far it came if there is none", () => {
    const history = [op<Input, Output>("a", 0, 9, write(1), "ok"), op<Input, Output>("b", 1, 3, "read", 0)]
    const [ok] = verdict(...history).parts
    assert.deepEqual(ok?._tag === "Ok" ? ok.order.map(({ id }) => id) : [], [1, 0])
    const [bad] = verdict(...history, op("c", 10, 11, "read", 7)).parts
    assert.equal(bad?._tag, "Violation")
    if (bad?._tag !== "Violation") return
    assert.deepEqual(bad.longest.map(({ id }) => id), [1, 0])
    assert.deepEqual(bad.blocked.map(({ id }) => id), [2])
  })

  it("shows the order that came furthest, not the last one that it tried", () => {
    const [bad] = verdict(
      op("a", 0, 9, write(1), "ok"),
      op("b", 0, 9, write(2), "ok"),
      op("c", 10, 11, "read", 2),
      op("c", 12, 13, "read", 7)
    ).parts
    assert.equal(bad?._tag, "Violation")
    if (bad?._tag !== "Violation") return
    assert.deepEqual([bad.longest, bad.blocked].map((some) => some.map(({ id }) => id)), [[0, 1, 2], [3]])
  })

  it("tries every state that a step may lead to", () => {
    const coin: Model<string, "toss" | "look", string> = {
      initial: "",
      step: (state, input, output) => {
        if (input === "toss") return ["heads", "tails"]
        return Option.contains(output, state) ? [state] : []
      },
      keyOf: (state) => state
    }
    const looks = (...seen: ReadonlyArray<string>) =>
      Checker.check(
        coin,
        History.fromIntervals([
          op("a", 0, 1, "toss" as const, "done"),
          ...seen.map((side, at) => op("a", 2 + 2 * at, 3 + 2 * at, "look" as const, side))
        ])
      )._tag
    assert.equal(looks("tails", "tails"), "Ok")
    assert.equal(looks("tails", "heads"), "Violation")
  })

  it("checks each part of a partition, and says which one is wrong", () => {
    const apart: typeof register = {
      ...register,
      partition: (operations) =>
        ["a", "b"].map((name) => ({ name, operations: operations.filter(({ client }) => client === name) }))
    }
    const found = Checker.check(
      apart,
      History.fromIntervals<Input, Output>([
        op("a", 0, 1, write(1), "ok"),
        op("b", 2, 3, "read", 0),
        op("b", 4, 5, "read", 1)
      ])
    )
    assert.equal(found._tag, "Violation")
    assert.deepEqual(found.parts.map(({ _tag, name }) => [name, _tag]), [["a", "Ok"], ["b", "Violation"]])
  })

  it("gives up after the steps that it was given, and never takes more", () => {
    const adds = Array.from({ length: 14 }, (_, at) => op<Input, Output>(`c${at}`, 0, 9, { add: 2 ** at }, "ok"))
    const history = History.fromIntervals([...adds, op<Input, Output>("z", 10, 11, "read", -1)])
    const found = Checker.check(register, history, { stepsMax: 1000 })
    assert.deepEqual([found._tag, found.steps], ["GaveUp", 1000])
  })

  it("meets no configuration twice: ten concurrent writes of which none was read take 2^10 of them at most", () => {
    const writes = Array.from({ length: 10 }, (_, at) => op<Input, Output>(`c${at}`, 0, 9, { add: 1 }, "ok"))
    const found = Checker.check(
      register,
      History.fromIntervals([...writes, op<Input, Output>("z", 10, 11, "read", -1)])
    )
    assert.equal(found._tag, "Violation")
    assert.isAtMost(found.steps, 10 * 2 ** 10 + 1)
  })

  it("places reads that fit at once: forty that overlap cost steps in proportion to them, also when there is no order", () => {
    const reads = Array.from({ length: 40 }, (_, at) => op<Input, Output>(`r${at}`, 0, 9, "read", at % 3))
    const writes = [op<Input, Output>("w", 0, 9, { add: 1 }, "ok"), op<Input, Output>("x", 0, 9, { add: 1 }, "ok")]
    const right = Checker.check(register, History.fromIntervals([...reads, ...writes]))
    assert.equal(right._tag, "Ok")
    assert.isAtMost(right.steps, 300)
    const wrong = Checker.check(
      register,
      History.fromIntervals([...reads, ...writes, op<Input, Output>("z", 10, 11, "read", 3)])
    )
    assert.equal(wrong._tag, "Violation")
    assert.isAtMost(wrong.steps, 1000)
  })

  it("does not take a write for a read where it happens to change nothing", () => {
    const history = [
      op<Input, Output>("a", 0, 9, write(0), "ok"),
      op<Input, Output>("b", 0, 1, write(1), "ok"),
      op<Input, Output>("c", 2, 3, "read", 0)
    ]
    assert.equal(verdict(...history)._tag, "Ok")
  })

  it("agrees with trying all orders, on random histories right and wrong", () => {
    const tally = { Ok: 0, Violation: 0, GaveUp: 0 }
    for (let seed = 1; seed <= 500; seed++) {
      const dice = new Dice(seed)
      const events = simulate<Input, Output>(dice, new Register(), {
        clients: 3,
        operations: 3 + dice.roll(4),
        unknown: 0.25,
        input: () => dice.pick<Input>(["read", "read", { write: dice.roll(3) }, { add: 1 }])
      })
      const right = History.fromEvents(events)
      assert.equal(Checker.check(register, right)._tag, "Ok", `seed ${seed}`)
      const wrong = right.map((operation) =>
        operation.input === "read" && Option.isSome(operation.output) && dice.next() < 0.5
          ? { ...operation, output: Option.some(dice.roll(4)) }
          : operation
      )
      const found = Checker.check(register, wrong)._tag
      assert.equal(found, bruteForce(wrong, () => new Register()) ? "Ok" : "Violation", `seed ${seed}`)
      tally[found]++
    }
    assert.isAbove(tally.Ok, 100)
    assert.isAbove(tally.Violation, 100)
  })
})
