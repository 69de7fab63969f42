/** The table of a row that has one figure per round or repetition. */
import type { Row } from "../Report.ts"
import * as Table from "../Table.ts"

export const render = (row: Extract<Row, { readonly _tag: "Series" }>): string =>
  Table.render(
    [row.row, "unit", "median", "smallest", "largest", "times"],
    row.series.map(({ figure, name, unit }) => [
      name,
      unit,
      Table.figure(figure.median),
      Table.figure(figure.min),
      Table.figure(figure.max),
      String(figure.values.length)
    ])
  )
