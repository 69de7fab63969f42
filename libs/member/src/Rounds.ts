/** Asking again: after a wait that doubles up to a limit, with jitter, so that members that started together do not ask together. */
import { Effect, Random } from "effect"
import * as Limits from "./Limits.ts"

/** Repeats `round` until it gives true. */
export const until = Effect.fnUntraced(function*<E, R>(round: Effect.Effect<boolean, E, R>) {
  let delayMillis = Limits.roundDelayMillis
  while (!(yield* round)) {
    const jitter = yield* Random.next
    yield* Effect.sleep(delayMillis * (0.5 + jitter / 2))
    delayMillis = Math.min(delayMillis * 2, Limits.roundDelayMillisMax)
  }
})
