/**
 * Where things stand in a picture of a history: one row per client and more where its operations overlap (those of unknown outcome stay open), time
 * across. Columns follow the order of events and are as wide as labels need, so that two intervals overlap in the picture if and only if they did.
 */
import { Option } from "effect"
import type { Operation } from "./History.ts"

/** What to draw; `Violation` of `KvCheck` and `PartVerdict` of `Checker` are of this form. */
export interface Subject<Input, Output> {
  readonly operations: ReadonlyArray<Operation<Input, Output>>
  /** In the order of the linearization, if it is a partial one the longest. */
  readonly longest: ReadonlyArray<Operation<Input, Output>>
  /** The operations that could not be placed behind it. */
  readonly blocked: ReadonlyArray<Operation<Input, Output>>
  readonly message?: string
}

export interface Options<Input, Output> {
  /** What is written into an interval, in one line. */
  readonly describe: (input: Input, output: Option.Option<Output>) => string
  /** At most this many operations, around the blocked ones; none blocked, the first ones. */
  readonly operationsMax: number
}

export interface Box {
  readonly label: string
  readonly details: string
  readonly status: "Placed" | "Blocked" | "Left"
  /** Position in the linearization, from 1, or undefined. */
  readonly position: number | undefined
  readonly open: boolean
  /** Column of the call. */
  readonly from: number
  /** Column of the return; the last column if it is open. */
  readonly to: number
  readonly row: number
  readonly callTimeMillis: number
}

export interface Layout {
  readonly title: string
  /** The client of each row. */
  readonly rows: ReadonlyArray<string>
  readonly columns: number
  readonly boxes: ReadonlyArray<Box>
  readonly leftOut: number
  /** Descriptions in the order of the linearization, without those left out of the picture. */
  readonly order: ReadonlyArray<Box>
}

export const layout = <Input, Output>(
  subject: Subject<Input, Output>,
  options: Options<Input, Output>
): Layout => {
  const shown = around(subject, options.operationsMax)
  const position = new Map(subject.longest.map(({ id }, at) => [id, at + 1]))
  const blocked = new Set(subject.blocked.map(({ id }) => id))
  const labels = new Map(shown.map(({ id, input, output }) => {
    const at = position.get(id)
    const mark = blocked.has(id) ? "✗ " : at === undefined ? "" : `${at}. `
    return [id, mark + printable(options.describe(input, output))]
  }))
  const { columnOf, last } = columns(shown, (id) => labels.get(id)!.length + 3)
  const { rowOf, rows } = lanes(shown)
  const boxes = shown.map((operation): Box => {
    const { callTimeMillis, client, id, output, returnTimeMillis } = operation
    const open = Option.isNone(output)
    return {
      label: labels.get(id)!,
      details: printable(
        `#${id} ${client}: ${options.describe(operation.input, output)}, ` +
          `called at ${callTimeMillis} ms, ${open ? "outcome unknown" : `returned at ${returnTimeMillis} ms`}`
      ),
      status: blocked.has(id) ? "Blocked" : position.has(id) ? "Placed" : "Left",
      position: position.get(id),
      open,
      from: columnOf.get(operation.call)!,
      to: open ? last : columnOf.get(operation.return)!,
      row: rowOf.get(id)!,
      callTimeMillis
    }
  })
  return {
    title: printable(subject.message ?? ""),
    rows: rows.map(printable),
    columns: last + 1,
    boxes,
    leftOut: subject.operations.length - shown.length,
    order: boxes.filter((box) => box.position !== undefined).sort((a, b) => a.position! - b.position!)
  }
}

/** A terminal must not obey, nor XML refuse, what a client has written. */
const printable = (text: string): string => text.toWellFormed().replaceAll(/[\p{Cc}\uFFFE\uFFFF]/gu, "\uFFFD")

const around = <Input, Output>(
  { blocked, operations }: Subject<Input, Output>,
  operationsMax: number
): ReadonlyArray<Operation<Input, Output>> => {
  const sorted = [...operations].sort((a, b) => a.call - b.call)
  if (sorted.length <= operationsMax) return sorted
  const must = new Set(blocked.slice(0, operationsMax).map(({ id }) => id))
  const centre = sorted.findLastIndex(({ id }) => must.has(id))
  const rest = operationsMax - must.size
  const from = Math.max(0, Math.min(centre - Math.ceil(rest * 0.75), sorted.length - rest))
  const near = new Set(sorted.slice(from).filter(({ id }) => !must.has(id)).slice(0, rest).map(({ id }) => id))
  return sorted.filter(({ id }) => must.has(id) || near.has(id))
}

const columns = (
  operations: ReadonlyArray<Operation<unknown, unknown>>,
  widthOf: (id: number) => number
): { readonly columnOf: ReadonlyMap<number, number>; readonly last: number } => {
  const events = operations.flatMap((operation) => [
    { at: operation.call, least: 0, operation },
    ...(operation.return === Infinity ? [] : [{ at: operation.return, least: widthOf(operation.id), operation }])
  ]).sort((a, b) => a.at - b.at)
  const columnOf = new Map<number, number>()
  let last = -1
  for (const { at, least, operation } of events) {
    last = least === 0 ? last + 1 : Math.max(last + 1, columnOf.get(operation.call)! + least)
    columnOf.set(at, last)
  }
  for (const { call, id } of operations.filter((operation) => operation.return === Infinity)) {
    last = Math.max(last, columnOf.get(call)! + widthOf(id))
  }
  return { columnOf, last }
}

const lanes = (operations: ReadonlyArray<Operation<unknown, unknown>>) => {
  const lanesOf = new Map<string, Array<{ free: number; readonly ids: Array<number> }>>()
  for (const { call, client, id, return: end } of operations) {
    const mine = lanesOf.get(client) ?? []
    lanesOf.set(client, mine)
    const lane = mine.find(({ free }) => free < call)
    if (lane === undefined) mine.push({ free: end, ids: [id] })
    else {
      lane.free = end
      lane.ids.push(id)
    }
  }
  const rows: Array<string> = []
  const rowOf = new Map<number, number>()
  for (const client of Array.from(lanesOf.keys()).sort()) {
    for (const { ids } of lanesOf.get(client)!) {
      for (const id of ids) rowOf.set(id, rows.length)
      rows.push(client)
    }
  }
  return { rows, rowOf }
}
