/**
 * A fiber that sleeps to a deadline and looks again, so that moving the deadline stores a number and forks nothing. What it reports late or
 * twice does no harm: the rule looks at the deadline too.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { RoleName } from "../core/Core.ts"
import type { Input } from "../core/Input.ts"
import type { Member } from "../Member.ts"
import { now } from "../Member.ts"
import { serve } from "../Serve.ts"

/** Between a report and the next look, in which the serving loop moves the deadline. */
const lookAgainMillis = 1

export const run = (member: Member, deadline: () => number, input: Input): Effect.Effect<never> =>
  Effect.forever(Effect.suspend(() => look(member, deadline(), input)))

/** The same for a deadline that is not always there: ends when there is none. */
export const until = (member: Member, deadline: () => number, input: Input): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => deadline() !== Infinity,
    body: () => look(member, deadline(), input),
    step: () => {}
  })

/** A role in which nothing else is alive: serves it with a timer for the election deadline, which says what silence means in that role. */
export const serving = (member: Member): Effect.Effect<RoleName, never, Scope.Scope> =>
  run(member, () => member.core.electionDeadline, { _tag: "ElectionTimer" }).pipe(
    Effect.forkScoped,
    Effect.andThen(serve(member))
  )

const look = (member: Member, deadline: number, input: Input): Effect.Effect<void> => {
  const left = deadline - now(member)
  // A deadline may come nearer meanwhile (the link to the leader broke): that is noticed within a heartbeat.
  if (left > 0) return Effect.sleep(Math.ceil(Math.min(left, member.core.settings.heartbeatMillis)))
  member.mailbox.complete(input)
  return Effect.sleep(lookAgainMillis)
}
