/**
 * What reads may show that need not show everything: a state that was there once and, if they are bounded, with everything that was acknowledged so long before. They fit
 * into no linearizable history, and are held against one: against what was acknowledged in it, what was seen, and what may have been written.
 */
import { Option } from "effect"
import type { History, Operation } from "../linearizability/History.ts"
import { asks, changed, initialRevision, isWrite, same, tells } from "../linearizability/KvModel.ts"
import type { FoundKey, Input, KeyValue, Output, Read } from "../linearizability/KvModel.ts"

export interface StaleRead {
  readonly client: string
  readonly input: Read
  /** Infinite if anything that was there once will do. */
  readonly maxStalenessMillis: number
  readonly callTimeMillis: number
  readonly returnTimeMillis: number
  /** Of the state that is shown, if that was told. */
  readonly revision: number | undefined
  readonly kvs: ReadonlyArray<KeyValue>
}

export const shownRule = "a stale read shows what was there once"
export const boundRule = "a bounded read shows what was acknowledged so long before"

export interface Breach {
  readonly rule: typeof shownRule | typeof boundRule
  readonly message: string
}

/** A change of a key that certainly took place. */
interface Change {
  readonly revision: number
  readonly isDelete: boolean
  /** When it was acknowledged; infinite if it was only seen. */
  readonly toldAt: number
}

/** What a history tells about the store. */
interface Facts {
  /** Of each key, by revision. */
  readonly changes: ReadonlyMap<string, ReadonlyArray<Change>>
  /** Of each value. */
  readonly writers: ReadonlyMap<string, Operation<Input, Output>>
  /** Of each value, as somebody saw it. */
  readonly seen: Map<string, KeyValue>
  /** Of each key, when the first delete was called whose outcome is unknown. */
  readonly unknownDeletes: ReadonlyMap<string, number>
  readonly writeCalls: ReadonlyArray<number>
}

/** The first rule that each read breaks, if any. No clock runs faster or slower by more than `clockDrift`. */
export const check = (
  history: History<Input, Output>,
  reads: ReadonlyArray<StaleRead>,
  clockDrift: number
): ReadonlyArray<Breach | undefined> => {
  const facts = factsOf(history)
  return reads.map((read) => {
    const was = misshown(facts, read)
    if (was !== undefined) return { rule: shownRule, message: `${describe(read)}: ${was}` }
    const missing = missed(facts, read, read.callTimeMillis - read.maxStalenessMillis / (1 - clockDrift))
    return missing === undefined ? undefined : { rule: boundRule, message: `${describe(read)}: ${missing}` }
  })
}

/** What of the answer can never have been so. */
const misshown = (facts: Facts, { input, kvs, returnTimeMillis, revision }: StaleRead): string | undefined => {
  const ceiling = initialRevision + facts.writeCalls.filter((at) => at <= returnTimeMillis).length
  const told = revision ?? Math.max(initialRevision, ...kvs.map(({ modRevision }) => modRevision))
  if (told > ceiling) return `revision ${told}, after ${ceiling - initialRevision} writes`
  for (const kv of kvs) {
    const writer = facts.writers.get(kv.value)
    if (!asks(input, kv.key)) return `${kv.key} was not asked for`
    if (writer === undefined || !isWrite(writer.input) || writer.input.key !== kv.key) {
      return `nobody wrote ${kv.key}=${kv.value}`
    }
    if (writer.callTimeMillis > returnTimeMillis) return `${kv.key}=${kv.value} was not written yet`
    if (revision !== undefined && kv.modRevision > revision) {
      return `${kv.key}=${kv.value} is of revision ${kv.modRevision}, the state of ${revision}`
    }
    const { output } = writer
    if (Option.isSome(output) && !(changed(writer.input, output.value) && output.value.revision === kv.modRevision)) {
      return `${kv.key}=${kv.value} was not written at ${kv.modRevision}`
    }
    const known = facts.seen.get(kv.value) ?? kv
    facts.seen.set(kv.value, known)
    if (!same(known, kv)) return `${kv.key}=${kv.value} is not what others saw`
  }
  if (revision === undefined) return undefined
  for (const [key, changes] of facts.changes) {
    if (!tells(input, kvs, key)) continue
    const shown = kvs.find((kv) => kv.key === key)
    const newer = changes.filter((change) => change.revision <= revision && change.revision > (shown?.modRevision ?? 0))
    const last = newer.at(-1)
    if (last === undefined) continue
    if (shown !== undefined) return `${key} changed at ${last.revision}, and is shown as of ${shown.modRevision}`
    if (!last.isDelete && !mayBeDeleted(facts, key, returnTimeMillis)) {
      return `${key} is missing, put at ${last.revision}`
    }
  }
  return undefined
}

/** What was acknowledged before `until`, and is not shown. */
const missed = (
  facts: Facts,
  { input, kvs, returnTimeMillis, revision }: StaleRead,
  until: number
): string | undefined => {
  for (const [key, changes] of facts.changes) {
    const due = changes.filter(({ toldAt }) => toldAt < until).at(-1)
    if (due === undefined) continue
    if (revision !== undefined && revision < due.revision) {
      return `revision ${due.revision} was told, this is ${revision}`
    }
    if (!tells(input, kvs, key)) continue
    const shown = kvs.find((kv) => kv.key === key)
    if (shown !== undefined && shown.modRevision < due.revision) {
      return `${key} changed at ${due.revision}, and is shown as of ${shown.modRevision}`
    }
    if (shown !== undefined || mayBeDeleted(facts, key, returnTimeMillis)) continue
    const isGone = changes.some((change) => change.isDelete && change.revision >= due.revision)
    if (!isGone) return `${key} is missing, put at ${due.revision}`
  }
  return undefined
}

const mayBeDeleted = ({ unknownDeletes }: Facts, key: string, until: number): boolean =>
  (unknownDeletes.get(key) ?? Infinity) <= until

const factsOf = (history: History<Input, Output>): Facts => {
  const byRevision = new Map<number, Change & { readonly key: string }>()
  const writers = new Map<string, Operation<Input, Output>>()
  const seen = new Map<string, KeyValue>()
  const unknownDeletes = new Map<string, number>()
  const see = ({ value, ...kv }: FoundKey) => {
    if (value !== undefined) seen.set(value, { ...kv, value })
    if (byRevision.has(kv.modRevision)) return
    byRevision.set(kv.modRevision, { key: kv.key, revision: kv.modRevision, isDelete: false, toldAt: Infinity })
  }
  for (const operation of history) {
    const { callTimeMillis, input, returnTimeMillis } = operation
    const output = Option.getOrUndefined(operation.output)
    if (output?._tag === "Range") output.kvs.forEach(see)
    if (output?._tag === "Compared" && Option.isSome(output.current)) see(output.current.value)
    if (!isWrite(input)) continue
    if ("value" in input) writers.set(input.value, operation)
    const isDelete = !("value" in input)
    if (output === undefined) {
      if (isDelete) {
        unknownDeletes.set(input.key, Math.min(callTimeMillis, unknownDeletes.get(input.key) ?? Infinity))
      }
    } else if (changed(input, output) && output._tag !== "Range") {
      const { revision } = output
      byRevision.set(revision, { key: input.key, revision, isDelete, toldAt: returnTimeMillis })
    }
  }
  const changes = new Map<string, Array<Change>>()
  for (const { key, ...change } of [...byRevision.values()].sort((a, b) => a.revision - b.revision)) {
    const others = changes.get(key)
    if (others === undefined) changes.set(key, [change])
    else others.push(change)
  }
  const writeCalls = history.flatMap(({ callTimeMillis, input }) => isWrite(input) ? [callTimeMillis] : [])
  return { changes, writers, seen, unknownDeletes, writeCalls }
}

const describe = ({ callTimeMillis, client, maxStalenessMillis }: StaleRead): string =>
  `${client} at ${callTimeMillis.toFixed(0)} ms${
    maxStalenessMillis === Infinity ? "" : `, ${maxStalenessMillis} ms of staleness at most`
  }`
