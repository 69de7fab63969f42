/** The load on dkv through its own client, used as a program would: one client that knows all members, a fiber per caller. */
import { Client } from "@dkv/client"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { performance } from "node:perf_hooks"
import type { Driver } from "./Driver.ts"
import { DriverError } from "./Driver.ts"
import type { Meter } from "./Meter.ts"
import type { Operation } from "./Workload.ts"
import { keyOf, value } from "./Workload.ts"

type Member = Client.Client["Service"]

const failed = (message: string, cause?: unknown): DriverError => new DriverError({ message, cause })

const once = (client: Member, operation: Operation, sequence: number): Effect.Effect<unknown, DriverError> =>
  operation === "put"
    ? Effect.mapError(client.put(keyOf(sequence), value), (error) => failed(error.message, error))
    : client.get(keyOf(sequence)).pipe(
      Effect.mapError((error) => failed(error.message, error)),
      Effect.flatMap((found) =>
        Option.isSome(found) && found.value.value.length === value.length
          ? Effect.void
          : Effect.fail(failed("a read found no value"))
      )
    )

const caller = Effect.fnUntraced(function*(client: Member, operation: Operation, meter: Meter) {
  while (meter.start()) {
    const startedMillis = performance.now()
    yield* once(client, operation, meter.sequence)
    meter.finish(startedMillis, performance.now())
  }
})

/**
 * A driver with so many clients, which live until the scope closes. Each knows all `endpoints` (`host:port`, the leader's first) and begins with another one; the first
 * client begins with a follower, so that it has to find the leader by itself.
 */
export const make = Effect.fnUntraced(function*(endpoints: ReadonlyArray<string>, count: number) {
  const clients = yield* Effect.forEach(
    Array.from({ length: count }, (_, number) => (number + 1) % endpoints.length),
    (first) =>
      Layer.build(Client.layer({ endpoints: [...endpoints.slice(first), ...endpoints.slice(0, first)] })).pipe(
        Effect.map((context) => Context.get(context, Client.Client)),
        Effect.mapError((error) => failed(error.message, error))
      )
  )
  return {
    run: ({ callers, meter, operation }) =>
      Effect.gen(function*() {
        const fibers = yield* Effect.forEach(
          Array.from({ length: callers }, (_, slot) => clients[slot % clients.length]!),
          (client) => Effect.forkScoped(caller(client, operation, meter))
        )
        yield* Fiber.joinAll(fibers)
      })
  } satisfies Driver
})
