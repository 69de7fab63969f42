/** How many seeds it takes to find a planted bug by a rule that it breaks. */
import { Effect, Option, Stream } from "effect"
import * as Planted from "./Planted.ts"
import * as Pool from "./Pool.ts"
import * as Protocol from "./Protocol.ts"

export interface Found {
  readonly seed: number
  readonly failure: string
}

export interface Result {
  readonly found: Option.Option<Found>
  /** Failures by which it may not be found, crashes of the simulator itself included, in seeds that were run before. */
  readonly others: ReadonlyArray<Found>
}

/** `request.worker` runs the sources with the bug. The first seed in which it is found ends the search. */
export const search = Effect.fnUntraced(function*(bug: Pick<Planted.Planted, "breaks">, request: Pool.Request) {
  const others: Array<Found> = []
  const found = yield* Pool.run(request).pipe(
    Stream.flatMap(({ failure, seed }) => failure === null ? Stream.empty : Stream.make({ seed, failure })),
    Stream.filter((each) => Planted.isFoundBy(bug, each.failure) || (others.push(each), false)),
    Stream.runHead,
    Effect.scoped
  )
  const result: Result = { found, others }
  return result
})

const nameWidth = 60
const seedsWidth = 5

/** A line of the table: the bug, the seeds that it took, and the rule that was broken. */
export const row = (name: string, { found }: Result, { count, from }: Pick<Pool.Request, "count" | "from">): string =>
  name.padEnd(nameWidth) + Option.match(found, {
    onNone: () => `not found in ${count} seeds`,
    onSome: ({ failure, seed }) => `${String(seed - from + 1).padStart(seedsWidth)}   ${Protocol.ruleOf(failure)}`
  })
