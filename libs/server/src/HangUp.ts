/** The end of a TCP connection: after what was written has been sent, but not waiting for long for a peer that does not read. */
import { Effect } from "effect"
import type * as Net from "node:net"
import * as Limits from "./Limits.ts"

export const hangUp = (raw: Net.Socket): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const closed = () => resume(Effect.void)
    if (raw.closed) return closed()
    raw.once("close", closed)
    raw.destroySoon()
    return Effect.sync(() => raw.off("close", closed))
  }).pipe(
    Effect.timeoutOption(Limits.lingerMillis),
    Effect.ensuring(Effect.sync(() => raw.destroy()))
  )
