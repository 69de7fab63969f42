/**
 * What can be seen of a member that does not run, and the one thing that can be done to it: make it the only voter, after the others were lost for good.
 *
 * Source: etcd `server/etcdserver/bootstrap.go`, `--force-new-cluster`; unlike there, the configuration is appended as an entry of a new term.
 */
import { Effect, Option } from "effect"
import * as ConfigurationCodec from "./codec/ConfigurationCodec.ts"
import * as Configuration from "./core/Configuration.ts"
import type { LogIndex, MemberId, Term } from "./core/Entry.ts"
import { EntryKind } from "./core/Entry.ts"
import { LogShape } from "./core/LogShape.ts"
import * as Entry from "./Entry.ts"
import type { LogStoreError } from "./LogStore.ts"
import { LogStore } from "./LogStore.ts"
import { MembershipError } from "./RaftError.ts"
import * as Recovery from "./Recovery.ts"
import type { Applied, StateMachineError } from "./StateMachine.ts"
import { StateMachine } from "./StateMachine.ts"

export interface Inspection {
  readonly term: Term
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
  readonly applied: Applied
  /** The last one in the log, committed or not, or else the state's. */
  readonly configuration: Configuration.Configuration
}

/** What log and state hold; fails with reason `Corrupt` where they do not belong together. Changes nothing. */
export const inspect: Effect.Effect<Inspection, LogStoreError | StateMachineError, LogStore | StateMachine> = Effect
  .map(Recovery.look, ({ head, log }) => {
    const shape = new LogShape(log)
    const isBehind = shape.termAt(head.index) !== head.term
    const last = isBehind ? undefined : log.configurations.findLast((entry) => entry.index > head.configurationIndex)
    return {
      term: log.hardState.term,
      lastIndex: isBehind ? head.index : log.lastIndex,
      lastTerm: isBehind ? head.term : shape.lastTerm,
      applied: { index: head.index, term: head.term },
      configuration: last === undefined ? head.configuration : ConfigurationCodec.decode(last.data)
    }
  })

/** How far the state has come, once that is durable; none if nothing was applied yet. */
export const durablyApplied: Effect.Effect<Option.Option<Applied>, StateMachineError, StateMachine> = Effect.gen(
  function*() {
    const stateMachine = yield* StateMachine
    yield* stateMachine.flush
    const { head } = yield* stateMachine.recover
    if (Option.isNone(head)) return Option.none()
    const { index, term } = yield* Recovery.decodeHead(head.value)
    return Option.some({ index, term })
  }
)

/**
 * Makes `id` the only member and the only voter, by an entry of a new term behind its last one. Everything in its log will be committed, acknowledged once or
 * not; what is not in it is lost. Done already, it does nothing. Fails with `NotFound` if the configuration does not know `id`.
 */
export const takeOver = Effect.fnUntraced(function*(id: MemberId): Effect.fn.Return<
  void,
  LogStoreError | StateMachineError | MembershipError,
  LogStore | StateMachine
> {
  const logStore = yield* LogStore
  const { configuration, lastIndex, lastTerm, term } = yield* inspect
  const member = Configuration.find(configuration, id)
  if (member === undefined) {
    return yield* new MembershipError({ reason: "NotFound", message: `member ${id} is not in its own configuration` })
  }
  const isAlone = configuration.members.length === 1 && configuration.outgoing.length === 0
  if (isAlone && configuration.voters[0] === id && lastTerm === term) return
  yield* Recovery.restore
  const { replaces: _, ...itself } = member
  const { settings } = configuration
  const alone: Configuration.Configuration = { members: [itself], voters: [id], outgoing: [], settings }
  yield* logStore.write([
    { _tag: "HardState", hardState: { term: term + 1, vote: "" } },
    {
      _tag: "Append",
      entries: [Entry.make(lastIndex + 1, term + 1, EntryKind.Configuration, ConfigurationCodec.encode(alone))]
    }
  ])
})
