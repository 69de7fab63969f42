/**
 * Keeps one connection for hot operations to one of the endpoints, as long as there are calls, and goes on to the next endpoint when it fails, asks to, or does not
 * answer. Stays where it works. A connection that was left is kept until it has answered what it owes.
 */
import { Signal } from "@dkv/protocol"
import { Clock, Deferred, Effect, Random } from "effect"
import type { Scope } from "effect"
import { BatchSession } from "./BatchSession.ts"
import type { Call } from "./Call.ts"
import { Calls } from "./Calls.ts"
import { ClientError } from "./ClientError.ts"
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
  const scope = yield* Effect.scope
  const nowUnsafe = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const calls = new Calls(nowUnsafe)
  const sessions = new Set<BatchSession>()
  const queued = new Signal()
  const ended = new Signal()
  let position = 0
  /** Connections in a row that were of no use, and those of them that the member refused for good. */
  let failures = 0
  let refusals = 0

  const end = (session: BatchSession, endpoint: string, error: ClientError | undefined): void => {
    const why = `${endpoint}: ${error?.message ?? "the member sent its clients away"}`
    sessions.delete(session)
    for (const batch of session.callsOut()) calls.lost(batch, why, nowUnsafe())
    refusals = error?.reason === "Incompatible" ? refusals + 1 : 0
    if (error !== undefined && refusals >= endpoints.length) {
      calls.failQueued(new ClientError({ reason: error.reason, message: why }))
    } else calls.unreachable(why)
    session.leave()
    ended.raise()
  }

  const serve = (session: BatchSession, endpoint: string): Effect.Effect<void> =>
    Effect.flatMap(connector.connect(endpoint), session.run).pipe(
      Effect.scoped,
      Effect.match({
        onFailure: (error) => end(session, endpoint, error),
        onSuccess: () => end(session, endpoint, undefined)
      })
    )

  const until = (condition: () => boolean, signal: Signal): Effect.Effect<void> =>
    Effect.suspend(() => condition() ? Effect.void : Effect.andThen(signal.wait, until(condition, signal)))

  const next = Effect.gen(function*() {
    calls.filled = queued
    yield* until(() => calls.hasQueued, queued)
    yield* until(() => sessions.size < Limits.connectionsMax, ended)
    const session = new BatchSession(calls, nowUnsafe)
    sessions.add(session)
    yield* Effect.forkIn(serve(session, endpoints[position]!), scope)
    yield* Deferred.await(session.left)
    position = (position + 1) % endpoints.length
    failures = session.hasAnswered ? 0 : failures + 1
    const rounds = Math.floor(failures / endpoints.length)
    const waitMillis = Math.min(Limits.backoffMinMillis * 2 ** rounds, Limits.backoffMaxMillis)
    yield* Effect.sleep(Math.ceil(waitMillis * (0.5 + 0.5 * (yield* Random.next))))
  })

  const callsOut = function*(): Iterable<ReadonlyArray<Call>> {
    for (const session of sessions) yield* session.callsOut()
  }
  const isWaiting = () => {
    for (const session of sessions) if (session.isWaiting) return true
    return false
  }
  const sweep = Effect.suspend(() =>
    calls.size === 0 && !isWaiting()
      ? calls.started.wait
      : Effect.map(Effect.sleep(Limits.sweepMillis), () => {
        const now = nowUnsafe()
        const mayLeave = endpoints.length > 1 && sessions.size < Limits.connectionsMax
        for (const session of sessions) session.check(now, mayLeave)
        calls.sweep(now, callsOut())
      })
  )

  // runs after the fibers below and their connections have ended
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      for (const batch of callsOut()) calls.lost(batch, "the client was closed", nowUnsafe())
      calls.close()
    })
  )
  yield* Effect.forkScoped(Effect.forever(next))
  yield* Effect.forkScoped(Effect.forever(sweep))

  return { calls, nowUnsafe, endpoint: () => endpoints[position]! }
})
