/**
 * What the person sees. On a terminal, messages scroll and below them stands a table that is drawn anew when something changes; elsewhere each
 * message and each change is a plain line.
 */
import { Context, Effect, Layer, Option, Queue, Stream, SubscriptionRef } from "effect"
import { isReady } from "./Board.ts"
import type { Board, Row } from "./Board.ts"
import * as Limits from "./Limits.ts"
import * as Plan from "./Plan.ts"

export class Output extends Context.Service<Output, {
  readonly isTerminal: boolean
  /** Width in characters. */
  readonly columns: Effect.Effect<number>
  readonly write: (text: string) => Effect.Effect<void>
}>()("@dkv/cluster/Output") {
  static readonly layerNode: Layer.Layer<Output> = Layer.sync(Output, () => {
    const { stdout } = process
    // The terminal may be gone while members are still to be stopped.
    stdout.on("error", () => undefined)
    return Output.of({
      isTerminal: stdout.isTTY === true && process.env.TERM !== "dumb",
      columns: Effect.sync(() => stdout.columns || 80),
      write: (text) => Effect.sync(() => void stdout.write(text))
    })
  })
}

/** Draws until interrupted, and once more then. */
export const draw = Effect.fnUntraced(function*(plan: Plan.Plan, board: Board) {
  const output = yield* Output
  return yield* output.isTerminal ? drawLive(plan, board) : drawPlain(plan, board)
})

const drawLive = Effect.fnUntraced(function*(plan: Plan.Plan, board: Board) {
  const output = yield* Output
  let height = 0
  const paint = Effect.gen(function*() {
    const messages = yield* Queue.clear(board.events)
    const rows = yield* SubscriptionRef.get(board.rows)
    const columns = yield* output.columns
    const lines = ["", ...table(rows), "", ...footer(plan, rows)].map((line) => cut(line, columns - 1))
    // Up to the table's first line, clear to the end, then messages and the table again: one write, so nothing flickers.
    const back = height > 0 ? `\x1b[${height}A\r\x1b[J` : ""
    height = lines.length
    yield* output.write(back + [...messages, ...lines].map((line) => `${line}\n`).join(""))
  })
  const draws = Effect.gen(function*() {
    let drawn: ReadonlyArray<Row> | undefined
    while (true) {
      const rows = yield* SubscriptionRef.get(board.rows)
      if (rows !== drawn || Queue.sizeUnsafe(board.events) > 0) {
        drawn = rows
        yield* paint
      }
      yield* Effect.sleep(Limits.drawIntervalMillis)
    }
  })
  return yield* Effect.onInterrupt(draws, () => paint)
})

const drawPlain = Effect.fnUntraced(function*(plan: Plan.Plan, board: Board) {
  const output = yield* Output
  const line = (text: string) => output.write(`${text}\n`)
  const messages = Effect.forever(Effect.flatMap(Queue.take(board.events), line))
  const roles = new Map<string, string>()
  let ready = false
  const changes = Stream.runForEach(
    SubscriptionRef.changes(board.rows),
    Effect.fnUntraced(function*(rows) {
      for (const row of rows) {
        const role = Option.match(row.status, {
          onNone: () => "",
          onSome: ({ role, term }) => `${role} in term ${term}`
        })
        if (role !== "" && role !== roles.get(row.member.name)) {
          roles.set(row.member.name, role)
          yield* line(`${row.member.name} is ${role}`)
        }
      }
      const now = isReady(rows)
      if (now !== ready) {
        ready = now
        if (now) yield* Effect.forEach([...table(rows), ...footer(plan, rows)], line, { discard: true })
      }
    })
  )
  return yield* Effect.onInterrupt(
    Effect.all([messages, changes], { concurrency: "unbounded", discard: true }),
    () => Effect.flatMap(Queue.clear(board.events), (rest) => Effect.forEach(rest, line, { discard: true }))
  )
})

/** The table, header first. Columns are as wide as their widest cell. */
export const table = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const cells = [
    ["NAME", "CLIENT", "PEER", "PID", "ROLE", "TERM", ""],
    ...rows.map((row) => [
      row.member.name,
      Plan.clientAddress(row.member),
      Plan.peerAddress(row.member),
      Option.match(row.pid, { onNone: () => "-", onSome: String }),
      roleOf(row),
      Option.match(row.status, { onNone: () => "-", onSome: ({ term }) => `${term}` }),
      row.note
    ])
  ]
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)))
  return cells.map((line) => line.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
}

const roleOf = (row: Row): string =>
  row.phase === "up" ? Option.match(row.status, { onNone: () => "no answer", onSome: ({ role }) => role }) : row.phase

const footer = (plan: Plan.Plan, rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const logs = `Logs: ${plan.options.dataDir}/logs/<name>.log`
  if (rows.every((row) => row.phase === "stopped")) return [logs]
  if (rows.every((row) => row.phase === "stopping" || row.phase === "stopped")) {
    return [logs, "Stopping: a second Ctrl-C kills."]
  }
  if (!isReady(rows)) {
    const up = rows.filter((row) => row.phase === "up").length
    return [
      logs,
      `Waiting for ${rows.length === 1 ? "the member" : `all ${rows.length} members`} to be voters: ${up} answer.`
    ]
  }
  const last = rows[rows.length - 1]!.member
  return [
    logs,
    "Ready. Try, in another terminal:",
    `  npx dkvctl --endpoint=${Plan.clientAddress(rows[0]!.member)} set greeting hello`,
    `  npx dkvctl --endpoint=${Plan.clientAddress(last)} get greeting`,
    "Ctrl-C stops all members; the data stay."
  ]
}

const cut = (line: string, width: number): string => line.length > width ? line.slice(0, Math.max(0, width)) : line
