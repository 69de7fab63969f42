/** `dkvctl`. */
import { NodeServices } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import * as ClusterClient from "./ClusterClient.ts"
import * as Environment from "./Environment.ts"
import { run } from "./Program.ts"
import { Screen } from "./Screen.ts"
import { Reach } from "./Session.ts"
import { runMain } from "./Signals.ts"

const layer = Layer.mergeAll(Environment.layer, Screen.layer, Layer.succeed(Reach, ClusterClient.layer)).pipe(
  Layer.provide(NodeServices.layer)
)

runMain(run(process.argv.slice(2)).pipe(Effect.provide(layer)))
