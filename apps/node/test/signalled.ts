/** A program that works until it is interrupted; with `service`, as one whose end that is. */
import { Console, Effect } from "effect"
import { runMain } from "../src/Signals.ts"

runMain(Effect.andThen(Console.error("working"), Effect.as(Effect.sleep("1 hour"), 0)), process.argv[2] === "service")
