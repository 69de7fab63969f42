/** The client `dkvctl` as a library: its command, for programs and tests that run it within themselves. */
export * as Cluster from "./Cluster.ts"
export { command } from "./Command.ts"
export { ExitCode } from "./ExitCode.ts"
export { run } from "./Program.ts"
export { Screen } from "./Screen.ts"
export { Reach } from "./Session.ts"
export { version } from "./Version.ts"
