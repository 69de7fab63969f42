/**
 * One run of the simulator: a cluster with everything drawn from a seed, clients that read and write while faults strike, rules looked at after each step, and at
 * the end a healed core that has to serve again with everything that was acknowledged.
 */
import { Configuration } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import * as Core from "./Core.ts"
import { Faults } from "./Faults.ts"
import type { Load } from "./Load.ts"
import type { FaultKind, Options, Part } from "./Options.ts"
import { draw, without } from "./Options.ts"
import { Prng } from "./Prng.ts"
import { SimCluster } from "./SimCluster.ts"
import type { SimMember } from "./SimMember.ts"
import * as Stack from "./Stack.ts"
import { name } from "./Names.ts"

export interface Report {
  readonly seed: number
  /** What was wrong; absent if nothing was. */
  readonly failure: string | undefined
  readonly virtualMillis: number
  readonly steps: number
  readonly acknowledged: number
  readonly outcomes: ReadonlyMap<string, number>
  /** How far the history was proven to be linearizable. */
  readonly proven: string
  readonly picture: string | undefined
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly frames: { readonly lost: number; readonly doubled: number; readonly overtaking: number }
  readonly looks: ReadonlyMap<string, number>
  /** How often witnesses took part, and in what. */
  readonly witnesses: ReadonlyMap<string, number>
  /** Depends on everything that happened. */
  readonly hash: number
}

/** Time that a healed core may take to serve again. */
const recoverMillis = 60_000

/** Time for everyone to come up before the core is chosen. */
const settleMillis = 500

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
    outcomes: load.outcomes,
    faults: faults.hits,
    looks: watch.rules.looks,
    witnesses: watch.witnessing,
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
  const { watch, world } = cluster
  let isHealed = false

  const advance = (until: () => boolean): string | undefined => {
    while (!until()) {
      if (!world.step()) return "nothing is runnable, and no timer is set"
      cluster.look()
      if (isHealed) cluster.operator.restart()
      if (watch.rules.violation !== undefined) return watch.rules.violation
    }
    return undefined
  }

  const during = advance(() => world.now >= options.millis)
  if (during !== undefined) return during
  faults.stop()
  isHealed = true
  heal(cluster)
  const upAt = world.now
  const isUp = () => !cluster.operator.isDamaged && cluster.members.every((member) => member.status() !== undefined)
  const starting = advance(() => world.now - upAt > (isUp() ? settleMillis : recoverMillis))
  if (starting !== undefined) return starting
  if (!isUp()) return `liveness: members do not come up: ${describe(cluster, cluster.members.map(({ id }) => id))}`
  const core = keepCore(cluster)
  load.probe(serving(cluster, core))
  const keptAt = world.now
  const isServing = () => load.probed && hasConverged(cluster, core)
  const recovering = advance(() => isServing() || world.now - keptAt > recoverMillis)
  if (recovering !== undefined || isServing()) return recovering
  return `liveness: the healed core did not serve and converge within ${recoverMillis} ms: ${describe(cluster, core)}`
}

const heal = <Services>(cluster: SimCluster<Services>): void => {
  const { clients, members, network, sockets } = cluster
  network.calm()
  network.healAll()
  sockets.healAll()
  for (const client of clients) client.resume()
  cluster.operator.scrub()
  for (const member of members) {
    member.machine?.resume()
    member.healDisk()
  }
}

/** Leaves just enough members together, and the rest dead or cut off. */
const keepCore = <Services>(cluster: SimCluster<Services>): ReadonlyArray<MemberId> => {
  const { members, network, operator, world } = cluster
  const configurations = members.flatMap((member) => member.status()?.configuration ?? [])
  const known = members.map(({ id }) => id).filter((id) =>
    configurations.some((configuration) => Configuration.find(configuration, id) !== undefined)
  )
  const possible = configurations.flatMap((each) => Core.successors(each, operator.leaving))
  const core = Core.choose(world.prng, known, possible, neededOf(cluster, configurations))
  cluster.say(`the core is ${core.map(name).join(" ")}`)
  for (const member of members) {
    if (core.includes(member.id)) continue
    if (world.prng.chance(0.5)) cluster.retire(member)
    else {
      for (const { id } of members) {
        network.cut(id, member.id)
        network.cut(member.id, id)
      }
    }
  }
  return core
}

/** Where witnesses vote: a voter with data whose log nobody's is ahead of, that of a witness included, since each of its entries was on such a voter's disk first. */
const neededOf = <Services>(
  { members, watch }: SimCluster<Services>,
  configurations: ReadonlyArray<Configuration.Configuration>
): MemberId | undefined => {
  const haveWitnesses = configurations.some((configuration) =>
    Configuration.voterIds(configuration).some((id) => Configuration.isWitness(configuration, id))
  )
  if (!haveWitnesses) return undefined
  const full = members.filter((member) => {
    const status = member.status()
    return !member.witness && status !== undefined && Configuration.isVoter(status.configuration, member.id)
  })
  return full.map(({ id }) => id).reduce<MemberId | undefined>(
    (best, id) => best === undefined || watch.disks.isAhead(id, best) ? id : best,
    undefined
  )
}

/** Those of the core who still take part, as far as anybody knows: who left without hearing of it serves nobody, and its clients have to go elsewhere. */
const serving = <Services>(
  cluster: SimCluster<Services>,
  core: ReadonlyArray<MemberId>
): ReadonlyArray<SimMember<Services>> => {
  const members = cluster.members.filter(({ id }) => core.includes(id))
  const newest = members.flatMap((member) => member.status() ?? []).sort((a, b) => b.commitIndex - a.commitIndex)[0]
  const present = members.filter(({ id }) => newest !== undefined && Configuration.find(newest.configuration, id))
  return present.length === 0 ? members : present
}

const hasConverged = <Services>(cluster: SimCluster<Services>, core: ReadonlyArray<MemberId>): boolean => {
  const statuses = cluster.members.flatMap((member) => core.includes(member.id) ? member.status() ?? [] : [])
  const leader = statuses.find(({ role }) => role === "Leader")
  if (leader === undefined || Configuration.isJoint(leader.configuration)) return false
  return statuses.every(({ appliedIndex, commitIndex, id }) =>
    Configuration.find(leader.configuration, id) === undefined ||
    (appliedIndex === leader.appliedIndex && commitIndex === leader.commitIndex)
  )
}

const describe = <Services>(cluster: SimCluster<Services>, core: ReadonlyArray<MemberId>): string =>
  cluster.members.filter(({ id }) => core.includes(id)).map((member) => {
    const status = member.status()
    return status === undefined
      ? `${name(member.id)} ${member.stopped ?? "is down"}`
      : `${
        name(member.id)
      } ${status.role} term ${status.term} commit ${status.commitIndex} applied ${status.appliedIndex}`
  }).join("; ")
