/** From the shared flags to a cluster to ask: what every command does first. */
import { Context, Effect } from "effect"
import type { Layer } from "effect"
import { Command } from "effect/cli"
import { Cluster } from "./Cluster.ts"
import { shared } from "./Flags.ts"
import { fromGiven } from "./Settings.ts"
import type { Settings } from "./Settings.ts"
import * as Tls from "./Tls.ts"

/** How a cluster is reached with given settings; tests put theirs here. */
export class Reach extends Context.Service<Reach, (settings: Settings) => Layer.Layer<Cluster>>()("@dkv/ctl/Reach") {}

/** The root command, without its subcommands: they read the shared flags from it. */
export const root = Command.make("dkvctl").pipe(Command.withSharedFlags(shared))

/** Runs a command's own part with the settings and the cluster. */
export const run = <A, E, R>(
  use: (settings: Settings, cluster: Cluster["Service"]) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const given = yield* root
    const settings = yield* Effect.fromResult(fromGiven(given))
    yield* Tls.check(settings)
    const reach = yield* Reach
    return yield* Effect.flatMap(Cluster, (cluster) => use(settings, cluster)).pipe(Effect.provide(reach(settings)))
  })
