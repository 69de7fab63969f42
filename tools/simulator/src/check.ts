/** Plants every bug in a copy of the sources, and has the types checked; runs none. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect } from "effect"
import * as Apply from "./Apply.ts"
import { planted } from "./Planted.ts"

Apply.apply(planted).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
