/** Which faults a failure needs: leaves out one part after the other, as long as the same rule is broken. */
import { Options } from "@dkv/testkit/simulator"
import { Effect } from "effect"
import * as Protocol from "./Protocol.ts"

export interface Shrunk {
  /** Everything that can be left out at once. */
  readonly without: ReadonlyArray<Options.Part>
  /** What then is left, each of which the failure needs. */
  readonly needed: ReadonlyArray<Options.Part>
}

/** `undefined` if nothing is wrong to begin with. `said` gets each part that can be left out, as soon as that is known. */
export const shrink = Effect.fnUntraced(function*(
  given: ReadonlyArray<Options.Part>,
  failureWithout: (parts: ReadonlyArray<Options.Part>) => Effect.Effect<string | undefined>,
  said: (part: Options.Part) => Effect.Effect<void>
): Effect.fn.Return<Shrunk | undefined> {
  const first = yield* failureWithout(given)
  if (first === undefined) return undefined
  let without = given
  for (const part of Options.parts) {
    if (without.includes(part)) continue
    const failure = yield* failureWithout([...without, part])
    if (failure === undefined || Protocol.ruleOf(failure) !== Protocol.ruleOf(first)) continue
    without = [...without, part]
    yield* said(part)
  }
  return { without, needed: Options.parts.filter((part) => !without.includes(part)) }
})
