/**
 * The key-value store as a sequential object: the operations of `Kv`, with text for bytes, one key per write, and one revision for the whole store.
 * Every change gets the next revision, what changes nothing gets none, and every answer tells the revision after it. An empty store is at revision 1.
 *
 * `whole` is that object and nothing else, deterministic and exact. It cannot be split by key, since the revision couples all keys; `KvCheck` says how
 * a long history is checked nevertheless.
 */
import { Option } from "effect"
import type { Model } from "./Model.ts"

export interface KeyValue {
  readonly key: string
  readonly value: string
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
}

/** A key as a failed comparison found it. */
export interface FoundKey extends Omit<KeyValue, "value"> {
  /** Undefined for a long one, which is not shown. */
  readonly value: string | undefined
}

/**
 * Revisions that a write of unknown outcome may have taken, if it took effect. Filled in by `KvRevisions`, which sees the whole history; recorders leave
 * it out.
 */
export interface Guess {
  /** In ascending order. */
  readonly revisions: ReadonlyArray<number>
  /** Those of them that some answer told as a create or mod revision. */
  readonly told: ReadonlyArray<number>
}

/** `expected` is a mod revision, or 0 for "no such key". Each value is written by one operation of a history only. */
export type Write =
  | { readonly _tag: "Put"; readonly key: string; readonly value: string; readonly guess?: Guess }
  | { readonly _tag: "Delete"; readonly key: string; readonly guess?: Guess }
  | {
    readonly _tag: "CompareAndSwap"
    readonly key: string
    readonly value: string
    readonly expected: number
    readonly guess?: Guess
  }
  | { readonly _tag: "CompareAndDelete"; readonly key: string; readonly expected: number; readonly guess?: Guess }

/**
 * `Range` reads the keys that begin with `prefix`, or with bounds those in `[from, to)`, in order or, with `reverse`, from the last one back; with a limit above 0 at most
 * so many.
 */
export type Read =
  | { readonly _tag: "Get"; readonly key: string }
  | {
    readonly _tag: "Range"
    readonly prefix: string
    readonly bounds?: { readonly from: string; readonly to: string }
    readonly limit?: number
    readonly reverse?: boolean
  }

export type Input = Write | Read

/**
 * `revision` is the store's after the operation; a read may leave it untold. `Range` also answers `Get`; its keys are in the order of their code units, or from the last one
 * back, and `more` says, if anything, whether a limit left some out.
 */
export type Output =
  | {
    readonly _tag: "Range"
    readonly revision: number | undefined
    readonly kvs: ReadonlyArray<KeyValue>
    readonly more?: boolean
  }
  | { readonly _tag: "Put"; readonly revision: number }
  | { readonly _tag: "Delete"; readonly revision: number; readonly deleted: number }
  | {
    readonly _tag: "Compared"
    readonly revision: number
    readonly succeeded: boolean
    /** What stood there instead, if the comparison failed. */
    readonly current: Option.Option<FoundKey>
  }

export const isWrite = (input: Input): input is Write => input._tag !== "Get" && input._tag !== "Range"

/** Whether a read asks for a key. */
export const asks = (read: Read, key: string): boolean => {
  if (read._tag === "Get") return key === read.key
  return read.bounds === undefined ? key.startsWith(read.prefix) : read.bounds.from <= key && key < read.bounds.to
}

/** Whether the answer of a read says something about a key: with a limit, it says nothing about what lies behind its last key. */
export const tells = (read: Read, kvs: ReadonlyArray<KeyValue>, key: string): boolean => {
  if (!asks(read, key)) return false
  if (read._tag === "Get" || !isCut(read, kvs)) return true
  const last = kvs.at(-1)!.key
  return read.reverse === true ? key >= last : key <= last
}

/** There may be more than was answered. */
const isCut = ({ limit = 0 }: { readonly limit?: number }, kvs: ReadonlyArray<KeyValue>): boolean =>
  limit > 0 && kvs.length >= limit

/** The revision of a store that never changed. */
export const initialRevision = 1

/** The revision that the store had reached by an answer, as far as it tells. */
export const reached = (output: Output): number =>
  output._tag === "Range" && output.revision === undefined
    ? Math.max(initialRevision, ...output.kvs.map(({ modRevision }) => modRevision))
    : output.revision!

/** What a write makes of its key at `revision`, or undefined if it changes nothing. */
export const change = (
  write: Write,
  current: KeyValue | undefined,
  revision: number
): { readonly after: KeyValue | undefined } | undefined => {
  const compares = write._tag === "CompareAndSwap" || write._tag === "CompareAndDelete"
  if (compares && (current?.modRevision ?? 0) !== write.expected) return undefined
  if (write._tag === "Delete" || write._tag === "CompareAndDelete") {
    return current === undefined ? undefined : { after: undefined }
  }
  return {
    after: {
      key: write.key,
      value: write.value,
      createRevision: current?.createRevision ?? revision,
      modRevision: revision,
      version: (current?.version ?? 0) + 1
    }
  }
}

/** Whether a write could answer so over `current`, apart from its revision. */
export const answers = (write: Write, current: KeyValue | undefined, output: Output): boolean => {
  switch (write._tag) {
    case "Put":
      return output._tag === "Put"
    case "Delete":
      return output._tag === "Delete" && output.deleted === (current === undefined ? 0 : 1)
    default: {
      if (output._tag !== "Compared") return false
      const succeeds = (current?.modRevision ?? 0) === write.expected
      return output.succeeded === succeeds &&
        (succeeds || shows(current, Option.getOrUndefined(output.current)))
    }
  }
}

/** Whether the answer says that the write changed something, and so took its revision. */
export const changed = (write: Write, output: Output): boolean => {
  switch (output._tag) {
    case "Put":
      return true
    case "Delete":
      return output.deleted > 0
    case "Compared":
      return output.succeeded && !(write._tag === "CompareAndDelete" && write.expected === 0)
    case "Range":
      return false
  }
}

/** Whether an operation that was answered so left the store as it was. */
export const isRead = (input: Input, output: Output): boolean => !isWrite(input) || !changed(input, output)

export const same = (a: KeyValue | undefined, b: KeyValue | undefined): boolean =>
  a === undefined || b === undefined
    ? a === b
    : a.key === b.key && a.value === b.value && a.createRevision === b.createRevision &&
      a.modRevision === b.modRevision && a.version === b.version

/** Whether a comparison that found `kv` may have shown `found`. */
const shows = (kv: KeyValue | undefined, found: FoundKey | undefined): boolean =>
  kv === undefined || found === undefined
    ? kv === found
    : same(kv, { ...found, value: found.value ?? kv.value })

export interface State {
  readonly revision: number
  /** In order of the keys. */
  readonly kvs: ReadonlyArray<KeyValue>
}

export const whole: Model<State, Input, Output> = {
  initial: { revision: initialRevision, kvs: [] },
  step: (state, input, output) => {
    if (!isWrite(input)) return Option.isSome(output) && reads(state, input, output.value) ? [state] : []
    const revision = state.revision + 1
    const current = state.kvs.find(({ key }) => key === input.key)
    if (Option.isNone(output) && input.guess?.revisions.includes(revision) === false) return []
    if (Option.isSome(output) && !answers(input, current, output.value)) return []
    const made = change(input, current, revision)
    const next = made === undefined ? state : { revision, kvs: replace(state.kvs, input.key, made.after) }
    return Option.isSome(output) && output.value.revision !== next.revision ? [] : [next]
  },
  keyOf: ({ kvs, revision }) => JSON.stringify([revision, kvs.map(facts)]),
  isRead
}

const reads = (state: State, input: Read, output: Output): boolean => {
  if (output._tag !== "Range" || (output.revision ?? state.revision) !== state.revision) return false
  const all = state.kvs.filter(({ key }) => asks(input, key))
  if (input._tag === "Range" && input.reverse === true) all.reverse()
  const limit = input._tag === "Range" ? input.limit ?? 0 : 0
  const found = limit === 0 ? all : all.slice(0, limit)
  return found.length === output.kvs.length && found.every((kv, at) => same(kv, output.kvs[at])) &&
    (output.more ?? found.length < all.length) === found.length < all.length
}

const replace = (kvs: ReadonlyArray<KeyValue>, key: string, after: KeyValue | undefined): ReadonlyArray<KeyValue> => {
  const others = kvs.filter((kv) => kv.key !== key)
  if (after === undefined) return others
  const at = others.findIndex((kv) => kv.key > key)
  return others.toSpliced(at === -1 ? others.length : at, 0, after)
}

/** For cache keys. */
export const facts = (kv: KeyValue) => [kv.key, kv.value, kv.createRevision, kv.modRevision, kv.version]

/** One line for people, such as `put a=v1 → @7`. */
export const describe = (input: Input, output: Option.Option<Output>): string => {
  const answer = Option.match(output, { onNone: () => "?", onSome: describeOutput })
  return `${describeInput(input)} → ${answer}`
}

const describeInput = (input: Input): string => {
  switch (input._tag) {
    case "Get":
      return `get ${input.key}`
    case "Range":
      return `range ${input.bounds === undefined ? `${input.prefix}*` : `[${input.bounds.from}, ${input.bounds.to})`}${
        input.reverse === true ? " back" : ""
      }${(input.limit ?? 0) === 0 ? "" : `, ${input.limit} at most`}`
    case "Put":
      return `put ${input.key}=${input.value}`
    case "Delete":
      return `delete ${input.key}`
    case "CompareAndSwap":
      return `cas ${input.key}=${input.value} if @${input.expected}`
    case "CompareAndDelete":
      return `cad ${input.key} if @${input.expected}`
  }
}

const describeOutput = (output: Output): string => {
  const at = `@${output.revision ?? "?"}`
  switch (output._tag) {
    case "Range":
      return `${output.kvs.length === 0 ? "none" : output.kvs.map(describeKv).join(" ")} ${at}`
    case "Put":
      return at
    case "Delete":
      return `${output.deleted} ${at}`
    case "Compared":
      return output.succeeded
        ? `done ${at}`
        : `not, ${Option.match(output.current, { onNone: () => "none", onSome: describeKv })} ${at}`
  }
}

/** Value, then create revision, mod revision and version. */
const describeKv = (kv: FoundKey): string =>
  `${kv.key}=${kv.value ?? "…"}(${kv.createRevision}/${kv.modRevision}/${kv.version})`
