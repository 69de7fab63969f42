/**
 * What is known of each member at the moment, and the messages for the person who watches. Supervisors and the status probe write here; the
 * screen reads.
 */
import { Effect, Option, Queue, SubscriptionRef } from "effect"
import * as Limits from "./Limits.ts"
import type { Plan, PlannedMember } from "./Plan.ts"

/**
 * `starting` until the first answer of a process, `up` while it lives, `down` between its death and the next start, `stopping` after it was
 * asked to end, `stopped` after that.
 */
export type Phase = "starting" | "up" | "down" | "stopping" | "stopped"

/** What a member says about itself. */
export interface MemberStatus {
  readonly role: string
  readonly term: number
  /** Name or id of the leader it knows; empty if none. */
  readonly leader: string
  /** Voters in its configuration; 0 before it belongs to a cluster. */
  readonly voters: number
}

export interface Row {
  readonly member: PlannedMember
  readonly phase: Phase
  readonly pid: Option.Option<number>
  readonly status: Option.Option<MemberStatus>
  /** A remark beside the row, such as the reason of a death. */
  readonly note: string
}

export interface Board {
  readonly rows: SubscriptionRef.SubscriptionRef<ReadonlyArray<Row>>
  readonly events: Queue.Queue<string>
  readonly update: (name: string, change: Partial<Omit<Row, "member">>) => Effect.Effect<void>
  readonly say: (message: string) => Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*(plan: Plan) {
  const rows = yield* SubscriptionRef.make<ReadonlyArray<Row>>(plan.members.map((member) => ({
    member,
    phase: "starting",
    pid: Option.none(),
    status: Option.none(),
    note: ""
  })))
  const events = yield* Queue.sliding<string>(Limits.eventsMax)
  const board: Board = {
    rows,
    events,
    update: (name, change) =>
      SubscriptionRef.update(rows, (all) => all.map((row) => row.member.name === name ? { ...row, ...change } : row)),
    say: (message) => Effect.asVoid(Queue.offer(events, message))
  }
  return board
})

/** Every member is a voter of one cluster that has a leader. */
export const isReady = (rows: ReadonlyArray<Row>): boolean => {
  const statuses = rows.flatMap((row) => row.phase === "up" && Option.isSome(row.status) ? [row.status.value] : [])
  return statuses.length === rows.length &&
    statuses.every((status) =>
      (status.role === "Leader" || status.role === "Follower") && status.voters >= rows.length
    ) &&
    statuses.some((status) => status.role === "Leader") &&
    statuses.every((status) => status.leader !== "")
}
