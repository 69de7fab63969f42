/**
 * Pictures of a history, to see why it is not linearizable: after porcupine's visualizer, the longest partial linearization is marked, and so are the
 * operations of which one had to follow and none could. `text` is for a terminal, `svg` for a file that needs nothing else.
 */
import type { Option } from "effect"
import { type Box, layout, type Layout, type Options as LayoutOptions, type Subject } from "./PictureLayout.ts"

export type { Subject } from "./PictureLayout.ts"

export interface Options<Input, Output> {
  readonly describe: (input: Input, output: Option.Option<Output>) => string
  /** 30 if absent. */
  readonly operationsMax?: number
}

/**
 * `[1. put a=x → @2]` is the first of the linearization, `[✗ ...!` could not be placed, `~` runs on without a known end.
 * Lines are as long as the history needs.
 */
export const text = <Input, Output>(subject: Subject<Input, Output>, options: Options<Input, Output>): string => {
  const made = layout(subject, withDefaults(options))
  const margin = Math.max(6, ...made.rows.map((row) => row.length)) + 2
  const lines = made.rows.map((client, row) => {
    const line = new Array<string>(made.columns).fill(" ")
    for (const box of made.boxes) if (box.row === row) draw(line, box)
    return `${client.padEnd(margin)}${line.join("").trimEnd()}`
  })
  const blocked = made.boxes.filter(({ status }) => status === "Blocked")
  return [
    ...(made.title === "" ? [] : [made.title, ""]),
    ...(made.leftOut > 0 ? [`(${made.leftOut} operations are not shown)`] : []),
    `${"millis".padEnd(margin)}${axis(made)}`,
    ...lines,
    "",
    ...(made.order.length === 0 ? [] : ["longest partial linearization:"]),
    ...made.order.map(({ details, position }) => `  ${position}. ${details}`),
    ...(blocked.length === 0 ? [] : ["cannot come next:"]),
    ...blocked.map(({ details }) => `  ✗ ${details}`),
    ""
  ].join("\n")
}

const withDefaults = <Input, Output>(options: Options<Input, Output>): LayoutOptions<Input, Output> => ({
  operationsMax: 30,
  ...options
})

const draw = (line: Array<string>, { from, label, open, status, to }: Box): void => {
  const filler = open ? "~" : status === "Blocked" ? "!" : status === "Placed" ? "═" : "·"
  for (let column = from + 1; column <= to; column++) line[column] = filler
  line[from] = "["
  if (!open) line[to] = "]"
  for (let at = 0; at < label.length; at++) line[from + 1 + at] = label[at]!
}

/** Times of calls, wherever there is room. */
const axis = ({ boxes, columns }: Layout): string => {
  const line = new Array<string>(columns + 16).fill(" ")
  let free = 0
  for (const { callTimeMillis, from } of [...boxes].sort((a, b) => a.from - b.from)) {
    const time = String(callTimeMillis)
    if (from < free) continue
    for (let at = 0; at < time.length; at++) line[from + at] = time[at]!
    free = from + time.length + 4
  }
  return line.join("").trimEnd()
}

const unit = { column: 7.4, row: 34, margin: 16, letter: 7.4 }

const colours = { Placed: "#cfe8d5", Blocked: "#f6b8b3", Left: "#e3e3e3" }

/** A whole SVG document; details of an operation show under the pointer. */
export const svg = <Input, Output>(subject: Subject<Input, Output>, options: Options<Input, Output>): string => {
  const made = layout(subject, withDefaults(options))
  const left = unit.margin * 2 + Math.max(6, ...made.rows.map((row) => row.length)) * unit.letter
  const top = unit.margin + 48
  const width = left + made.columns * unit.column + unit.margin
  const height = top + made.rows.length * unit.row + unit.margin
  const title = made.title + (made.leftOut > 0 ? ` (${made.leftOut} operations are not shown)` : "")
  const x = (column: number) => left + column * unit.column
  const y = (row: number) => top + row * unit.row
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${round(width)}" height="${round(height)}" ` +
    `font-family="monospace" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    `<text x="${unit.margin}" y="${unit.margin + 12}" font-weight="bold">${escape(title)}</text>`,
    `<text x="${unit.margin}" y="${unit.margin + 30}">green: longest partial linearization; ` +
    `red: cannot come next; dashed: outcome unknown</text>`,
    ...made.rows.map((client, row) => `<text x="${unit.margin}" y="${y(row) + 20}">${escape(client)}</text>`),
    ...made.boxes.map((box) => boxOf(box, x, y)),
    pathOf(made, x, y),
    "</svg>",
    ""
  ].join("\n")
}

const boxOf = (box: Box, x: (column: number) => number, y: (row: number) => number): string => {
  const dashes = box.open ? ` stroke-dasharray="5 3"` : ""
  const stroke = box.status === "Blocked" ? `stroke="#b3261e" stroke-width="2"` : `stroke="#666"`
  return `<g><title>${escape(box.details)}</title>` +
    `<rect x="${round(x(box.from))}" y="${y(box.row) + 3}" width="${round((box.to - box.from) * unit.column)}" ` +
    `height="${unit.row - 8}" rx="3" fill="${colours[box.status]}" ${stroke}${dashes}/>` +
    `<text x="${round(x(box.from) + 5)}" y="${y(box.row) + 20}">${escape(box.label)}</text></g>`
}

/** A line through the operations in the order of the linearization, each at the earliest moment that this order allows. */
const pathOf = ({ order }: Layout, x: (column: number) => number, y: (row: number) => number): string => {
  let column = 0
  const points = order.map(({ from, row }) => {
    column = Math.max(column, from + 0.4)
    return `${round(x(column))},${y(row) + unit.row - 8}`
  })
  return points.length === 0 ? "" : `<polyline points="${points.join(" ")}" fill="none" stroke="#2e7d32"/>`
}

const round = (length: number): number => Math.round(length * 10) / 10

const escape = (raw: string): string =>
  raw.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
