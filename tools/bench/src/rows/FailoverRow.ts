/**
 * How long nobody is served when the leader dies: from its SIGKILL to the first acknowledgement of a write that began afterwards, with default
 * timeouts. The dead member is started again and caught up before the next death.
 */
import { Client } from "@dkv/client"
import { Effect, Exit, Scope } from "effect"
import { performance } from "node:perf_hooks"
import { BenchError } from "../BenchError.ts"
import type { MemberProcess } from "../clusters/Cluster.ts"
import { temporaryDirectory } from "../clusters/Cluster.ts"
import * as DkvCluster from "../clusters/DkvCluster.ts"
import { failoverMillis, failovers } from "../Limits.ts"
import { keyOf, value } from "../load/Workload.ts"
import type { Options } from "../Options.ts"
import { Progress } from "../Progress.ts"
import type { Row } from "../Report.ts"
import * as Statistics from "../Statistics.ts"
import * as Table from "../Table.ts"

/** Callers that write one after the other, without pause, as an application would. */
const writers = 4

/** Milliseconds until some write that began after now is acknowledged. */
const nextAcknowledged = (client: Client.Client["Service"]): Effect.Effect<number, BenchError> =>
  Effect.suspend(() => {
    const begin = performance.now()
    const write = Effect.suspend(() => client.put(keyOf(Math.floor(begin)), value, { timeoutMillis: failoverMillis }))
      .pipe(
        Effect.eventually
      )
    return Effect.raceAllFirst(Array.from({ length: writers }, () => write)).pipe(
      Effect.map(() => performance.now() - begin),
      Effect.timeoutOrElse({
        duration: failoverMillis,
        orElse: () => Effect.fail(new BenchError({ message: `no write was acknowledged in ${failoverMillis} ms` }))
      })
    )
  })

export const run = Effect.fnUntraced(
  function*(options: Options) {
    const progress = yield* Progress
    const directory = yield* temporaryDirectory(options.dataDirectory, "failover")
    const seats = yield* DkvCluster.seats(directory)
    const parent = yield* Effect.scope
    const occupy = Effect.fnUntraced(function*(seat: DkvCluster.Seat) {
      const scope = yield* Scope.fork(parent)
      const member: MemberProcess = yield* Scope.provide(seat.start, scope)
      return { member, scope }
    })
    const running = yield* Effect.forEach(seats, occupy)
    const millis: Array<number> = []
    for (let round = 0; round < failovers; round++) {
      const leader = yield* DkvCluster.awaitLeader(seats)
      const { member, scope } = running[leader]!
      const outage = yield* Effect.gen(function*() {
        const client = yield* Client.Client
        yield* nextAcknowledged(client)
        process.kill(member.pid, "SIGKILL")
        return yield* nextAcknowledged(client)
      }).pipe(Effect.provide(Client.layer({ endpoints: seats.map((seat) => seat.endpoint) })))
      millis.push(outage)
      yield* progress.say(`death ${round + 1}/${failovers} of the leader, ${member.name}: ${Table.figure(outage)} ms`)
      yield* Scope.close(scope, Exit.void)
      running[leader] = yield* occupy(seats[leader]!)
    }
    return {
      _tag: "Series",
      row: "failover",
      series: [{
        name: "kill -9 of the leader to the next acknowledged write",
        unit: "ms",
        figure: Statistics.spread(millis)
      }]
    } satisfies Row
  },
  Effect.scoped,
  Effect.mapError((cause) => cause instanceof BenchError ? cause : new BenchError({ message: String(cause), cause }))
)
