/** What a transcript plays on: the members of a `Script`, and the trace of what they do. */
import type { Member } from "../../src/core/Configuration.ts"
import type { Settings } from "../../src/core/Core.ts"
import { memberOf } from "../support/Cluster.ts"
import type { Envelope } from "../support/Cores.ts"
import { Script } from "../support/Script.ts"
import type { Arguments } from "./Arguments.ts"
import * as Notation from "./Notation.ts"
import { Trace } from "./Trace.ts"

export interface Scene {
  readonly script: Script
  readonly trace: Trace
  /** Taken off the wire until `release`. */
  held: Array<Envelope>
}

export const usage =
  "cluster voters=1,2,3 [outgoing=] [learners=] [auto=] [spares=] [leader=1] [window=4] [window-bytes=] " +
  "[message-bytes=] [uncommitted-bytes=] [commit-delay=] [witnesses=] [preferred=] [leases]"

export const begin = (args: Arguments): Scene => {
  const members = (option: string, fields: Partial<Member> = {}) =>
    args.numbersOption(option).map((number) => ({ ...memberOf(number), ...fields }))
  const options = {
    voters: args.numbersOption("voters"),
    outgoing: args.numbersOption("outgoing"),
    learners: [...members("learners"), ...members("auto", { autoPromote: true })],
    spares: args.numbersOption("spares"),
    witnesses: args.numbersOption("witnesses"),
    priorities: Object.fromEntries(args.numbersOption("preferred").map((number) => [number, 1])),
    cluster: { leaderLeases: args.flag("leases") },
    settings: settings(args)
  }
  if (options.voters.length === 0) throw new Error("voters are missing")
  const leader = args.numberOption("leader")
  args.end()
  const script = new Script(options)
  if (leader !== undefined) script.elect(leader)
  const trace = new Trace(script)
  for (const node of script.nodes.values()) trace.show(`${Notation.name(node.id)} ${Notation.status(node)}`)
  return { script, trace, held: [] }
}

const settings = (args: Arguments): Partial<Settings> => {
  const given = {
    windowMessagesMax: args.numberOption("window"),
    windowBytesMax: args.numberOption("window-bytes"),
    messageBytesMax: args.numberOption("message-bytes"),
    uncommittedBytesMax: args.numberOption("uncommitted-bytes"),
    commitDelayMillis: args.numberOption("commit-delay")
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}
