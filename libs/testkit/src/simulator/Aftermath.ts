/** What has to be true of a core that has served again, once nobody asks it anything any more: nothing is left in its queues, and all of its members hold the same. */
import { Cause, Exit } from "effect"
import { name } from "./Names.ts"
import type { Rules } from "./Rules.ts"
import type { SimMember } from "./SimMember.ts"

/** Gauges that count what somebody waits for. The others count what is kept, or what is on its way to whoever is dead or cut off. */
const waiting: ReadonlySet<string> = new Set([
  "proposalsMax",
  "proposalBytesMax",
  "readsMax",
  "changesMax",
  "heldMessagesMax",
  "pendingAppendsMax",
  "uncommittedBytesMax"
])

/** What of these members somebody still waits for. */
export const left = <Services>(members: ReadonlyArray<SimMember<Services>>): ReadonlyArray<string> =>
  members.flatMap((member) =>
    member.gauges().filter((gauge) => waiting.has(gauge.name) && gauge.value > 0).map((gauge) =>
      `${name(member.id)} has ${gauge.value} of ${gauge.name}`
    )
  )

/** Has every member say what it holds, and calls back when all have. They must have applied the same, and be idle. */
export const compare = <Services>(
  members: ReadonlyArray<SimMember<Services>>,
  rules: Rules,
  done: () => void
): void => {
  const asked = members.flatMap(({ contents, id, machine }) =>
    contents === undefined ? [] : [{ contents, id, machine }]
  )
  const held: Array<string> = []
  if (asked.length === 0) return done()
  for (const { contents, id, machine } of asked) {
    machine!.fork(contents).addObserver((exit) => {
      held.push(Exit.isSuccess(exit) ? exit.value : Cause.pretty(exit.cause))
      rules.check(
        "members that applied the same hold the same",
        held.at(-1) === held[0],
        () => `${name(id)} holds ${held.at(-1)}, and another one ${held[0]}`
      )
      if (held.length === asked.length) done()
    })
  }
}
