/**
 * Whether a history of the key-value store is linearizable.
 *
 * The revision couples all keys, so the history does not fall apart by key as porcupine's does. But answers carry revisions, and these order all answered
 * writes by themselves. The only thing to search for is where writes of unknown outcome went. So there are three stages:
 *
 * 1. `KvRevisions`: rules across keys that need no search. They also narrow down which revision each write of unknown outcome may have taken.
 * 2. A search per key (`KvKeyModel`), ranges taken apart into one get per key at the same revision. Small searches, and small pictures of what is wrong.
 * 3. A search over the whole store (`KvModel.whole`) with the guesses of stage 1, which leave it little choice.
 *
 * What a verdict means:
 *
 * - `Violation`: the history is not linearizable. Each stage checks necessary conditions only, so there are no false alarms.
 * - `Ok`, proven `Whole`: it is linearizable, `order` being a witness.
 * - `Ok`, proven `PerKey`: stages 1 and 2 passed, stage 3 ran out of steps. Then every key has an order that fits real time and all revisions told, the
 *   orders agree about real time across keys, every revision told is one change of one key, and the revisions told to nobody can be dealt out to different
 *   writes of unknown outcome. Left open is only whether one such deal suits all keys at once. Without writes of unknown outcome there is
 *   nothing to deal, and the history is linearizable: by revision, its change first, the orders of all keys merge into a witness.
 * - `GaveUp`: a search ran out of steps; nothing was found wrong.
 *
 * Steps grow with the writes of unknown outcome. Of 10 clients on 5 keys: 300 operations take some 2 500 steps with 10 % of unknown outcome, 14 000 with
 * 30 %; 2000 operations 60 000 with 5 %, 500 000 with 10 %, keys and whole together. 30 clients with 10 % may give up: keep histories short, or spread over
 * more keys.
 *
 * Assumed: the store was empty before, all its writes are in the history, and each value is written by one operation. Not covered: deletes of several keys,
 * stale reads, leases, and that operations sent as one group take effect in order and answer from one revision.
 */
import { Option } from "effect"
import * as Checker from "./Checker.ts"
import type { History, Operation } from "./History.ts"
import * as KvKeyModel from "./KvKeyModel.ts"
import { type Input, isWrite, type KeyValue, type Output, tells, whole } from "./KvModel.ts"
import * as KvRevisions from "./KvRevisions.ts"
import type { Part } from "./Model.ts"

export interface Violation extends Checker.Stuck<Input, Output> {
  readonly rule: KvRevisions.Breach["rule"] | "Key" | "Whole"
  readonly message: string
  /** What to look at: all operations on the key, or the whole history. */
  readonly operations: ReadonlyArray<Operation<Input, Output>>
}

export type Verdict =
  | {
    readonly _tag: "Ok"
    readonly proven: "Whole"
    readonly order: ReadonlyArray<Operation<Input, Output>>
    readonly steps: number
  }
  | { readonly _tag: "Ok"; readonly proven: "PerKey"; readonly steps: number }
  | { readonly _tag: "Violation"; readonly violations: ReadonlyArray<Violation>; readonly steps: number }
  | { readonly _tag: "GaveUp"; readonly steps: number }

/** Throws `RangeError` if two operations of the history write the same value. `stepsMax` is for each key, and for the whole. */
export const check = (
  history: History<Input, Output>,
  options: Checker.Options = Checker.defaults
): Verdict => {
  const { breaches, operations } = KvRevisions.analyse(history)
  const keys = byKey(operations)
  const perKey = Checker.checkParts(KvKeyModel.model, keys.map(searched), options)
  const violations = breaches.map(({ message, rule, shownBy }): Violation => ({
    rule,
    message,
    operations: history,
    longest: [],
    blocked: shownBy
  }))
  perKey.parts.forEach((part, at) => {
    if (part._tag !== "Violation") return
    const message = `no order explains what was answered about ${part.name}`
    violations.push({ ...part, rule: "Key", message, operations: keys[at]!.operations })
  })
  if (violations.length > 0) {
    // A revision that nobody took is often but the consequence of what another violation shows better.
    violations.sort((a, b) => Number(a.rule === "Dense") - Number(b.rule === "Dense"))
    return { _tag: "Violation", violations, steps: perKey.steps }
  }

  const all = Checker.checkParts(whole, [searched({ name: "store", operations })], options)
  const steps = perKey.steps + all.steps
  const part = all.parts[0]!
  if (part._tag === "Ok") return { _tag: "Ok", proven: "Whole", order: part.order, steps }
  if (part._tag === "Violation") {
    const message = "each key has an order, but no order explains all keys together"
    return { _tag: "Violation", violations: [{ ...part, rule: "Whole", message, operations: history }], steps }
  }
  return perKey._tag === "Ok" ? { _tag: "Ok", proven: "PerKey", steps } : { _tag: "GaveUp", steps }
}

/** Without what can have no effect: a search would try it in every place. */
const searched = ({ name, operations }: Part<Input, Output>): Part<Input, Output> => ({
  name,
  operations: operations.filter(({ input, output }) =>
    Option.isSome(output) || (isWrite(input) && input.guess?.revisions.length !== 0)
  )
})

const byKey = (operations: ReadonlyArray<Operation<Input, Output>>): ReadonlyArray<Part<Input, Output>> => {
  const names = new Set(operations.flatMap(({ input, output }) => [
    ...("key" in input ? [input.key] : []),
    ...kvsOf(output).map(({ key }) => key)
  ]))
  return Array.from(names).sort().map((name) => ({
    name,
    operations: operations.flatMap((operation) => {
      const { input, output } = operation
      if (input._tag !== "Range") return input.key === name ? [operation] : []
      if (!tells(input, kvsOf(output), name)) return []
      const narrowed = Option.map(output, (answer) => ({
        ...answer,
        ...(answer._tag === "Range" ? { kvs: answer.kvs.filter(({ key }) => key === name) } : {})
      }))
      return [{ ...operation, input: { _tag: "Get" as const, key: name }, output: narrowed }]
    })
  }))
}

const kvsOf = (output: Option.Option<Output>): ReadonlyArray<KeyValue> =>
  Option.isSome(output) && output.value._tag === "Range" ? output.value.kvs : []
