/**
 * What the answers of a history say by themselves, before any search and across all keys:
 *
 * - Shape: a read answers keys that it asked for, each once, in order, and no more than it asked for.
 * - Unique: a revision is one change of one key, hence all answers that name it name the same key, the same value and the same write; and a value, written
 *   by one operation, was written at one revision only.
 * - Real time: an operation called after another returned has at least its revision, and a greater one if it changed something.
 * - Dense: each revision up to the highest one told was taken by some write, so the revisions of no answered write (holes) went to different writes of
 *   unknown outcome.
 *
 * Each is necessary: what breaks one is not linearizable. Together with values being unique they tell of most writes of unknown outcome which revision
 * they took, which is what makes the search behind them cheap.
 */
import { Option } from "effect"
import type { Operation } from "./History.ts"
import {
  asks,
  changed,
  type FoundKey,
  type Guess,
  initialRevision,
  type Input,
  isWrite,
  type Output,
  reached
} from "./KvModel.ts"
import type { Write } from "./KvModel.ts"

type KvOperation = Operation<Input, Output>

/** A rule that the history breaks, and the operations that show it. */
export interface Breach {
  readonly rule: "Shape" | "Unique" | "RealTime" | "Dense"
  readonly message: string
  readonly shownBy: ReadonlyArray<KvOperation>
}

/** What is known of a change, from the answer of its write or from what others saw. */
interface Claim {
  readonly revision: number
  readonly key: string
  /** None for a delete, undefined if there is a value and nobody saw it. */
  readonly value: Option.Option<string> | undefined
  /** The write that was told this revision. */
  readonly writer: KvOperation | undefined
  readonly by: KvOperation
}

/** At revision `at`, the key's last change was at `mod`, by a put, and its last delete was before `create`. */
interface Sight {
  readonly key: string
  readonly at: number
  readonly create: number
  readonly mod: number
}

export interface Analysis {
  readonly breaches: ReadonlyArray<Breach>
  /** The history with a guess in each write of unknown outcome. */
  readonly operations: ReadonlyArray<KvOperation>
}

/** Throws `RangeError` if two operations write the same value. */
export const analyse = (history: ReadonlyArray<KvOperation>): Analysis => {
  assertUniqueValues(history)
  const breaches: Array<Breach> = []
  shapes(history, breaches)
  const { claims, sights } = evidence(history)
  const { known, writtenAt } = merge(claims, breaches)
  const floors = realTime(history, breaches)
  const { highest, holes } = holesOf(history, known, breaches)
  const untold = untoldDeletes(history)
  const beyond = Array.from(untold, (_, position) => highest + 1 + position)
  const expected = new Set(history.map(({ input }) => "expected" in input ? input.expected : 0))
  const guesses = new Map<KvOperation, Guess>()
  for (const operation of history) {
    const { input } = operation
    if (Option.isSome(operation.output) || !isWrite(input)) continue
    const mine = sights.filter(({ key }) => key === input.key)
    const floor = floors.get(operation)!
    const told = "value" in input ? writtenAt.get(input.value) : undefined
    const revisions = holes.filter((hole) =>
      hole > floor && (told === undefined || told === hole) && mayTake(input, hole, known, mine)
    )
    if (untold.has(operation)) revisions.push(...beyond)
    guesses.set(operation, { revisions, told: revisions.filter((hole) => known.has(hole) || expected.has(hole)) })
  }
  fill(holes, guesses, breaches)
  const operations = history.map((operation) => {
    const guess = guesses.get(operation)
    return guess === undefined ? operation : { ...operation, input: { ...operation.input as Write, guess } }
  })
  return { breaches, operations }
}

const assertUniqueValues = (history: ReadonlyArray<KvOperation>): void => {
  const values = new Set<string>()
  for (const { input } of history) {
    if (input._tag !== "Put" && input._tag !== "CompareAndSwap") continue
    if (values.has(input.value)) throw new RangeError(`the value ${input.value} is written by two operations`)
    values.add(input.value)
  }
}

const shapes = (history: ReadonlyArray<KvOperation>, breaches: Array<Breach>): void => {
  for (const operation of history) {
    const { input } = operation
    const output = Option.getOrUndefined(operation.output)
    if (isWrite(input) || output?._tag !== "Range") continue
    const isBack = input._tag === "Range" && input.reverse === true
    const isBehind = (before: string, key: string) => isBack ? key < before : before < key
    const limit = input._tag === "Range" && input.limit !== undefined && input.limit > 0 ? input.limit : Infinity
    const bad = output.kvs.find(({ key }, at) =>
      !asks(input, key) || at >= limit || (at > 0 && !isBehind(output.kvs[at - 1]!.key, key))
    )
    if (bad === undefined) continue
    breaches.push({ rule: "Shape", message: `an answer has ${bad.key} where it may not`, shownBy: [operation] })
  }
}

const evidence = (history: ReadonlyArray<KvOperation>) => {
  const claims: Array<Claim> = []
  const sights: Array<Sight> = []
  for (const operation of history) {
    const { input } = operation
    if (Option.isNone(operation.output)) continue
    const output = operation.output.value
    const claim = (revision: number, key: string, value: Claim["value"], writer?: KvOperation) =>
      claims.push({ revision, key, value, writer, by: operation })
    const see = (kv: FoundKey) => {
      claim(kv.modRevision, kv.key, kv.value === undefined ? undefined : Option.some(kv.value))
      if (kv.createRevision !== kv.modRevision) claim(kv.createRevision, kv.key, undefined)
      sights.push({
        key: kv.key,
        at: output.revision ?? kv.modRevision,
        create: kv.createRevision,
        mod: kv.modRevision
      })
    }
    if (output._tag === "Range") output.kvs.forEach(see)
    if (output._tag === "Compared" && Option.isSome(output.current)) see(output.current.value)
    if (output._tag === "Range" || !isWrite(input) || !changed(input, output)) continue
    claim(output.revision, input.key, "value" in input ? Option.some(input.value) : Option.none(), operation)
    if ("expected" in input && input.expected !== 0) {
      const { expected, key } = input
      claim(expected, key, undefined)
      sights.push({ key, at: output.revision - 1, create: expected, mod: expected })
    }
  }
  return { claims, sights }
}

/** What is known of each revision, and of each value that was seen the revision of its write. */
const merge = (claims: ReadonlyArray<Claim>, breaches: Array<Breach>) => {
  const known = new Map<number, Claim>()
  const writtenAt = new Map<string, number>()
  const seen = new Map<string, Claim>()
  for (const claim of claims) {
    const other = known.get(claim.revision)
    if (other !== undefined && !agree(claim, other)) {
      breaches.push({
        rule: "Unique",
        message: `revision ${claim.revision} is both ${describe(other)} and ${describe(claim)}`,
        shownBy: [other.by, claim.by]
      })
    }
    known.set(claim.revision, {
      ...(other ?? claim),
      value: other?.value ?? claim.value,
      writer: other?.writer ?? claim.writer
    })
    const value = claim.value === undefined ? undefined : Option.getOrUndefined(claim.value)
    if (value === undefined) continue
    const before = seen.get(value) ?? claim
    seen.set(value, before)
    writtenAt.set(value, before.revision)
    if (before.revision !== claim.revision) {
      breaches.push({
        rule: "Unique",
        message: `one write was applied twice: ${value} is at revisions ${before.revision} and ${claim.revision}`,
        shownBy: [before.by, claim.by]
      })
    }
  }
  return { known, writtenAt }
}

const agree = (a: Claim, b: Claim): boolean =>
  a.key === b.key &&
  (a.writer === undefined || b.writer === undefined || a.writer === b.writer) &&
  (a.value === undefined || b.value === undefined
    ? !(isDelete(a) || isDelete(b))
    : Option.getOrUndefined(a.value) === Option.getOrUndefined(b.value))

const isDelete = ({ value }: Claim): boolean => value !== undefined && Option.isNone(value)

const describe = (claim: Claim): string =>
  isDelete(claim)
    ? `a delete of ${claim.key}`
    : `a put of ${claim.key}${claim.value === undefined ? "" : `=${Option.getOrUndefined(claim.value)}`}`

/** Checks revisions against real time, and returns of each operation the highest revision that had been told before its call. */
const realTime = (
  history: ReadonlyArray<KvOperation>,
  breaches: Array<Breach>
): ReadonlyMap<KvOperation, number> => {
  const floors = new Map<KvOperation, number>()
  const returns = history.filter(({ output }) => Option.isSome(output)).sort((a, b) => a.return - b.return)
  let next = 0
  let floor = initialRevision
  let told: KvOperation | undefined
  for (const operation of history) {
    for (; next < returns.length && returns[next]!.return < operation.call; next++) {
      const revision = reached(Option.getOrThrow(returns[next]!.output))
      if (revision <= floor) continue
      floor = revision
      told = returns[next]!
    }
    floors.set(operation, floor)
    if (Option.isNone(operation.output)) continue
    const output = operation.output.value
    const takes = isWrite(operation.input) && changed(operation.input, output)
    if (output.revision === undefined || output.revision >= floor + (takes ? 1 : 0)) continue
    breaches.push({
      rule: "RealTime",
      message: takes
        ? `revision ${output.revision} went to a write called after revision ${floor} was told`
        : `revision ${output.revision} was answered to a call after revision ${floor} was told`,
      shownBy: told === undefined ? [operation] : [told, operation]
    })
  }
  return floors
}

/**
 * Deletes of unknown outcome whose revision may be beyond the highest one told: a get that finds nothing tells no revision, and so may be all that anybody saw of them.
 * Of puts there is nothing to see but their revision.
 */
const untoldDeletes = (history: ReadonlyArray<KvOperation>): ReadonlySet<KvOperation> => {
  const missedAt = new Map<string, number>()
  for (const { input, output, return: at } of history) {
    const answer = Option.getOrUndefined(output)
    if (input._tag !== "Get" || answer?._tag !== "Range" || answer.revision !== undefined) continue
    if (answer.kvs.length === 0) missedAt.set(input.key, Math.max(at, missedAt.get(input.key) ?? 0))
  }
  return new Set(history.filter(({ call, input, output }) =>
    Option.isNone(output) &&
    (input._tag === "Delete" || (input._tag === "CompareAndDelete" && input.expected !== 0)) &&
    call < (missedAt.get(input.key) ?? 0)
  ))
}

/** The highest revision told, and those up to it that went to no answered write, in ascending order. */
const holesOf = (
  history: ReadonlyArray<KvOperation>,
  known: ReadonlyMap<number, Claim>,
  breaches: Array<Breach>
): { readonly highest: number; readonly holes: ReadonlyArray<number> } => {
  let highest = initialRevision
  let by: KvOperation | undefined
  for (const operation of history) {
    const revision = Option.isSome(operation.output) ? reached(operation.output.value) : 0
    if (revision > highest) [highest, by] = [revision, operation]
  }
  const writes = history.filter(({ input }) => isWrite(input)).length
  if (by !== undefined && highest - initialRevision > writes) {
    breaches.push({ rule: "Dense", message: `revision ${highest} after ${writes} writes at most`, shownBy: [by] })
    return { highest, holes: [] }
  }
  const holes: Array<number> = []
  for (let revision = initialRevision + 1; revision <= highest; revision++) {
    if (known.get(revision)?.writer === undefined) holes.push(revision)
  }
  return { highest, holes }
}

/** Whether a write of unknown outcome can have taken `hole`, by what is known of that revision, of its value, and of its key around then. */
const mayTake = (
  write: Write,
  hole: number,
  known: ReadonlyMap<number, Claim>,
  sights: ReadonlyArray<Sight>
): boolean => {
  const claim = known.get(hole)
  const value = "value" in write ? write.value : undefined
  if (claim !== undefined && (claim.key !== write.key || value === undefined)) return false
  if (claim?.value !== undefined && Option.getOrUndefined(claim.value) !== value) return false
  if ("expected" in write && write.expected >= hole) return false
  if (write._tag === "CompareAndDelete" && write.expected === 0) return false
  return sights.every(({ at, create, mod }) => hole > at || (hole <= mod && (value !== undefined || hole < create)))
}

/** Gives every hole a write of its own, by augmenting paths (Kuhn 1955), or reports the first that gets none. */
const fill = (
  holes: ReadonlyArray<number>,
  guesses: ReadonlyMap<KvOperation, Guess>,
  breaches: Array<Breach>
): void => {
  const holder = new Map<KvOperation, number>()
  const takers = new Map(holes.map((hole) => [hole, [] as Array<KvOperation>]))
  for (const [operation, { revisions }] of guesses) for (const hole of revisions) takers.get(hole)?.push(operation)
  const give = (hole: number, tried: Set<KvOperation>): boolean => {
    for (const operation of takers.get(hole)!) {
      if (tried.has(operation)) continue
      tried.add(operation)
      const held = holder.get(operation)
      if (held !== undefined && !give(held, tried)) continue
      holder.set(operation, hole)
      return true
    }
    return false
  }
  for (const hole of holes) {
    if (give(hole, new Set())) continue
    breaches.push({
      rule: "Dense",
      message: `revision ${hole} was taken by no write of the history`,
      shownBy: takers.get(hole)!
    })
    return
  }
}
