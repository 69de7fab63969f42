/** `npm run sim`: many seeds over all cores, one seed with its trace, and what a failure needs. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Options } from "@dkv/testkit/simulator"
import { Clock, Console, Effect, Option, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import * as Os from "node:os"
import * as Attempt from "./Attempt.ts"
import * as Copy from "./Copy.ts"
import { planted } from "./Planted.ts"
import * as Pool from "./Pool.ts"
import * as Protocol from "./Protocol.ts"
import * as Search from "./Search.ts"
import * as Shrink from "./Shrink.ts"
import { Summary } from "./Summary.ts"

const isPart = (text: string): text is Options.Part => Options.parts.some((part) => part === text)

const replayOf = (seed: number, without: ReadonlyArray<Options.Part>): string =>
  `npm run sim -- --seed ${seed}${without.length === 0 ? "" : ` --without ${without.join(",")}`}`

const seedsDefault = 200

/** A planted bug has to be found within so many seeds. */
const plantedSeedsMax = 500

const fail = Effect.sync(() => {
  process.exitCode = 1
})

/** Lines are written as they come: a run that never ends, or ends the process, has told how far it came. */
const one = Effect.fnUntraced(function*(seed: number, without: ReadonlyArray<Options.Part>) {
  const trace = (line: string) => void process.stdout.write(`${line}\n`)
  const said = yield* Effect.match(Attempt.make(seed, { without, trace }), {
    onFailure: (how) => ({ failed: true, text: Protocol.crash(how), picture: undefined }),
    onSuccess: ({ failure, hash, picture, steps, virtualMillis }) => ({
      failed: failure !== undefined,
      text: `${failure ?? "nothing wrong"} (${steps} steps in ${
        (virtualMillis / 1000).toFixed(1)
      } virtual seconds, trace ${hash.toString(16)})`,
      picture
    })
  })
  if (said.picture !== undefined) yield* Console.log(said.picture)
  yield* Console.log(`\nseed ${seed}: ${said.text}`)
  if (said.failed) yield* fail
})

const shrink = Effect.fnUntraced(function*(seed: number, given: ReadonlyArray<Options.Part>) {
  const shrunk = yield* Shrink.shrink(
    given,
    (without) => Attempt.failure(Attempt.make(seed, { without })),
    (part) => Console.log(`fails without ${part} as well`)
  )
  if (shrunk === undefined) return yield* Console.log(`seed ${seed} shows nothing wrong`)
  const { needed, without } = shrunk
  yield* Console.log(`it needs: ${needed.join(", ") || "nothing that can be left out"}\n${replayOf(seed, without)}`)
})

const many = Effect.fnUntraced(function*(request: Pool.Request) {
  const summary = new Summary()
  const startedAt = yield* Clock.currentTimeMillis
  let saidAt = startedAt
  yield* Pool.run(request).pipe(
    Stream.runForEach(Effect.fnUntraced(function*(outcome) {
      summary.add(outcome)
      if (outcome.failure !== null) {
        yield* Console.log(
          `seed ${outcome.seed}: ${outcome.failure.slice(0, 600)}\n  ${replayOf(outcome.seed, request.without)}`
        )
      }
      const now = yield* Clock.currentTimeMillis
      if (now - saidAt < 2000) return
      saidAt = now
      yield* Console.error(`${summary.runs} of ${request.count} seeds, ${summary.failures.length} failed`)
    })),
    Effect.scoped
  )
  const seconds = ((yield* Clock.currentTimeMillis) - startedAt) / 1000
  yield* Console.log(
    `\n${summary.render()}\n\n${summary.runs} seeds from ${request.from}: ${summary.failures.length} failed; ${
      (summary.virtualMillis / 1000 / seconds / request.workers).toFixed(0)
    } virtual seconds per second and core`
  )
  if (summary.missed.length > 0) yield* Console.log(`never struck: ${summary.missed.join(", ")}: run more seeds`)
  if (summary.gaveUpTooOften) {
    yield* Console.log("the checker gave up too often: what it did not look through proves nothing")
  }
  if (summary.failures.length > 0 || summary.gaveUpTooOften) yield* fail
})

/** Each bug, how many seeds it takes to find it, and the rule that finds it. As many bugs at once as there are workers, so that the seeds of each come in order. */
const plantedBugs = Effect.fnUntraced(function*(request: Pool.Request, only: string) {
  const bugs = planted.filter(({ name }) => name.includes(only))
  if (bugs.length === 0) {
    yield* Console.error(`no planted bug has "${only}" in its name:\n  ${planted.map(({ name }) => name).join("\n  ")}`)
    return yield* fail
  }
  let missed = 0
  yield* Stream.fromIterable(bugs).pipe(
    Stream.mapEffect((bug) =>
      Effect.scoped(
        Effect.flatMap(Copy.worker(bug), (worker) => Search.search(bug, { ...request, workers: 1, worker }))
      ).pipe(Effect.map((result) => ({ bug, result }))), { concurrency: request.workers }),
    Stream.runForEach(Effect.fnUntraced(function*({ bug, result }) {
      if (Option.isNone(result.found)) missed++
      for (const { failure, seed } of result.others) {
        yield* Console.error(`"${bug.name}": seed ${seed} fails, and not as it should: ${failure.slice(0, 600)}`)
      }
      yield* Console.log(Search.row(bug.name, result, request))
    }))
  )
  if (missed > 0) yield* fail
})

const positive = (flag: Flag.Flag<number>, name: string): Flag.Flag<number> =>
  Flag.filter(flag, (value) => value > 0, () => `--${name} must be more than 0`)

const sim = Command.make(
  "sim",
  {
    seeds: positive(
      Flag.Int("seeds").pipe(Flag.withDescription(`How many seeds to run (default: ${seedsDefault})`)),
      "seeds"
    ).pipe(Flag.optional),
    from: Flag.Int("from").pipe(Flag.withDescription("The first of them"), Flag.withDefault(1)),
    seed: Flag.Int("seed").pipe(Flag.withDescription("Run one seed, with a line per event"), Flag.optional),
    shrink: Flag.Boolean("shrink").pipe(
      Flag.withDescription("With --seed: find out which faults the failure needs"),
      Flag.withDefault(false)
    ),
    planted: Flag.Boolean("planted").pipe(
      Flag.withDescription("Plant each of the known bugs in turn, and tell how many seeds it takes to find it"),
      Flag.withDefault(false)
    ),
    only: Flag.String("only").pipe(
      Flag.withDescription("With --planted: the bugs whose names have this in them"),
      Flag.withDefault("")
    ),
    without: Flag.String("without").pipe(
      Flag.withDescription(`Leave out some of: ${Options.parts.join(", ")}`),
      Flag.withDefault(""),
      Flag.filterMap(
        (text) => {
          const items = text.split(",").filter((item) => item !== "")
          return items.every(isPart) ? Option.some(items.filter(isPart)) : Option.none()
        },
        (text) => `--without takes ${Options.parts.join(", ")}, separated by commas, not "${text}"`
      )
    ),
    workers: positive(
      Flag.Int("workers").pipe(
        Flag.withDescription("Processes to spread the seeds over"),
        Flag.withDefault(Os.availableParallelism())
      ),
      "workers"
    )
  },
  Effect.fnUntraced(function*(options) {
    const { from, seed, seeds, without, workers } = options
    if (options.shrink && Option.isNone(seed)) {
      yield* Console.error("--shrink needs a seed that fails: --seed N --shrink")
      return yield* fail
    }
    if (options.only !== "" && !options.planted) {
      yield* Console.error("--only chooses among the planted bugs: --planted --only TEXT")
      return yield* fail
    }
    if (options.planted) {
      if (Option.isSome(seeds) || Option.isSome(seed)) {
        yield* Console.error(
          `--planted takes up to ${plantedSeedsMax} seeds for each bug, and needs no --seeds or --seed`
        )
        return yield* fail
      }
      return yield* plantedBugs({ from, count: plantedSeedsMax, without, workers }, options.only)
    }
    if (Option.isNone(seed)) {
      return yield* many({
        from,
        count: Option.getOrElse(seeds, () => seedsDefault),
        without,
        workers
      })
    }
    return yield* options.shrink ? shrink(seed.value, without) : one(seed.value, without)
  })
).pipe(
  Command.withDescription("Runs whole clusters in virtual time, with faults, each from one seed"),
  Command.withExamples([
    { command: "sim --seeds 2000 --from 1", description: "Many seeds, over all cores" },
    { command: "sim --seed 42", description: "One seed again, with its trace" },
    { command: "sim --planted", description: "Proves the simulator by bugs that it has to find" },
    { command: "sim --seed 42 --shrink", description: "Which faults its failure needs" }
  ])
)

Command.run(sim, { version: "0.1.0" }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
