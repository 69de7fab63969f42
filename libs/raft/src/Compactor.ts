/**
 * Keeps the log short: once enough was applied, makes the state durable and lets go of the entries that it covers, but for a tail that members which are
 * a little behind still need, and for what the receiver of a running snapshot will ask for next.
 */
import { Clock, Effect } from "effect"
import type { Applier } from "./Applier.ts"
import type { LogIndex } from "./core/Entry.ts"
import * as Limits from "./Limits.ts"
import { LogStore } from "./LogStore.ts"
import type { Mailbox } from "./Mailbox.ts"
import { now } from "./Member.ts"
import { StateMachine } from "./StateMachine.ts"

export const run = Effect.fnUntraced(function*(options: {
  readonly applier: Applier
  readonly mailbox: Mailbox
  readonly trailingEntries: number
  readonly compactAfterBytes: number
  /** The lowest index that a running snapshot transfer covers and that the log still has room to keep, or Infinity. */
  readonly snapshotIndex: () => LogIndex
  /** Payload bytes appended so far. */
  readonly appendedBytes: () => number
}) {
  const { appendedBytes, applier, compactAfterBytes, mailbox, snapshotIndex, trailingEntries } = options
  const logStore = yield* LogStore
  const stateMachine = yield* StateMachine
  let flushedBytes = appendedBytes()
  // What was found on start may be in the system's memory only, if just the process had stopped.
  let flushedIndex = 0
  let compactedIndex = 0
  const clock = yield* Clock.Clock
  let flushedAt = now({ clock })

  return yield* Effect.forever(Effect.gen(function*() {
    yield* Effect.sleep(Limits.compactCheckMillis)
    const time = now({ clock })
    const due = appendedBytes() - flushedBytes >= compactAfterBytes || time - flushedAt >= Limits.compactAfterMillis
    const index = applier.head().index
    if (due && index !== flushedIndex) {
      flushedBytes = appendedBytes()
      flushedAt = time
      yield* stateMachine.flush
      flushedIndex = index
    }
    const compactable = Math.min(flushedIndex - trailingEntries, snapshotIndex())
    if (compactable <= compactedIndex) return
    compactedIndex = compactable
    const { previousIndex } = yield* logStore.compact(compactable)
    mailbox.complete({ _tag: "Compacted", index: previousIndex })
  }))
})
