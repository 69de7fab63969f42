/** `dkv`. */
import { run } from "./Program.ts"
import { runMain } from "./Signals.ts"

const args = process.argv.slice(2)
runMain(run(args), args[0] !== "recover")
