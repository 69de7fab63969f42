/**
 * Keeps one connection for hot operations to one of the endpoints, as long as there are calls, and goes on to the next endpoint when it fails or asks to. Stays where
 * it works.
 */
import { Clock, Effect, Random } from "effect"
import type { Scope } from "effect"
import { BatchSession } from "./BatchSession.ts"
import { Calls } from "./Calls.ts"
import type { ClientError } from "./ClientError.ts"
import { Connector } from "./Connector.ts"
import * as Limits from "./Limits.ts"

export interface Dispatcher {
  readonly calls: Calls
  readonly nowUnsafe: () => number
  /** The endpoint in use, or to be tried next. */
  readonly endpoint: () => string
}

export const make = Effect.fnUntraced(function*(
  endpoints: ReadonlyArray<string>
): Effect.fn.Return<Dispatcher, never, Connector | Scope.Scope> {
  const connector = yield* Connector
  const clock = yield* Clock.Clock
  const nowUnsafe = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const calls = new Calls()
  let position = 0
  let backoffMillis = 0
  let session: BatchSession | undefined

  const attempt = Effect.suspend(() => {
    const current = session = new BatchSession(calls, nowUnsafe)
    const endpoint = endpoints[position]!
    return Effect.flatMap(connector.connect(endpoint), current.run).pipe(
      Effect.raceFirst(silence(current)),
      Effect.scoped,
      Effect.matchEffect({
        onFailure: (error: ClientError) => ended(current, endpoint, error.message, error),
        onSuccess: () => ended(current, endpoint, "the member sent its clients away", undefined)
      })
    )
  })

  const ended = Effect.fnUntraced(function*(
    current: BatchSession,
    endpoint: string,
    why: string,
    error: ClientError | undefined
  ) {
    session = undefined
    for (const batch of current.out.values()) calls.lost(batch, `${endpoint}: ${why}`, nowUnsafe())
    if (error?.reason === "Invalid" || error?.reason === "Incompatible") calls.failQueued(error)
    else calls.unreachable(`${endpoint}: ${why}`)
    position = (position + 1) % endpoints.length
    backoffMillis = current.hasAnswered
      ? Limits.backoffMinMillis
      : Math.min(Math.max(backoffMillis * (position === 0 ? 2 : 1), Limits.backoffMinMillis), Limits.backoffMaxMillis)
    yield* Effect.sleep(Math.ceil(backoffMillis * (0.5 + 0.5 * (yield* Random.next))))
  })

  /** A frozen member keeps its connections open and answers nothing. */
  const silence = (current: BatchSession): Effect.Effect<void, ClientError> =>
    Effect.suspend(() => {
      const left = current.heardAt + Limits.silenceMillis - nowUnsafe()
      if (current.out.size > 0 && left <= 0) return Effect.void
      return Effect.andThen(Effect.sleep(Math.ceil(Math.max(left, Limits.sweepMillis))), silence(current))
    })

  const untilCalls: Effect.Effect<void> = Effect.suspend(() =>
    calls.hasQueued ? Effect.void : Effect.andThen(calls.filled.wait, untilCalls)
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(untilCalls, attempt)))

  const sweep = Effect.suspend(() =>
    calls.size === 0
      ? calls.started.wait
      : Effect.andThen(
        Effect.sleep(Limits.sweepMillis),
        Effect.sync(() => calls.sweep(nowUnsafe(), session?.out.values() ?? []))
      )
  )
  yield* Effect.forkScoped(Effect.forever(sweep))

  return { calls, nowUnsafe, endpoint: () => endpoints[position]! }
})
