/**
 * Keeps one connection for hot operations to one of the endpoints, as long as there are calls, and goes on to the next endpoint when it fails, asks to, or does not
 * answer. Stays where it works. A connection that was left is kept until it has answered what it owes.
 *
 * A client that goes on writing through a member that does not lead gets a second connection, to the one that does if it is among the endpoints: its writes save a
 * hop. Reads stay where they are, so that those of many clients are spread over the members.
 */
import { Signal } from "@dkv/protocol"
import { Clock, Deferred, Effect, Random } from "effect"
import type { Scope } from "effect"
import { BatchSession } from "./BatchSession.ts"
import type { Call } from "./Call.ts"
import { lanes } from "./Call.ts"
import { Calls } from "./Calls.ts"
import { ClientError } from "./ClientError.ts"
import { Connector } from "./Connector.ts"
import * as Limits from "./Limits.ts"
import * as RareCalls from "./RareCalls.ts"

export interface Dispatcher {
  readonly calls: Calls
  readonly nowUnsafe: () => number
  /** The endpoint in use, or to be tried next. */
  readonly endpoint: () => string
}

const writes = ["write"] as const
const reads = ["linearizable", "bounded", "stale"] as const

export const make = Effect.fnUntraced(function*(
  endpoints: ReadonlyArray<string>,
  options: { readonly withSession: boolean }
): Effect.fn.Return<Dispatcher, never, Connector | Scope.Scope> {
  const connector = yield* Connector
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const nowUnsafe = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const calls = new Calls(nowUnsafe, { ...options, hasOthers: endpoints.length > 1 })
  const sessions = new Set<BatchSession>()
  const queued = new Signal()
  const ended = new Signal()
  const leaderWanted = new Signal()
  const leaderChanged = new Signal()
  /** The connection in use, and the one to the leader, which takes the writes while there is one. */
  let home: BatchSession | undefined
  let leader: BatchSession | undefined
  let position = 0
  /** Connections in a row that were of no use, and those of them that the member refused for good. */
  let failures = 0
  let refusals = 0

  const homeLanes = () => leader === undefined ? lanes : reads

  /** Gives each lane to the connection that is to serve it. */
  const route = (): void => {
    if (home?.isReady === true) home.serve(homeLanes())
    else {
      for (const lane of homeLanes()) calls.filled[lane] = queued
      queued.raise()
    }
    leader?.serve(writes)
  }

  const changed = (session: BatchSession): void => {
    const isNews = session === home && (home.isLeading || home.timesTold > 1)
    if (isNews) leaderChanged.raise()
    if (leader !== undefined && (isNews || (session === leader && !leader.isLeading))) {
      leader.leave()
      leader = undefined
    }
    route()
  }

  /** A connection that serves nothing until it is routed. `onEnd` gets what it failed with. */
  const open = (endpoint: string, onEnd: (error: ClientError | undefined, why: string) => void) => {
    const session = new BatchSession(calls, nowUnsafe, changed)
    sessions.add(session)
    const end = (error: ClientError | undefined): void => {
      const why = `${endpoint}: ${error?.message ?? "the member sent its clients away"}`
      sessions.delete(session)
      for (const batch of session.callsOut()) calls.lost(batch, why, nowUnsafe())
      onEnd(error, why)
      session.leave()
      ended.raise()
    }
    const serve = Effect.flatMap(connector.connect(endpoint), session.run).pipe(
      Effect.scoped,
      Effect.match({ onFailure: end, onSuccess: () => end(undefined) })
    )
    return Effect.as(Effect.forkIn(serve, scope), session)
  }

  const until = (condition: () => boolean, signal: Signal): Effect.Effect<void> =>
    Effect.suspend(() => condition() ? Effect.void : Effect.andThen(signal.wait, until(condition, signal)))

  const backoff = Effect.fnUntraced(function*(doublings: number, maxMillis: number) {
    const waitMillis = Math.min(Limits.backoffMinMillis * 2 ** doublings, maxMillis)
    yield* Effect.sleep(Math.ceil(waitMillis * (0.5 + 0.5 * (yield* Random.next))))
  })

  const next = Effect.gen(function*() {
    route()
    yield* until(() => calls.hasQueued(homeLanes()), queued)
    yield* until(() => sessions.size < Limits.connectionsMax, ended)
    home = yield* open(endpoints[position]!, (error, why) => {
      refusals = error?.reason === "Incompatible" ? refusals + 1 : 0
      if (error !== undefined && refusals >= endpoints.length) {
        calls.failQueued(new ClientError({ reason: error.reason, message: why }))
      } else calls.unreachable(why)
    })
    yield* Deferred.await(home.left)
    failures = home.hasAnswered ? 0 : failures + 1
    home = undefined
    position = (position + 1) % endpoints.length
    yield* backoff(Math.floor(failures / endpoints.length), Limits.backoffMaxMillis)
  })

  const wantsLeader = () =>
    endpoints.length > 1 && leader === undefined && home !== undefined && home.timesTold > 0 && !home.isLeading &&
    home.detours >= Limits.detoursMax

  /** Asks the other endpoints one by one. */
  const findLeader = Effect.gen(function*() {
    for (
      let offset = 1;
      offset < endpoints.length && sessions.size < Limits.connectionsMax && wantsLeader();
      offset++
    ) {
      const session = yield* open(endpoints[(position + offset) % endpoints.length]!, () => {})
      yield* Effect.timeoutOption(Deferred.await(session.told), Limits.connectMillis)
      if (session.isLeading && !session.hasLeft && wantsLeader()) return session
      session.leave()
    }
    return undefined
  })

  const follow = Effect.gen(function*() {
    let attempts = 0
    while (true) {
      yield* until(wantsLeader, leaderWanted)
      const found = yield* findLeader
      if (found !== undefined) {
        attempts = 0
        leader = found
        route()
        yield* Deferred.await(found.left)
        if (leader === found) leader = undefined
        route()
      }
      if (home !== undefined) home.detours = 0
      const hasNews = yield* Effect.raceFirst(
        Effect.as(backoff(attempts++, Limits.searchMaxMillis), false),
        Effect.as(leaderChanged.wait, true)
      )
      if (hasNews) attempts = 0
    }
  })

  const openSession = Effect.gen(function*() {
    let attempts = 0
    while (true) {
      yield* until(() => calls.needsSession, calls.sessionWanted)
      const opened = yield* RareCalls.call([endpoints[(position + attempts) % endpoints.length]!], {
        // one that nobody knows of does no harm
        isChange: false,
        timeoutMillis: Limits.attemptMillis,
        use: (client, timeoutMillis) => client.SessionOpen({ timeoutMillis })
      }, nowUnsafe).pipe(Effect.provideService(Connector, connector), Effect.result)
      if (opened._tag === "Success") {
        attempts = 0
        const { index, term } = opened.success
        calls.sessionOpened({ index, term })
      } else {
        calls.unreachable(opened.failure.message)
        yield* backoff(Math.floor(attempts++ / endpoints.length), Limits.backoffMaxMillis)
      }
    }
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
        if (wantsLeader()) leaderWanted.raise()
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
  yield* Effect.forkScoped(follow)
  yield* Effect.forkScoped(openSession)
  yield* Effect.forkScoped(Effect.forever(sweep))

  return { calls, nowUnsafe, endpoint: () => endpoints[position]! }
})
