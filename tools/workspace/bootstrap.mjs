/**
 * What the npm scripts of the root call. Runs on any Node from 20: installs what is missing, then hands over to the Node that is pinned as a
 * dev dependency.
 *
 *     node tools/workspace/bootstrap.mjs start|test|check|fix|build|bench|sim [arguments]
 */
import { failures, forget } from "./FailedTests.mjs"
import { install, root } from "./install.mjs"
import { systemLibraries } from "./libraries.mjs"
import { run } from "./run.mjs"

const ci = process.env.CI !== undefined && process.env.CI !== "" && process.env.CI !== "false"
const nxArguments = ["--output-style=stream", ...(ci ? ["--skip-nx-cache"] : [])]

/**
 * A task is a sequence of commands; the arguments of the script go to the last one. `native` says that it opens RocksDB, `tests` that what
 * failed is named once more at the end.
 */
const tasks = {
  start: { native: true, commands: [["node", "tools/cluster/src/main.ts"]] },
  test: { native: true, tests: true, commands: [["nx", "run-many", "--targets=test", ...nxArguments]] },
  check: {
    native: false,
    commands: [[
      "nx",
      "run-many",
      "--targets=format,boundaries,lint,typecheck,planted",
      "--nx-bail=false",
      ...nxArguments
    ]]
  },
  fix: {
    native: false,
    commands: [["node", "tools/workspace/src/main.ts", "fix"], ["oxlint", "--fix", "."], ["dprint", "fmt"]]
  },
  build: { native: false, commands: [["nx", "run-many", "--targets=build", ...nxArguments]] },
  bench: { native: true, commands: [["node", "tools/bench/src/main.ts"]] },
  sim: { native: false, commands: [["node", "tools/simulator/src/main.ts"]] }
}

const main = async () => {
  const [name, ...rest] = process.argv.slice(2)
  const task = Object.hasOwn(tasks, name ?? "") ? tasks[name] : undefined
  if (task === undefined) {
    console.error(`usage: npm run ${Object.keys(tasks).join("|")}`)
    return 2
  }
  if (!(await install())) return 1
  if (task.native) {
    const advice = systemLibraries()
    if (advice !== undefined) {
      console.error(advice)
      return 1
    }
  }
  if (task.tests) forget()
  let code = 0
  for (const [index, [command, ...fixed]] of task.commands.entries()) {
    const last = index === task.commands.length - 1
    const status = await run(command, [...fixed, ...(last ? rest : [])], {
      cwd: root,
      replace: last && !task.tests && code === 0
    })
    if (status !== 0 && code === 0) code = status
  }
  if (task.tests && code !== 0) console.error(failures() ?? "No failed test was reported: see above what ended it.")
  return code
}

process.exitCode = await main()
