/** The replicated key-value state machine. */
export * as Command from "./Command.ts"
export * as History from "./History.ts"
export * as Kv from "./Kv.ts"
export * from "./KvReader.ts"
export * as KvStateMachine from "./KvStateMachine.ts"
export * as Layout from "./Layout.ts"
export * as Limits from "./Limits.ts"
export * as Outcome from "./Outcome.ts"
