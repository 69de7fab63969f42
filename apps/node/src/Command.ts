/** The command `dkv`: what it is called, what it accepts, how it explains itself. */
import { Effect } from "effect"
import { Command } from "effect/cli"
import { flags } from "./Flags.ts"
import * as Launch from "./Launch.ts"
import * as Log from "./Log.ts"
import * as Recover from "./Recover.ts"
import { fromGiven } from "./Settings.ts"
import * as Tls from "./Tls.ts"

/** Help indents the first line only. */
const description = `One member of dkv, a distributed key-value store.

  Start one process per member, each with its own name, addresses and data directory, and all with the same
  --initial-cluster. The first listed member founds the cluster once all the others answer. After that any of them may
  be stopped, killed, and started again with the same command: the cluster goes on while a majority of them runs. Once
  others were let in, list them too: a member that lost its data, and is alone in its list, would found another cluster.

  Every flag can be given as the variable in brackets instead, in the environment, in .env.local or in .env: the first of
  these that has it wins, and a flag wins over all. SIGTERM or Ctrl-C hands the leadership over and stops; a second one
  stops at once. To read, to write and to manage members, use dkvctl.

  Exit codes: 0 stopped as asked, 1 failed (the last line says why), 2 wrong use.`

export const command = Command.make(
  "dkv",
  flags,
  Effect.fnUntraced(function*(given) {
    const settings = yield* Effect.fromResult(fromGiven(given))
    yield* Tls.check(settings.tls)
    return yield* Launch.run(settings).pipe(Log.provide(settings.logLevel))
  })
).pipe(
  Command.withDescription(description),
  Command.withSubcommands([Recover.command]),
  Command.withShortDescription("One member of dkv, a distributed key-value store"),
  Command.withExamples([
    {
      command: "dkv --name dkv-0 --initial-cluster=dkv-0=localhost:2380 --data-dir=./dkv-0",
      description: "A cluster of one, on ports 2380 and 3000"
    },
    {
      command: "dkv --name dkv-1 --initial-cluster=dkv-0=localhost:2380,dkv-1=localhost:2381,dkv-2=localhost:2382 " +
        "--listen-peer-address=localhost:2381 --listen-client-address=localhost:3001 --data-dir=./dkv-1",
      description: "The second of three members on one machine"
    },
    {
      command:
        "dkv --name dkv-3 --initial-cluster=dkv-0=a:2380,dkv-1=b:2380,dkv-2=c:2380,dkv-3=d:2380 --initial-cluster-state=existing",
      description: "A new member of a running cluster; then on any member: dkvctl member-join dkv-3 d:2380"
    }
  ])
)
