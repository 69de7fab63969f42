/** What log and state hold on start, whether they belong together, and what completes them after a crash. */
import { Effect, Option } from "effect"
import * as ConfigurationCodec from "./codec/ConfigurationCodec.ts"
import * as MetaCodec from "./codec/MetaCodec.ts"
import * as SessionCodec from "./codec/SessionCodec.ts"
import * as Configuration from "./core/Configuration.ts"
import { EntryKind } from "./core/Entry.ts"
import { LogShape } from "./core/LogShape.ts"
import * as Entry from "./Entry.ts"
import type { Recovered } from "./LogStore.ts"
import { LogStore, LogStoreError } from "./LogStore.ts"
import { Sessions } from "./Sessions.ts"
import type { RecoveredMeta } from "./StateMachine.ts"
import { StateMachine, StateMachineError } from "./StateMachine.ts"

export interface Restored {
  readonly log: Recovered
  readonly head: MetaCodec.Head
  readonly sessions: Sessions
}

/** Of the founding configuration; nobody leads it. */
const foundingTerm = 1

const emptyHead: MetaCodec.Head = {
  index: 0,
  term: 0,
  configurationIndex: 0,
  configuration: Configuration.empty,
  group: undefined
}

/** What log and state hold, and whether they belong together. Changes nothing. */
export const look = Effect.gen(function*() {
  const logStore = yield* LogStore
  const stateMachine = yield* StateMachine
  const meta = yield* stateMachine.recover
  const head = Option.isNone(meta.head) ? emptyHead : yield* decodeHead(meta.head.value)
  const sessions = yield* readSessions(meta, head)
  const log = logStore.recovered
  if (head.term > log.hardState.term) {
    return yield* new LogStoreError({
      reason: "Corrupt",
      message:
        `The state has entries of term ${head.term}, but the log ends at term ${log.hardState.term}: the log was lost or replaced. ` +
        "Rebuild the member from the others."
    })
  }
  if (head.index < log.previousIndex) {
    return yield* new StateMachineError({
      reason: "Corrupt",
      message:
        `The log begins behind entry ${log.previousIndex}, but the state ends at ${head.index}: the state was lost or replaced. ` +
        "Rebuild the member from the others."
    })
  }
  return { log, head, sessions } satisfies Restored
})

/** The same, made to agree. */
export const restore = Effect.gen(function*() {
  const { head, log, sessions } = yield* look
  // Otherwise a snapshot was installed and the crash came before the log began anew behind it: it ends before the state, or goes on differently.
  if (new LogShape(log).termAt(head.index) === head.term) return { log, head, sessions }
  const logStore = yield* LogStore
  yield* logStore.write([{ _tag: "Reset", index: head.index, term: head.term }])
  const reset: Recovered = {
    hardState: log.hardState,
    previousIndex: head.index,
    previousTerm: head.term,
    lastIndex: head.index,
    termRuns: [],
    configurations: []
  }
  return { log: reset, head, sessions }
})

/**
 * An empty founding member begins with the founding configuration as its first entry, like all the others. One whose crash left the term of that write and not the entry is
 * empty: nobody has led or voted in it.
 */
export const found = Effect.fnUntraced(function*(
  founding: Option.Option<Configuration.Configuration>,
  restored: Restored
) {
  const { head, log, sessions } = restored
  const { term, vote } = log.hardState
  const isEmpty = log.lastIndex === 0 && head.index === 0 && term <= foundingTerm && vote === ""
  if (!isEmpty || Option.isNone(founding)) return restored
  const entry = Entry.make(1, foundingTerm, EntryKind.Configuration, ConfigurationCodec.encode(founding.value))
  const hardState = { term: foundingTerm, vote: "" }
  const logStore = yield* LogStore
  yield* logStore.write([{ _tag: "HardState", hardState }, { _tag: "Append", entries: [entry] }])
  const founded: Recovered = {
    hardState,
    previousIndex: 0,
    previousTerm: 0,
    lastIndex: 1,
    termRuns: [{ index: 1, term: foundingTerm }],
    configurations: [entry]
  }
  return { log: founded, head, sessions }
})

export const decodeHead = (bytes: Uint8Array): Effect.Effect<MetaCodec.Head, StateMachineError> =>
  decoded("raft head", MetaCodec.isKnown(bytes), () => MetaCodec.decodeHead(bytes))

/** The client sessions that belong to a state. */
const readSessions = ({ records }: RecoveredMeta, { group }: MetaCodec.Head) =>
  decoded(
    "table of client sessions",
    records.every(([, value]) => SessionCodec.isKnown(value)),
    () => new Sessions(records, group)
  )

const decoded = <A>(what: string, isKnown: boolean, decode: () => A): Effect.Effect<A, StateMachineError> =>
  Effect.try({
    try: decode,
    catch: (cause) =>
      new StateMachineError({
        reason: isKnown ? "Corrupt" : "Foreign",
        message: `The state's ${what} cannot be read: ${cause instanceof Error ? cause.message : cause}.`,
        cause
      })
  })
