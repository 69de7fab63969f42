/** The server `dkv` as a library: its command, for programs and tests that run it within themselves. */
export { command } from "./Command.ts"
export * as Log from "./Log.ts"
export { ExitCode, run } from "./Program.ts"
export * as Settings from "./Settings.ts"
export { version } from "./Version.ts"
