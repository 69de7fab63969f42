/** Says in the log which voters are silent, and what to do about it: what the core found, in words. */
import { Duration, Effect } from "effect"
import * as Configuration from "./core/Configuration.ts"
import type { MemberId } from "./core/Entry.ts"
import type { Member } from "./Member.ts"

export const run = (member: Member): Effect.Effect<never> =>
  Effect.forever(Effect.andThen(
    member.silencesWakeup.wait,
    Effect.suspend(() => {
      const found = [...member.silences]
      member.silences.clear()
      return Effect.forEach(found, ([id, isSilent]) => Effect.logWarning(describe(member, id, isSilent)))
    })
  ))

const describe = ({ core }: Member, id: MemberId, isSilent: boolean): string => {
  const { configuration } = core
  const { deadMemberMillis, deadMembers } = configuration.settings
  const name = `voter ${Configuration.find(configuration, id)?.name ?? "that has left"} (${id})`
  if (!isSilent) return `${name} answers again`
  return `${name} has not answered for ${
    Duration.format(Duration.millis(deadMemberMillis))
  }: the cluster survives one loss ` +
    "less until it is back. Start it again; if it is gone for good, remove it, or let a new member take its place." +
    (deadMembers === "replace" ? " A learner that stands by takes its place now." : "")
}
