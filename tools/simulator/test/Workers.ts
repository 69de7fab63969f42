/** Worker programs that tell what a test has them tell. */
import { Effect, FileSystem, Path } from "effect"

const program = (told: Readonly<Record<number, string | null>>, deaths: Readonly<Record<number, string>>): string => `
const { count, from, step } = JSON.parse(process.argv[2])
const rest = { virtualMillis: 1, faults: {}, rules: {}, calls: {}, events: {}, proven: "Whole", hash: 1 }
const failures = ${JSON.stringify(told)}
for (let seed = from; seed < from + count * step; seed += step) {
  ${Object.entries(deaths).map(([seed, death]) => `if (seed === ${seed}) { ${death} }`).join("\n  ")}
  require("node:fs").writeSync(1, JSON.stringify({ seed, failure: failures[seed] ?? null, ...rest }) + "\\n")
}`

/** Tells the failures of these seeds, and dies as said in others. Removed with the scope. */
export const make = Effect.fnUntraced(function*(
  failures: Readonly<Record<number, string>>,
  deaths: Readonly<Record<number, string>> = {}
) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* files.makeTempDirectoryScoped({ prefix: "dkv-worker-" })
  const worker = path.join(directory, "worker.cjs")
  yield* files.writeFileString(worker, program(failures, deaths))
  return worker
})
