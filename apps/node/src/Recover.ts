/** `dkv recover`: after the loss of a quorum, makes one survivor the beginning of a new cluster, and says before what that gives up. */
import { NodeTakeOver } from "@dkv/member/node"
import { Console, Effect, Option, Schema } from "effect"
import { Command, Flag, Prompt } from "effect/cli"
import { flags } from "./Flags.ts"
import * as Log from "./Log.ts"
import { UsageError } from "./Settings.ts"

/** Nothing was changed, or what was decided is completed by the next start; the message says why and what to do. Exit code 1. */
export class RecoverError extends Schema.TaggedError<RecoverError>()("RecoverError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

type Survivor = NodeTakeOver.Found["survivor"]

const description = `After the loss of a quorum: makes one survivor the only member of a new cluster. Offline.

  Only for when a majority of the members is gone for good, disks and all. While any others can be brought back, bring
  them back: they lose nothing. Stop every member that still runs, choose the survivor whose log has come furthest
  (--dry-run tells its last entry: the higher term wins, and at the same term the higher number), and run this on its
  data directory. Then start it as always. Let others in again one by one: with an empty data directory each, and
  dkvctl member-join.`

/** What was found, as a person reads it. */
export const found = ({ clusterId, inspection, memberId, name }: Survivor): string => {
  const { applied, configuration, lastIndex, lastTerm, term } = inspection
  const members = configuration.members.map((member) =>
    `${member.name} (${member.id}, ${member.peerAddress}${configuration.voters.includes(member.id) ? "" : ", learner"})`
  )
  return [
    `member    ${name} (${memberId})`,
    `cluster   ${clusterId}`,
    `term      ${term}`,
    `log       ends with entry ${lastIndex} of term ${lastTerm}`,
    `state     has everything up to entry ${applied.index}`,
    `members   ${members.join(", ")}`
  ].join("\n")
}

/** What is given up by going on without the others. */
export const price = ({ inspection: { applied, configuration, lastIndex }, memberId, name }: Survivor): string => {
  const others = configuration.members.filter((member) => member.id !== memberId).map((member) => member.name)
  const isLearner = !configuration.voters.includes(memberId) && !configuration.outgoing.includes(memberId)
  return [
    `Going on with ${name} alone gives up:`,
    `- What the others acknowledged and ${name} does not have is lost.`,
    `- What nobody acknowledged may come to light: entries ${
      applied.index + 1
    } to ${lastIndex} of the log will count, whatever their callers were told.`,
    ...isLearner ? [`- ${name} is a learner: it may be far behind what was acknowledged.`] : [],
    others.length === 0
      ? "- There are no other members."
      : `- ${
        others.join(", ")
      } must not be started again with the data they have: the cluster gets a new id and refuses them. ` +
        "Remove their data directories first."
  ].filter((line) => lastIndex > applied.index || !line.startsWith("- What nobody")).join("\n")
}

/** An earlier run has written the decision down, and did not come to its end. */
export const decided = ({ name }: Survivor): string =>
  `It is decided already that ${name} goes on alone: this completes it, and so does the next start of ${name}. ` +
  "Do not recover another survivor: there would be two clusters."

const confirm = Effect.fnUntraced(function*(name: string) {
  if (!process.stdin.isTTY) {
    return yield* new UsageError({ message: "add --yes to carry this out, or --dry-run to only look" })
  }
  return yield* Prompt.run(Prompt.Confirm({ message: `Make ${name} the only member of a new cluster?` })).pipe(
    Effect.orElseSucceed(() => false)
  )
})

export const command = Command.make(
  "recover",
  {
    dataDir: flags.dataDir,
    yes: Flag.Boolean("yes").pipe(Flag.withDescription("Do it without asking"), Flag.withDefault(false)),
    dryRun: Flag.Boolean("dry-run").pipe(
      Flag.withDescription("Say what was found and what would be given up, and stop"),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(
    function*({ dataDir, dryRun, yes }) {
      const directory = Option.getOrElse(dataDir, () => "data")
      const failed = Effect.mapError((error: { readonly message: string }) =>
        new RecoverError({ message: error.message, cause: error })
      )
      const { survivor, takeOver } = yield* failed(NodeTakeOver.open(directory))
      yield* Console.log(`${found(survivor)}\n\n${survivor.isDecided ? decided(survivor) : price(survivor)}\n`)
      if (dryRun) return
      if (!yes && !survivor.isDecided && !(yield* confirm(survivor.name))) {
        yield* Console.log("nothing was changed")
        return
      }
      const clusterId = yield* Effect.mapError(
        takeOver,
        (error) =>
          new RecoverError({
            message: `${error.message}. Look again with --dry-run: it tells whether this was decided already`,
            cause: error
          })
      )
      yield* Console.log(
        `${survivor.name} is the only member of cluster ${clusterId} now: start it as always, and let others in with dkvctl member-join`
      )
    },
    Effect.scoped,
    Log.provide("error")
  )
).pipe(
  Command.withDescription(description),
  Command.withShortDescription("After the loss of a quorum: goes on with one survivor alone"),
  Command.withExamples([
    { command: "dkv recover --data-dir=./dkv-2 --dry-run", description: "See what a survivor has" },
    { command: "dkv recover --data-dir=./dkv-2 --yes", description: "Make it the only member of a new cluster" }
  ])
)
