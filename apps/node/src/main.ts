/** `dkv`. */
import { run } from "./Program.ts"
import { runMain } from "./Signals.ts"

runMain(run(process.argv.slice(2)))
