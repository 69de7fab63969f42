/**
 * Applies what is committed and durable here, in batches, and answers the callers. Raft's own bookkeeping goes into the same batch of the state machine,
 * so state and applied index cannot part.
 *
 * Owns the applied position. Snapshots are taken and installed while it holds still.
 */
import { Effect, Semaphore } from "effect"
import * as ConfigurationCodec from "./codec/ConfigurationCodec.ts"
import * as MetaCodec from "./codec/MetaCodec.ts"
import * as SessionCodec from "./codec/SessionCodec.ts"
import type { LogIndex } from "./core/Entry.ts"
import { EntryKind } from "./core/Entry.ts"
import { invariant } from "./core/Invariant.ts"
import type { Entry } from "./Entry.ts"
import type { EntryCache } from "./EntryCache.ts"
import * as Limits from "./Limits.ts"
import type { LogStoreError } from "./LogStore.ts"
import { LogStore } from "./LogStore.ts"
import type { Mailbox } from "./Mailbox.ts"
import type { Proposals } from "./Proposals.ts"
import type { Plan, Sessions } from "./Sessions.ts"
import type { RaftMeta, StateMachineError } from "./StateMachine.ts"
import { StateMachine } from "./StateMachine.ts"
import * as Wakeup from "./Wakeup.ts"

export interface Applier {
  /** The state machine's position and the configuration there. */
  readonly head: () => MetaCodec.Head
  /** Client sessions that are open there. */
  readonly sessions: () => number
  /** Entries up to `index` may be applied. */
  readonly advanceUnsafe: (index: LogIndex) => void
  /** Runs `effect` between two batches; nothing is applied meanwhile. */
  readonly pause: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** The state machine was replaced, while paused. */
  readonly resetUnsafe: (head: MetaCodec.Head, sessions: Sessions) => void
  /** The actor. */
  readonly run: Effect.Effect<never, LogStoreError | StateMachineError>
}

export const make = Effect.fnUntraced(function*(options: {
  readonly head: MetaCodec.Head
  readonly sessions: Sessions
  /** No commands are handed over: they have come without their payloads. */
  readonly witness: boolean
  readonly cache: EntryCache
  readonly mailbox: Mailbox
  readonly proposals: Proposals
}) {
  const { cache, mailbox, proposals, witness } = options
  const logStore = yield* LogStore
  const stateMachine = yield* StateMachine
  const batchShare = witness ? undefined : stateMachine.batchShare
  const wakeup = yield* Wakeup.make
  const semaphore = yield* Semaphore.make(1)
  let head = options.head
  let sessions = options.sessions
  let target = head.index
  /** Read with the last batch, and too much for it. */
  let rest = none

  const readBatch = Effect.suspend((): Effect.Effect<ReadonlyArray<Entry>, LogStoreError> => {
    if (rest.length > 0) return Effect.succeed(rest)
    const from = head.index + 1
    const to = Math.min(target, head.index + Limits.applyEntriesMax)
    const cached = cache.read(from, to, Limits.applyBytesMax, Limits.applyEntriesMax)
    return cached !== undefined ? Effect.succeed(cached) : logStore.read(from, to, Limits.applyBytesMax)
  })

  const applyBatch = Effect.gen(function*() {
    const read = yield* readBatch
    const count = batchShare === undefined ? read.length : batchCount(read, batchShare)
    const entries = count === read.length ? read : read.slice(0, count)
    invariant(
      entries.length > 0 && entries[0]!.index === head.index + 1,
      `entry ${head.index + 1} is committed, but cannot be read from the log`
    )
    const plan = witness ? nothing : sessions.plan(entries)
    const next = headAfter(head, entries, sessions.openGroup)
    const results = yield* stateMachine.apply(plan.commands, new Meta(next, plan.changes))
    invariant(
      results.length === plan.commands.length,
      `the state machine answered ${results.length} of ${plan.commands.length} commands`
    )
    head = next
    rest = count === read.length ? none : read.slice(count)
    proposals.applied({
      from: entries[0]!.index,
      to: head.index,
      entries: plan.answered,
      results: plan.answers(results),
      refusals: plan.refusals
    })
    cache.evict(head.index)
    mailbox.complete({ _tag: "Applied", index: head.index })
  })

  const applyAll = Effect.whileLoop({
    while: () => head.index < target,
    body: () => semaphore.withPermit(Effect.suspend(() => head.index < target ? applyBatch : Effect.void)),
    step: () => {}
  })

  const applier: Applier = {
    head: () => head,
    sessions: () => sessions.size,
    advanceUnsafe: (index) => {
      if (index <= target) return
      target = index
      wakeup.ringUnsafe()
    },
    pause: semaphore.withPermit,
    resetUnsafe: (replaced, itsSessions) => {
      head = replaced
      rest = none
      sessions = itsSessions
      target = Math.max(target, head.index)
    },
    run: Effect.forever(Effect.andThen(wakeup.wait, applyAll))
  }
  return applier
})

const none: ReadonlyArray<Entry> = []

/** A class, because a getter in an object literal is defined anew, by the runtime, for every batch. */
class Meta implements RaftMeta {
  private readonly next: MetaCodec.Head
  readonly changes: Plan["changes"]

  constructor(next: MetaCodec.Head, changes: Plan["changes"]) {
    this.next = next
    this.changes = changes
  }

  get head(): Uint8Array {
    return MetaCodec.encodeHead(this.next)
  }
}

/** How many of the entries go into one batch, at least one. */
const batchCount = (
  entries: ReadonlyArray<Entry>,
  batchShare: (data: Uint8Array, start: number) => number
): number => {
  let taken = 0
  for (let count = 0; count < entries.length; count++) {
    const { data, kind } = entries[count]!
    if (kind === EntryKind.Command) taken += batchShare(data, 0)
    else if (kind === EntryKind.SessionCommand) taken += batchShare(data, SessionCodec.commandStart(data))
    else continue
    if (taken > 1 && count > 0) return count
  }
  return entries.length
}

/** A witness carries out nothing, and keeps no sessions: all that it applies is the configuration. */
const nothing: Plan = {
  commands: [],
  answered: [],
  changes: () => [],
  answers: () => [],
  refusals: new Map()
}

const headAfter = (
  head: MetaCodec.Head,
  entries: ReadonlyArray<Entry>,
  group: MetaCodec.Head["group"]
): MetaCodec.Head => {
  const last = entries[entries.length - 1]!
  let { configuration, configurationIndex } = head
  for (const entry of entries) {
    if (entry.kind !== EntryKind.Configuration) continue
    configuration = ConfigurationCodec.decode(entry.data)
    configurationIndex = entry.index
  }
  return { index: last.index, term: last.term, configuration, configurationIndex, group }
}
