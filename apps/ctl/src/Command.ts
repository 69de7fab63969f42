/** The command `dkvctl` with its subcommands. */
import { Command } from "effect/cli"
import * as KeyCommands from "./KeyCommands.ts"
import * as MemberCommands from "./MemberCommands.ts"
import { root } from "./Session.ts"
import * as SettingsCommand from "./SettingsCommand.ts"

/** Help indents the first line only. */
const description = `Reads and writes the keys of a dkv cluster, and manages its members.

  Any member can be asked for anything: name one or several with --endpoint, and if one fails the next is tried. Every
  shared flag can be given as the variable in brackets instead, in the environment, in .env.local or in .env: the first
  of these that has it wins, and a flag wins over all. What begins with - goes behind --, as in:
  dkvctl set temperature -- -5C

  Exit codes: 0 done, 1 failed and nothing changed, 2 wrong use, 3 no such key or member, 4 the change has or may have
  taken effect: read before you repeat it.`

export const command = root.pipe(
  Command.withDescription(description),
  Command.withShortDescription("Read and write keys, manage members"),
  Command.withSubcommands([
    KeyCommands.get,
    KeyCommands.set,
    KeyCommands.delete,
    KeyCommands.range,
    MemberCommands.list,
    MemberCommands.join,
    MemberCommands.leave,
    MemberCommands.promote,
    MemberCommands.update,
    MemberCommands.transfer,
    SettingsCommand.settings,
    MemberCommands.status
  ]),
  Command.withExamples([
    { command: "dkvctl --endpoint=localhost:3000 set greeting hello", description: "Write through one member" },
    { command: "dkvctl --endpoint=localhost:3001 get greeting", description: "Read through another" },
    { command: "dkvctl range --prefix=user/", description: "All keys below user/" },
    { command: "dkvctl member-list -w table", description: "Who takes part" }
  ])
)
