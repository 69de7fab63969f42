/** Asks each living member what it is doing, and writes the answers to the board. */
import { Context, Effect, Option, SubscriptionRef } from "effect"
import type { Board, MemberStatus } from "./Board.ts"
import * as Limits from "./Limits.ts"
import type { PlannedMember } from "./Plan.ts"

export class StatusProbe extends Context.Service<StatusProbe, {
  /** None when the member does not answer (yet). Bounded in time by the caller. */
  readonly ask: (member: PlannedMember) => Effect.Effect<Option.Option<MemberStatus>>
}>()("@dkv/cluster/StatusProbe") {}

/** Asks all members side by side, again and again, until interrupted. */
export const watch = Effect.fnUntraced(function*(board: Board, members: ReadonlyArray<PlannedMember>) {
  const probe = yield* StatusProbe
  const ask = Effect.fnUntraced(function*(member: PlannedMember) {
    const before = yield* currentRow(board, member)
    if (before === undefined || Option.isNone(before.pid) || (before.phase !== "starting" && before.phase !== "up")) {
      return
    }
    const status = Option.flatten(yield* Effect.timeoutOption(probe.ask(member), Limits.statusTimeoutMillis))
    const row = yield* currentRow(board, member)
    // An answer of a process that has died since says nothing about the present one.
    if (row === undefined || row.phase !== before.phase || !samePid(row.pid, before.pid)) return
    if (Option.isNone(status)) {
      if (Option.isSome(row.status)) yield* board.update(member.name, { status: Option.none() })
      return
    }
    if (row.phase === "up" && Option.isSome(row.status) && sameStatus(row.status.value, status.value)) return
    yield* board.update(member.name, { phase: "up", status })
  })
  while (true) {
    yield* Effect.forEach(members, ask, { concurrency: "unbounded", discard: true })
    yield* Effect.sleep(Limits.statusIntervalMillis)
  }
})

const currentRow = (board: Board, member: PlannedMember) =>
  Effect.map(SubscriptionRef.get(board.rows), (rows) => rows.find((row) => row.member === member))

const samePid = (a: Option.Option<number>, b: Option.Option<number>): boolean =>
  Option.getOrUndefined(a) === Option.getOrUndefined(b)

const sameStatus = (a: MemberStatus, b: MemberStatus): boolean =>
  a.role === b.role && a.term === b.term && a.leader === b.leader && a.voters === b.voters
