/** Plain tables for a terminal or a README: the same text is valid Markdown. */
import type { Spread } from "./Statistics.ts"

/** The first column is aligned to the left, the others to the right. Every row has a cell for each heading. */
export const render = (headings: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = headings.map((heading, column) =>
    Math.max(3, heading.length, ...rows.map((row) => (row[column] ?? "").length))
  )
  const line = (cells: ReadonlyArray<string>): string =>
    `| ${
      widths.map((width, column) =>
        column === 0 ? (cells[column] ?? "").padEnd(width) : (cells[column] ?? "").padStart(width)
      )
        .join(" | ")
    } |`
  const rule = `|${
    widths.map((width, column) => column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`).join("|")
  }|`
  return [line(headings), rule, ...rows.map(line)].join("\n")
}

/** A number with three significant digits or all of its whole part, thousands set apart; a dash when it is not known. */
export const figure = (value: number | null): string => {
  if (value === null || !Number.isFinite(value)) return "–"
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  const [whole = "", fraction] = value.toFixed(digits).split(".")
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, " ")
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}

export const mebibytes = (bytes: number | null): string =>
  bytes !== null && Number.isFinite(bytes) ? `${Math.round(bytes / 1024 / 1024)} MiB` : "–"

/** A spread as its middle and, in brackets, its extremes. */
export const spread = (value: Spread): string =>
  value.min === value.max ? figure(value.median) : `${figure(value.median)} [${figure(value.min)}–${figure(value.max)}]`
