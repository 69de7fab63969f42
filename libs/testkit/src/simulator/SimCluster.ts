/** A world, the members in it, the network between them, and whoever operates them. */
import { Configuration } from "@dkv/raft"
import type { MemberId, RaftNode, Term } from "@dkv/raft"
import { Option } from "effect"
import { idOf, memberOf, name } from "./Names.ts"
import { Operator } from "./Operator.ts"
import { hasLittleRoom, type Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimClient } from "./SimClient.ts"
import { SimMember } from "./SimMember.ts"
import { SimNetwork } from "./SimNetwork.ts"
import { SimSockets } from "./SimSockets.ts"
import type { Stack } from "./Stack.ts"
import { Watch } from "./Watch.ts"
import type { Machine } from "./World.ts"
import { World } from "./World.ts"

/** How long a member that was removed goes on. */
const removalMeanMillis = 1000

export class SimCluster<Services = never> {
  readonly world: World
  readonly network: SimNetwork
  readonly sockets: SimSockets
  readonly watch = new Watch()
  readonly operator: Operator<Services>
  readonly prng: Prng
  /** Those that have not left for good, running or not. */
  members: Array<SimMember<Services>> = []
  /** Those that the load asks through, if it has any. */
  clients: ReadonlyArray<SimClient> = []
  /** Gets whoever has just been seen to lead a term that is later than all before. */
  onLeader: (member: SimMember<Services>, term: Term) => void = () => {}
  /** Gets each joint configuration that a leader goes by. */
  onJoint: (configuration: Configuration.Configuration, leader: MemberId) => void = () => {}
  private readonly stack: Stack<Services>
  private readonly options: Options
  private readonly trace: ((line: string) => void) | undefined
  private readonly removed = new WeakSet<SimMember<Services>>()
  private readonly roles = new Map<MemberId, string>()
  /** Steps of each machine when it was looked at last. */
  private readonly seen = new WeakMap<Machine, number>()
  private count = 0
  private termSeen: Term = 0
  /** The term led when all leases were looked at last. */
  private termLooked: Term = 0
  private jointSeen: Configuration.Configuration | undefined

  constructor(
    seed: number,
    stack: Stack<Services>,
    options: Options,
    trace: ((line: string) => void) | undefined
  ) {
    this.world = new World(seed, options)
    this.prng = this.world.prng.fork()
    this.operator = new Operator(this, options)
    this.stack = stack
    this.options = options
    this.trace = trace
    if (trace !== undefined) this.watch.trace = (line) => this.say(line)
    this.network = new SimNetwork(this.world, options.network)
    this.sockets = new SimSockets(this.world, options.sockets)
    const numbers = Array.from({ length: options.members }, (_, position) => position + 1)
    const isWitness = (number: number) => number > options.members - options.witnesses
    const founding: Configuration.Configuration = {
      ...Configuration.empty,
      members: numbers.map((number) => ({
        ...memberOf(number, isWitness(number)),
        priority: options.priorities ? this.prng.pick([0, 0, 1]) : 0
      })),
      voters: numbers.map(idOf),
      settings: {
        leaderLeases: options.leaderLeases,
        deadMembers: options.deadMembers,
        deadMemberMillis: 10 * options.electionTimeoutMillis
      }
    }
    for (const number of numbers) this.add(Option.some(founding), isWitness(number))
    const { events } = this.watch
    if (options.witnesses > 0) events.add("runs with witnesses")
    if (hasLittleRoom(options.capacity)) events.add("runs with little room")
    if (options.leaderLeases) events.add("runs with leader leases")
    if (options.priorities) events.add("runs with priorities")
    if (options.deadMembers === "replace") events.add("runs in which dead members are replaced")
    if (options.shuffle) events.add("runs with fibers in random order")
    if (options.clockDrift > 0) events.add("runs with clocks that drift")
  }

  say(line: string): void {
    this.trace?.(`${this.world.now.toFixed(3).padStart(10)} ${line}`)
  }

  /** Looks at every member; to be called after each step. */
  look(): void {
    this.operator.attend()
    for (const member of this.members) {
      const { machine } = member
      if (machine === undefined || this.seen.get(machine) === machine.steps) continue
      const status = member.status()
      if (status === undefined) continue
      this.seen.set(machine, machine.steps)
      this.watch.status(member.id, status)
      this.watch.gauges(member.id, member.gauges())
      if (this.termSeen < this.watch.termLed && status.role === "Leader" && status.term === this.watch.termLed) {
        this.termSeen = status.term
        this.onLeader(member, status.term)
      }
      if (status.role === "Leader" && Configuration.isJoint(status.configuration)) this.begun(status)
      if (status.removed && !goesBy(status, member.id)) this.retireSoon(member)
      if (this.trace === undefined) continue
      const role = `${status.role} in term ${status.term}, ${describe(status.configuration)}`
      if (this.roles.get(member.id) === role) continue
      this.roles.set(member.id, role)
      this.say(`${name(member.id)} ${role}`)
    }
    this.lookAtLeases()
  }

  /** Once somebody new leads: whoever has a lease may have it by the clock alone, and have done nothing since. */
  private lookAtLeases(): void {
    const { termLed } = this.watch
    if (this.termLooked === termLed) return
    this.termLooked = termLed
    for (const member of this.members) {
      const status = member.status()
      if (status !== undefined) this.watch.lease(member.id, status)
    }
  }

  private begun({ configuration, id }: RaftNode.Status): void {
    if (configuration === this.jointSeen) return
    this.jointSeen = configuration
    this.onJoint(configuration, id)
  }

  /** Who leads, and runs. */
  get leader(): SimMember<Services> | undefined {
    return this.members.find((member) => {
      const status = member.status()
      return status?.role === "Leader" && status.term === this.watch.termLed
    })
  }

  /** Who was removed goes on until it notices (`removalCheckMillis` of `@dkv/member`). */
  private retireSoon(member: SimMember<Services>): void {
    if (this.removed.has(member)) return
    this.removed.add(member)
    this.say(`${name(member.id)} was removed`)
    this.world.after(this.prng.exponential(removalMeanMillis), () => {
      if (member.isRetired) return
      // whoever asked for it before may have it taken in again, and who leads then may be down; later it is looked at anew
      if (this.members.some((other) => goesBy(other.status(), member.id))) this.removed.delete(member)
      else this.retire(member)
    })
  }

  /** The member is never started again. */
  retire(member: SimMember<Services>): void {
    this.say(`${name(member.id)} is gone for good`)
    member.kill()
    member.isRetired = true
    this.members = this.members.filter((other) => other !== member)
  }

  /** One more member, that does not run yet. */
  add(founding: Option.Option<Configuration.Configuration>, witness: boolean): SimMember<Services> {
    const number = ++this.count
    const member = new SimMember(this.world, this.network, this.sockets, this.watch, this.stack, {
      ...this.options,
      id: idOf(number),
      witness,
      address: memberOf(number, witness).clientAddress,
      founding,
      clockRate: 1 + this.drift(),
      wallMillis: 1_700_000_000_000 + this.prng.between(-10_000, 10_000),
      onLog: (message) => this.say(`m${number} ${message}`)
    })
    this.members.push(member)
    return member
  }

  /** Of one clock in two as much as may be: that is what leases are closest to failing at. */
  private drift(): number {
    const { options: { clockDrift }, prng } = this
    return prng.chance(0.5) ? prng.pick([-clockDrift, clockDrift]) : prng.between(-clockDrift, clockDrift)
  }
}

/** Whether a member takes `id` for one of the cluster. */
const goesBy = (status: RaftNode.Status | undefined, id: MemberId): boolean =>
  status !== undefined && Configuration.find(status.configuration, id) !== undefined

const describe = ({ members, outgoing, voters }: Configuration.Configuration): string => {
  const names = (ids: ReadonlyArray<MemberId>) => ids.map(name).join(" ")
  const learners = members.map(({ id }) => id).filter((id) => !voters.includes(id) && !outgoing.includes(id))
  return `voters ${names(voters)}${outgoing.length === 0 ? "" : ` from ${names(outgoing)}`}${
    learners.length === 0 ? "" : `, learners ${names(learners)}`
  }`
}
