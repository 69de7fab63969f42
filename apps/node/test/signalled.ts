/** A program whose first act is to send itself a signal, and which then works until it is interrupted; with `service`, as one whose end that is. */
import { Effect } from "effect"
import { runMain } from "../src/Signals.ts"

const [kind, signal = ""] = process.argv.slice(2)

runMain(
  Effect.andThen(Effect.sync(() => process.kill(process.pid, signal)), Effect.as(Effect.sleep("1 hour"), 0)),
  kind === "service"
)
