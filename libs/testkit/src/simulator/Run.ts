/**
 * One run of the simulator: a cluster with everything drawn from a seed, clients that read and write while faults strike, rules looked at after each step, and at
 * the end a healed core that has to serve again with everything that was acknowledged.
 */
import * as Aftermath from "./Aftermath.ts"
import type { Event } from "./Events.ts"
import { Faults } from "./Faults.ts"
import { Healing } from "./Healing.ts"
import type { Load } from "./Load.ts"
import type { FaultKind, Options, Part } from "./Options.ts"
import { draw, without } from "./Options.ts"
import { Prng } from "./Prng.ts"
import { SimCluster } from "./SimCluster.ts"
import * as Stack from "./Stack.ts"

export interface Report {
  readonly seed: number
  /** What was wrong; absent if nothing was. */
  readonly failure: string | undefined
  readonly virtualMillis: number
  readonly steps: number
  readonly acknowledged: number
  /** How calls and changes of the cluster ended, and how often. */
  readonly outcomes: ReadonlyMap<string, number>
  /** How far the history was proven to be linearizable. */
  readonly proven: string
  readonly picture: string | undefined
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly frames: { readonly lost: number; readonly doubled: number; readonly overtaking: number }
  readonly looks: ReadonlyMap<string, number>
  readonly events: ReadonlyMap<Event, number>
  /** Depends on everything that happened. */
  readonly hash: number
}

/** Time that a healed core may take to serve again. */
const recoverMillis = 60_000

export interface RunOptions<Services = never> {
  /** What members are made of; `Stack.kv`, with witnesses in some clusters, if absent. */
  readonly stack?: Stack.Stack<Services>
  /** What to leave out of what the seed draws. */
  readonly without?: ReadonlyArray<Part>
  /** Gets a line per event. */
  readonly trace?: (line: string) => void
}

/** The run of a seed. Not a promise, not an effect: it happens on this stack, in virtual time. */
export const run = <Services = never>(seed: number, options: RunOptions<Services> = {}): Report =>
  options.stack === undefined
    ? runStack(seed, Stack.kv, options)
    : runStack(seed, options.stack, { ...options, without: [...options.without ?? [], "witnesses"] })

const runStack = <Services>(
  seed: number,
  stack: Stack.Stack<Services>,
  { trace, without: left = [] }: Pick<RunOptions, "trace" | "without">
): Report => {
  const options = without(draw(new Prng(seed)), left)
  const cluster = new SimCluster(seed, stack, options, trace)
  cluster.say(`options ${JSON.stringify(options)}`)
  for (const member of cluster.members) member.boot()
  const load = stack.load(cluster, options)
  const faults = new Faults(cluster, options)
  const failure = live(cluster, options, load, faults)
  const verdict = failure === undefined ? load.verdict() : { failure, proven: "nothing", picture: undefined }
  const { network, watch, world } = cluster
  return {
    ...verdict,
    seed,
    virtualMillis: world.now,
    steps: world.steps,
    acknowledged: load.acknowledged,
    outcomes: new Map([...load.outcomes, ...cluster.operator.changes]),
    faults: faults.hits,
    looks: watch.rules.looks,
    events: watch.events.counts,
    frames: { lost: network.framesLost, doubled: network.framesDoubled, overtaking: network.framesOvertaking },
    hash: world.hash
  }
}

/** From the first step to the last; what went wrong, if anything. */
const live = <Services>(
  cluster: SimCluster<Services>,
  options: Options,
  load: Load<Services>,
  faults: Faults<Services>
): string | undefined => {
  const { operator, watch, world } = cluster
  const healing = new Healing(cluster)

  const advance = (until: () => boolean): string | undefined => {
    while (!until()) {
      if (!world.step()) return "nothing is runnable, and no timer is set"
      cluster.look()
      healing.attend()
      if (watch.rules.violation !== undefined) return watch.rules.violation
    }
    return undefined
  }
  /** At most `recoverMillis` from a moment that may move. */
  const within = (since: () => number, isThere: () => boolean, complaint: () => string): string | undefined =>
    advance(() => isThere() || world.now - since() > recoverMillis) ??
      (isThere() ? undefined : `liveness: ${complaint()} within ${recoverMillis} ms`)

  /** What has to be true of a core that has served again. */
  const after = (): string | undefined => {
    const { serving } = healing
    operator.stop()
    let since = world.now
    const isIdle = () => healing.hasConverged && Aftermath.left(serving).length === 0
    const idle = within(
      () => since,
      isIdle,
      () => `there is always something left: ${Aftermath.left(serving).join("; ")}`
    )
    if (idle !== undefined) return idle
    let unanswered: ReadonlyArray<string> | undefined
    load.askEach(serving, (names) => unanswered = names)
    const asked = advance(() => unanswered !== undefined)
    if (asked !== undefined) return asked
    if (unanswered!.length > 0) return `liveness: nothing is broken, and ${unanswered!.join(" ")} did not serve`
    since = world.now
    const settled = within(
      () => since,
      () => healing.hasConverged,
      () => `the core does not converge: ${healing.describe()}`
    )
    if (settled !== undefined) return settled
    let areCompared = false
    Aftermath.compare(serving.filter(({ isRetired }) => !isRetired), watch.rules, () => areCompared = true)
    return within(() => since, () => areCompared, () => "a member does not say what it holds")
  }

  const during = advance(() => world.now >= options.millis)
  if (during !== undefined) return during
  faults.stop()
  operator.findOut()
  const endedAt = world.now
  const known = within(() => endedAt, () => !operator.isDamaged, () => "a damaged disk is not found out about")
  if (known !== undefined) return known
  healing.begin()
  load.probe(healing.serving)
  const recovered = within(
    () => healing.keptAt,
    () => load.probed && healing.hasConverged,
    () => `the healed core did not serve and converge: ${healing.describe()}`
  )
  if (recovered !== undefined) return recovered
  return after()
}
