/** The command about what the whole cluster goes by. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import * as Answer from "./Answer.ts"
import * as Session from "./Session.ts"

export const settings = Command.make(
  "cluster-settings",
  {
    leaderLeases: Flag.Literals("leader-leases", ["on", "off"]).pipe(
      Flag.withDescription(
        "Whether reads may go without a round while a quorum is bound to elect nobody else. Needs the same election timeout on all members, and clocks that run alike. Not covered: a leader whose machine is paused such that its own clock does not see it (a virtual machine that is suspended, or moved) may answer reads with what was true before, until it hears of its successor; leave them off where that can happen"
      ),
      Flag.optional
    ),
    deadMembers: Flag.Literals("dead-members", ["off", "warn", "replace"]).pipe(
      Flag.withDescription(
        "What the leader does about a voter that is silent for too long: nothing, a warning in its log, or also give its place to a learner that stands by (member-join --learner)"
      ),
      Flag.optional
    ),
    deadMemberMillis: Flag.Int("dead-member-millis").pipe(
      Flag.withMetavar("MILLISECONDS"),
      Flag.withDescription("How long that is; at least 10 election timeouts"),
      Flag.optional
    )
  },
  ({ deadMemberMillis, deadMembers, leaderLeases }) =>
    Session.run(Effect.fnUntraced(function*({ format }, cluster) {
      const changes = {
        ...Option.isSome(leaderLeases) && { leaderLeases: leaderLeases.value === "on" },
        ...Option.isSome(deadMembers) && { deadMembers: deadMembers.value },
        ...Option.isSome(deadMemberMillis) && { deadMemberMillis: deadMemberMillis.value }
      }
      const answer = Answer.settings(yield* cluster.settings(changes))
      yield* Object.keys(changes).length > 0 ? Answer.printChange(format, answer) : Answer.print(format, answer)
    }))
).pipe(
  Command.withDescription(
    "Changes the settings that are given, and prints all of them. They are replicated: every member goes by the same."
  ),
  Command.withShortDescription("Show or change what the cluster goes by"),
  Command.withExamples([
    { command: "dkvctl cluster-settings", description: "Show them" },
    { command: "dkvctl cluster-settings --leader-leases on", description: "Reads without a round" },
    {
      command: "dkvctl cluster-settings --dead-members replace",
      description: "A learner that stands by replaces a dead voter"
    }
  ])
)
