/** The gateway for native batches: hello, then a `BatchConnection`, watched over for progress. */
import { Kv } from "@dkv/kv"
import { Effect, Layer, Stream } from "effect"
import { BatchConnection } from "./BatchConnection.ts"
import { Gateways } from "./Gateways.ts"
import type { Connection } from "./Gateways.ts"
import * as Handshake from "./Handshake.ts"
import { Intake } from "./Intake.ts"
import { Leadership } from "./Leadership.ts"
import * as Limits from "./Limits.ts"

/** Serves hot operations from `Kv`, and tells clients whether this member leads. */
export const layer: Layer.Layer<never, never, Gateways | Kv.Kv> = Layer.effectDiscard(
  Effect.gen(function*() {
    const kv = yield* Kv.Kv
    const gateways = yield* Gateways
    const intake = new Intake()
    const watched = new Map<BatchConnection, () => void>()
    let isLeading = false

    const serve = Effect.fnUntraced(function*(connection: Connection) {
      const { pull, writer } = yield* Handshake.accept(connection, "batch")
      const scope = yield* Effect.scope
      const context = yield* Effect.context<never>()
      const batches = new BatchConnection(kv, intake, context, scope)
      batches.leads(isLeading)
      const stalled = Effect.callback<void>((resume) => {
        watched.set(batches, () => resume(Effect.void))
      })
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          watched.delete(batches)
          batches.end()
        })
      )
      const closed = Effect.gen(function*() {
        yield* connection.closing
        batches.close()
        yield* Effect.sleep(Limits.farewellMillis)
        yield* batches.idle
      })
      yield* Effect.raceAllFirst([
        batches.run(pull, writer),
        Effect.andThen(stalled, batches.notify(writer, "Stalled", "no progress for too long")),
        closed
      ])
    })

    yield* Effect.forkScoped(
      Effect.forever(
        Effect.andThen(
          Effect.sleep(Limits.stallCheckMillis),
          Effect.sync(() => {
            for (const [batches, cut] of watched) if (batches.isStalled()) cut()
          })
        )
      )
    )
    yield* Leadership.pipe(
      Effect.flatMap(Stream.runForEach((leads) =>
        Effect.sync(() => {
          isLeading = leads
          for (const batches of watched.keys()) batches.leads(leads)
        })
      )),
      Effect.forkScoped
    )
    yield* gateways.register(
      "batch",
      (connection) =>
        Effect.catchTag(
          serve(connection),
          "SocketError",
          (error) => Effect.logDebug(`batch connection from ${connection.remote} ended: ${error.message}`)
        )
    )
  })
)
