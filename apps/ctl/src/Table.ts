/** A table with a head and as many columns as it has names, for terminals. */

/** Display width, near enough for aligning: combining marks take none, East Asian wide characters two. */
const width = (text: string): number => {
  let columns = 0
  for (const character of text) {
    const point = character.codePointAt(0)!
    if (/\p{Mark}/u.test(character)) continue
    columns += isWide(point) ? 2 : 1
  }
  return columns
}

const isWide = (point: number): boolean =>
  (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
  (point >= 0xac00 && point <= 0xd7a3) ||
  (point >= 0xf900 && point <= 0xfaff) || (point >= 0xfe30 && point <= 0xfe6f) ||
  (point >= 0xff00 && point <= 0xff60) ||
  (point >= 0x1f300 && point <= 0x1faff) || (point >= 0x20000 && point <= 0x3fffd)

/** Rows of cells, each a single line. */
export const render = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map(width)
  for (const row of rows) {
    for (let column = 0; column < widths.length; column++) {
      widths[column] = Math.max(widths[column]!, width(row[column] ?? ""))
    }
  }
  const line = (cells: ReadonlyArray<string>) => {
    const padded = widths.map((wanted, column) => {
      const cell = cells[column] ?? ""
      return cell + " ".repeat(wanted - width(cell))
    })
    return `| ${padded.join(" | ")} |\n`
  }
  const rule = `+${widths.map((each) => "-".repeat(each + 2)).join("+")}+\n`
  return rule + line(head.map((name) => name.toUpperCase())) + rule + rows.map(line).join("") + rule
}
