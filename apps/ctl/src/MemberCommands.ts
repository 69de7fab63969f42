/** The commands about who takes part in the cluster and how its members are. */
import { Address } from "@dkv/protocol"
import { Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Answer from "./Answer.ts"
import { ExitCode } from "./ExitCode.ts"
import { Failure } from "./Failure.ts"
import * as Session from "./Session.ts"
import { UsageError } from "./Settings.ts"

const member = Argument.String("member").pipe(Argument.withDescription("Name or id of the member"))

const force = Flag.Boolean("force").pipe(
  Flag.withDescription("Even if the members that would then decide do not all answer"),
  Flag.withDefault(false)
)

export const list = Command.make(
  "member-list",
  {},
  () =>
    Session.run(({ format }, cluster) =>
      Effect.flatMap(cluster.members, (members) => Answer.print(format, Answer.members(members)))
    )
).pipe(
  Command.withDescription(
    "Prints the members of the cluster: id, name, peer address, client address, role, and who leads. As a table and as JSON with their priorities, see member-update."
  ),
  Command.withShortDescription("List the members of the cluster"),
  Command.withExamples([{ command: "dkvctl member-list -w table", description: "As a table" }])
)

const whatNext = ({ autoPromote, role }: { readonly autoPromote: boolean; readonly role: string }): string =>
  role !== "learner"
    ? ""
    : autoPromote
    ? ", and becomes a voter once it has caught up"
    : "; member-promote makes it a voter"

export const join = Command.make(
  "member-join",
  {
    name: Argument.String("name").pipe(Argument.withDescription("Name of the new member")),
    address: Argument.String("address").pipe(
      Argument.withDescription("Its peer address, HOST:PORT, as the other members reach it")
    ),
    clientAddress: Flag.String("client-address").pipe(
      Flag.withMetavar("HOST:PORT"),
      Flag.withDescription("Its client address, if it does not tell the right one itself"),
      Flag.optional
    ),
    id: Flag.String("id").pipe(
      Flag.withMetavar("ID"),
      Flag.withDescription("Its id, 16 hex digits, if it cannot be asked for it now"),
      Flag.optional
    ),
    learner: Flag.Boolean("learner").pipe(
      Flag.withDescription("Keep it a learner, which has all data and no vote, until member-promote"),
      Flag.withDefault(false)
    ),
    witness: Flag.Boolean("witness").pipe(
      Flag.withDescription(
        "It was started with --witness: it votes and holds no data. Needed with --id only; otherwise it says so itself"
      ),
      Flag.withDefault(false)
    )
  },
  Effect.fnUntraced(function*(given) {
    yield* Session.run(Effect.fnUntraced(function*({ format }, cluster) {
      const peerAddress = yield* address("ADDRESS", given.address)
      const clientAddress = Option.isSome(given.clientAddress)
        ? yield* address("--client-address", given.clientAddress.value)
        : ""
      if (Option.isSome(given.id) && !/^[0-9a-f]{16}$/.test(given.id.value)) {
        return yield* new UsageError({ message: `--id "${given.id.value}" is no id: 16 digits or letters a to f` })
      }
      const joined = yield* cluster.join({
        name: given.name,
        id: given.id,
        peerAddress,
        clientAddress,
        learnerOnly: given.learner,
        witness: given.witness
      })
      yield* Answer.printChange(
        format,
        Answer.member(
          joined,
          `${joined.name} (${joined.id}) is a ${joined.role} now${whatNext(joined)}`
        )
      )
    }))
  })
).pipe(
  Command.withDescription(
    "Lets a new member in. Start it first, with --initial-cluster-state=existing and all members in --initial-cluster: it is asked for its id at ADDRESS. " +
      "It becomes a voter by itself once it has caught up; started with --witness, one that holds no data. A member that has left comes back this way only."
  ),
  Command.withShortDescription("Let a new member in"),
  Command.withExamples([{ command: "dkvctl member-join dkv-3 localhost:2383", description: "A fourth member" }])
)

export const leave = Command.make(
  "member-leave",
  { member, force },
  (given) =>
    Session.run(({ format }, cluster) =>
      Effect.flatMap(
        cluster.leave(given.member, given.force),
        (members) => Answer.printChange(format, Answer.members(members))
      )
    )
).pipe(
  Command.withDescription(
    "Takes a member out of the cluster and prints those that are left. It stops, keeps its data, and stays out until member-join."
  ),
  Command.withShortDescription("Take a member out of the cluster"),
  Command.withExamples([{ command: "dkvctl member-leave dkv-3", description: "By name" }])
)

export const promote = Command.make(
  "member-promote",
  { member, force },
  (given) =>
    Session.run(({ format }, cluster) =>
      Effect.flatMap(
        cluster.promote(given.member, given.force),
        (members) => Answer.printChange(format, Answer.members(members))
      )
    )
).pipe(
  Command.withDescription("Makes a learner that has caught up a voter, and prints the members."),
  Command.withShortDescription("Make a learner a voter"),
  Command.withExamples([{ command: "dkvctl member-promote dkv-3", description: "By name" }])
)

/** As raft has it: what 32 bits hold. */
const isPriority = (priority: number): boolean => priority === (priority | 0)

export const update = Command.make(
  "member-update",
  {
    member,
    priority: Flag.Int("priority").pipe(
      Flag.withMetavar("NUMBER"),
      Flag.withDescription("Elections prefer voters of a higher one; 0 is normal, and it may be negative"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function*(given) {
    yield* Session.run(Effect.fnUntraced(function*({ format }, cluster) {
      if (Option.isNone(given.priority)) {
        return yield* new UsageError({ message: "there is nothing to change: give --priority" })
      }
      const priority = given.priority.value
      if (!isPriority(priority)) {
        return yield* new UsageError({ message: `--priority ${priority} has more than 32 bits` })
      }
      const members = yield* cluster.update(given.member, { priority })
      const simple = `${given.member} has priority ${priority} now\n`
      yield* Answer.printChange(format, { ...Answer.members(members), simple })
    }))
  })
).pipe(
  Command.withDescription(
    "Changes what is given of a member, and says so; as a table and as JSON, prints the members. A priority counts when there is an election: a voter waits for those of a higher one to stand first. " +
      "Who leads goes on leading: leader-transfer moves that."
  ),
  Command.withShortDescription("Change the priority of a member"),
  Command.withExamples([
    { command: "dkvctl member-update dkv-1 --priority 1", description: "Preferred to all that have none" },
    { command: "dkvctl member-update dkv-2 --priority=-1", description: "Leads only if nobody else does" }
  ])
)

export const transfer = Command.make(
  "leader-transfer",
  {
    member: Argument.String("member").pipe(
      Argument.withDescription("Name or id of the next leader; the most up-to-date voter if absent"),
      Argument.optional
    )
  },
  (given) =>
    Session.run(({ format }, cluster) =>
      Effect.flatMap(
        cluster.transfer(given.member),
        (leader) => Answer.printChange(format, Answer.member(leader, `${leader.name} (${leader.id}) leads now`))
      )
    )
).pipe(
  Command.withDescription(
    "Hands the leadership over and prints the new leader. If it does not move in time, it stays where it was."
  ),
  Command.withShortDescription("Hand the leadership over"),
  Command.withExamples([
    { command: "dkvctl leader-transfer", description: "To the most up-to-date voter" },
    { command: "dkvctl leader-transfer dkv-1", description: "To a certain member" }
  ])
)

export const status = Command.make(
  "status",
  {},
  () =>
    Session.run(Effect.fnUntraced(function*({ endpoints, format }, cluster) {
      const all = yield* Effect.forEach(
        endpoints,
        (endpoint) =>
          cluster.status(endpoint).pipe(
            Effect.map((found): Answer.Health => ({ endpoint, status: found })),
            Effect.catch((error) => Effect.succeed<Answer.Health>({ endpoint, status: { error: error.message } }))
          ),
        { concurrency: 16 }
      )
      yield* Answer.print(format, Answer.health(all))
      if (all.some((one) => "error" in one.status)) return yield* Failure.of(ExitCode.failed, "")
    }))
).pipe(
  Command.withDescription(
    "Prints how the member at each endpoint is: role, term, leader, commit index, and how many members hold an acknowledged write, at least. Exit code 1 if one of " +
      "them does not answer."
  ),
  Command.withShortDescription("Show how members are"),
  Command.withExamples([
    { command: "dkvctl status", description: "One member" },
    {
      command: "dkvctl --endpoint=localhost:3000,localhost:3001,localhost:3002 status -w table",
      description: "All members of a local cluster"
    }
  ])
)

const address = (what: string, text: string): Effect.Effect<string, UsageError> => {
  const parsed = Address.parse(text)
  return parsed === undefined || parsed.host === "" || parsed.port === 0
    ? Effect.fail(
      new UsageError({ message: `${what} "${text}" is no address: write HOST:PORT, for example localhost:2383` })
    )
    : Effect.succeed(Address.format(parsed))
}
