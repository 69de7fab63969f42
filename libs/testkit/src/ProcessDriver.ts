/** What a person does to a cluster of processes: asks who leads, writes with a record of what was acknowledged, and reads it back. */
import { Client, type ClientError } from "@dkv/client"
import type { Admin } from "@dkv/protocol"
import { Effect, Layer, Option, Schedule } from "effect"
import type { Scope } from "effect"
import type { ProcessCluster, Seat } from "./ProcessCluster.ts"
import { ProcessError } from "./ProcessCluster.ts"

type ClientService = Client.Client["Service"]

/** The client, by a name of its own. */
export interface Service extends ClientService {}

/** A client of the given members. Patient, since a busy machine may stop everything for seconds. */
export const clientOf = Effect.fnUntraced(function*(
  seats: ReadonlyArray<Seat>,
  timeoutMillis = 15_000
): Effect.fn.Return<Service, ClientError, Scope.Scope> {
  const context = yield* Layer.build(
    Client.layer({ endpoints: seats.map((seat) => seat.clientAddress), timeoutMillis })
  )
  return yield* Effect.provideContext(Client.Client, context)
})

/** What one member says of itself. */
export const statusOf = (seat: Seat): Effect.Effect<Admin.StatusView, ClientError> =>
  Effect.scoped(Effect.flatMap(clientOf([seat], 5000), (client) => client.status))

/** Waits until `check` gives something. */
export const eventually = <A>(
  what: string,
  check: Effect.Effect<Option.Option<A>, unknown>,
  seconds = 60
): Effect.Effect<A, ProcessError> =>
  Effect.suspend(() => {
    const notSo = (why: string) =>
      Effect.fail(new ProcessError({ message: `not so within ${seconds} s: ${what}${why}` }))
    return Effect.matchEffect(check, {
      onFailure: (error) => notSo(` (${error})`),
      onSuccess: (found) => Option.isSome(found) ? Effect.succeed(found.value) : notSo("")
    })
  }).pipe(Effect.retry(Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: `${seconds} seconds` }))))

/** The member that leads, once all running ones agree on it. */
export const leaderOf = (cluster: ProcessCluster, among?: ReadonlyArray<Seat>): Effect.Effect<Seat, ProcessError> => {
  const running = () => (among ?? cluster.seats).filter((seat) => Option.isSome(seat.running))
  return eventually(
    "one leader that all running members know",
    Effect.gen(function*() {
      const seats = running()
      const statuses = yield* Effect.forEach(seats, statusOf, { concurrency: "unbounded" })
      const leader = statuses.findIndex((status) => status.role === "Leader")
      const agreed = leader >= 0 &&
        statuses.every((status) => Option.getOrUndefined(status.leader) === statuses[leader]!.id)
      return agreed ? Option.some(seats[leader]!) : Option.none()
    })
  ).pipe(
    Effect.mapError(({ message }) => {
      const logs = running().map((seat) => `\n${seat.name} at ${seat.clientAddress}:\n${cluster.logTail(seat)}`)
      return new ProcessError({ message: `${message}${logs.join("")}` })
    })
  )
}

/** Until every given member has applied what the leader had committed when this began. */
export const caughtUp = (cluster: ProcessCluster, seats: ReadonlyArray<Seat>): Effect.Effect<void, ProcessError> =>
  Effect.gen(function*() {
    const leader = yield* leaderOf(cluster)
    const { commitIndex } = yield* statusOf(leader)
    yield* eventually(
      `${seats.map((seat) => seat.name).join(", ")} applied entry ${commitIndex}`,
      Effect.gen(function*() {
        for (const seat of seats) {
          if ((yield* statusOf(seat)).appliedIndex < commitIndex) return Option.none<true>()
        }
        return Option.some(true as const)
      })
    )
  }).pipe(Effect.catchTag("ClientError", (error) => Effect.fail(new ProcessError({ message: error.message }))))

/** A key that one writer counts up: the last number acknowledged, and the last one attempted. */
interface Counter {
  readonly key: string
  acknowledged: number
  attempted: number
}

/** Writers with one key each, that count up for as long as they run, and remember what was acknowledged. */
export interface Ledger {
  readonly counters: ReadonlyArray<Counter>
  readonly acknowledged: () => number
}

/**
 * Starts `writers` writers in the present scope. A definite refusal is tried again. A write of unknown outcome may still take effect after later
 * ones, so its writer leaves that key as it is and goes on with another.
 */
export const write = Effect.fnUntraced(function*(
  client: Service,
  writers: number,
  prefix = "ledger"
): Effect.fn.Return<Ledger, never, Scope.Scope> {
  const counters: Array<Counter> = []
  const open = (): Counter => {
    const counter = { key: `${prefix}/${counters.length}`, acknowledged: 0, attempted: 0 }
    counters.push(counter)
    return counter
  }
  for (let writer = 0; writer < writers; writer++) {
    let counter = open()
    const next = Effect.suspend(() => {
      const value = ++counter.attempted
      return Effect.matchEffect(client.put(counter.key, String(value)), {
        onSuccess: () =>
          Effect.sync(() => {
            counter.acknowledged = value
          }),
        onFailure: (error) =>
          error.reason === "Unknown"
            ? Effect.sync(() => {
              counter = open()
            })
            : Effect.sleep("20 millis")
      })
    })
    yield* Effect.forkScoped(Effect.forever(next))
  }
  return { counters, acknowledged: () => counters.reduce((sum, counter) => sum + counter.acknowledged, 0) }
})

/** Lets the ledger grow by so many acknowledged writes. */
export const grow = (ledger: Ledger, by: number, seconds = 60): Effect.Effect<void, ProcessError> =>
  Effect.suspend(() => {
    const goal = ledger.acknowledged() + by
    return Effect.asVoid(eventually(
      `${by} more acknowledged writes`,
      Effect.sync(() => ledger.acknowledged() >= goal ? Option.some(true) : Option.none()),
      seconds
    ))
  })

/** What contradicts the ledger: every key must hold at least what was acknowledged, and nothing that was never written. */
export const violations = Effect.fnUntraced(function*(
  client: Service,
  ledger: Ledger
): Effect.fn.Return<ReadonlyArray<string>, ClientError> {
  const found: Array<string> = []
  for (const counter of ledger.counters) {
    const { acknowledged, key } = counter
    const held = Option.map(yield* client.get(key), ({ value }) => Number(new TextDecoder().decode(value)))
    const value = Option.getOrElse(held, () => 0)
    if (value < acknowledged || value > counter.attempted) {
      found.push(`${key} holds ${value}; ${acknowledged} was acknowledged, ${counter.attempted} attempted`)
    }
  }
  return found
})
