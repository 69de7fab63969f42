/** Tells a waiting person what is going on, on standard error, so that tables and JSON on standard output stay clean. */
import { Clock, Console, Context, Effect, Layer } from "effect"

export class Progress extends Context.Service<Progress, {
  /** One line, with the time since the start in front. */
  readonly say: (message: string) => Effect.Effect<void>
}>()("@dkv/bench/Progress") {
  static readonly layer = Layer.effect(
    Progress,
    Effect.gen(function*() {
      const begin = yield* Clock.currentTimeMillis
      return Progress.of({
        say: Effect.fnUntraced(function*(message: string) {
          const seconds = Math.round(((yield* Clock.currentTimeMillis) - begin) / 1000)
          const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
          yield* Console.error(`[${clock}] ${message}`)
        })
      })
    })
  )

  static readonly layerSilent = Layer.succeed(Progress)({ say: () => Effect.void })
}
