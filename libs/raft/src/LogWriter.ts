/**
 * Makes what the core orders durable, in order, one sync for everything that queued up meanwhile. Completions are matched by the number of the
 * write: an index and a term alone may come twice (ABA).
 *
 * A failed write stops the member; nothing is tried again (fsync may have dropped the pages and report success next time).
 */
import { Effect } from "effect"
import type { LogStoreError, LogWrite } from "./LogStore.ts"
import { LogStore } from "./LogStore.ts"
import type { Mailbox } from "./Mailbox.ts"
import * as Wakeup from "./Wakeup.ts"

export interface LogWriter {
  /** Orders changes; write number `number` and all before it are durable once they are. */
  readonly orderUnsafe: (writes: ReadonlyArray<LogWrite>, number: number) => void
  /** The actor. */
  readonly run: Effect.Effect<never, LogStoreError>
}

export const make = Effect.fnUntraced(function*(mailbox: Mailbox) {
  const logStore = yield* LogStore
  const wakeup = yield* Wakeup.make
  let queue: Array<LogWrite> = []
  let ordered = 0
  const writeQueued = Effect.suspend(() => {
    const writes = queue
    const number = ordered
    queue = []
    return writes.length === 0
      ? Effect.void
      : Effect.map(logStore.write(writes), () => mailbox.complete({ _tag: "Written", number }))
  })
  const logWriter: LogWriter = {
    orderUnsafe: (writes, number) => {
      for (const write of writes) queue.push(write)
      ordered = number
      wakeup.ringUnsafe()
    },
    run: Effect.forever(Effect.andThen(wakeup.wait, writeQueued))
  }
  return logWriter
})
