/** A world, the members in it, the network between them, and whoever operates them: members join, leave, and come back under a new id when their disk was lost. */
import { Configuration, RaftNode } from "@dkv/raft"
import type { MemberId, Term } from "@dkv/raft"
import { Context, Effect, Exit, Option } from "effect"
import type { Options } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimClient } from "./SimClient.ts"
import type { SimDisk } from "./SimDisk.ts"
import { SimMember } from "./SimMember.ts"
import { SimNetwork } from "./SimNetwork.ts"
import { SimSockets } from "./SimSockets.ts"
import type { Stack } from "./Stack.ts"
import { name } from "./Names.ts"
import { Watch } from "./Watch.ts"
import type { Machine } from "./World.ts"
import { World } from "./World.ts"

export const idOf = (number: number): MemberId => number.toString(16).padStart(16, "0")

const memberOf = (number: number, witness: boolean): Configuration.Member => ({
  id: idOf(number),
  name: `m${number}`,
  peerAddress: `m${number}:2380`,
  clientAddress: `m${number}:3000`,
  autoPromote: true,
  witness,
  priority: 0
})

/** At most so many members at once, and this is how often an operator asks again. */
const membersMax = 7
const retryMillis = 500

/** After so long nothing comes any more of a change that was asked for. */
const changeMillis = 15_000

export class SimCluster<Services = never> {
  readonly world: World
  readonly network: SimNetwork
  readonly sockets: SimSockets
  readonly watch = new Watch()
  /** Those that have not left for good, running or not. */
  members: Array<SimMember<Services>> = []
  /** Those that the load asks through, if it has any. */
  clients: ReadonlyArray<SimClient> = []
  /** Gets whoever has just been seen to lead a term that is later than all before. */
  onLeader: (member: SimMember<Services>, term: Term) => void = () => {}
  /** Gets each joint configuration that a leader goes by. */
  onJoint: (configuration: Configuration.Configuration) => void = () => {}
  /** A disk is lost or damaged and not made up for yet; a second one must wait, or no quorum may have what was acknowledged. */
  isRebuilding = false
  /** Whose disk was damaged, as of which start. */
  private damaged: { readonly member: SimMember<Services>; readonly boots: number } | undefined
  private readonly stack: Stack<Services>
  private readonly options: Options
  private readonly prng: Prng
  private readonly trace: ((line: string) => void) | undefined
  private readonly roles = new Map<MemberId, string>()
  /** Steps of each machine when it was looked at last. */
  private readonly seen = new WeakMap<Machine, number>()
  private readonly restarting = new Set<MemberId>()
  private count = 0
  private termSeen: Term = 0
  private jointSeen: Configuration.Configuration | undefined
  private changesUnderWay = 0

  constructor(
    seed: number,
    stack: Stack<Services>,
    options: Options,
    trace: ((line: string) => void) | undefined
  ) {
    this.world = new World(seed, options)
    this.prng = this.world.prng.fork()
    this.stack = stack
    this.options = options
    this.trace = trace
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
    if (options.witnesses > 0) this.watch.witnessed("runs with witnesses")
  }

  say(line: string): void {
    this.trace?.(`${this.world.now.toFixed(3).padStart(10)} ${line}`)
  }

  /** Looks at every member; to be called after each step. */
  look(): void {
    if (this.damaged !== undefined) this.attend(this.damaged)
    for (const member of this.members) {
      const { machine } = member
      if (machine === undefined || this.seen.get(machine) === machine.steps) continue
      const seen = member.look()
      if (seen === undefined) continue
      const [status, gauges] = seen
      this.seen.set(machine, machine.steps)
      this.watch.status(member.id, status)
      this.watch.gauges(member.id, gauges)
      if (this.termSeen < this.watch.termLed && status.role === "Leader" && status.term === this.watch.termLed) {
        this.termSeen = status.term
        this.onLeader(member, status.term)
      }
      if (status.role === "Leader" && Configuration.isJoint(status.configuration)) this.begun(status.configuration)
      if (status.removed) this.retire(member)
      if (this.trace === undefined) continue
      const role = `${status.role} in term ${status.term}, ${describe(status.configuration)}`
      if (this.roles.get(member.id) === role) continue
      this.roles.set(member.id, role)
      this.say(`${name(member.id)} ${role}`)
    }
  }

  private begun(joint: Configuration.Configuration): void {
    if (joint === this.jointSeen) return
    this.jointSeen = joint
    this.onJoint(joint)
  }

  /** Starts again what has stopped by itself, after a while, as whoever supervises processes would. */
  restart(): void {
    for (const member of this.members) {
      if (member.stopped === undefined || this.restarting.has(member.id)) continue
      this.restarting.add(member.id)
      this.world.after(retryMillis, () => {
        this.restarting.delete(member.id)
        if (member.stopped === undefined) return
        member.kill()
        member.boot()
      })
    }
  }

  transfer(to: MemberId): void {
    this.ask((node) => Effect.ignore(node.transferLeadership(Option.some(to))), () => {})
  }

  /** A leader is asked to give leadership to whomever it likes. */
  handOver(leader: SimMember<Services>): void {
    const { machine, services } = leader
    if (services === undefined) return
    machine?.fork(Effect.ignore(Context.get(services, RaftNode.RaftNode).transferLeadership(Option.none())))
  }

  /** Somebody new comes, to be promoted by the leader or, now and then, by hand. */
  join(): void {
    if (this.isRebuilding || this.members.length >= membersMax) return
    const witness = this.options.witnesses > 0 && this.prng.chance(0.3)
    const member = this.add(Option.none(), witness)
    member.boot()
    const autoPromote = this.prng.chance(0.7)
    this.change({ _tag: "Join", member: { ...memberOf(this.count, witness), autoPromote }, replaces: Option.none() })
  }

  /** A learner that stands by becomes a voter. False if there is none. */
  promote(): boolean {
    const { configuration } = this.leading ?? {}
    const waiting =
      configuration?.members.filter(({ autoPromote, id }) =>
        !autoPromote && !Configuration.isVoter(configuration, id)
      ) ?? []
    if (this.isRebuilding || waiting.length === 0) return false
    this.change({ _tag: "Promote", id: this.prng.pick(waiting).id, force: this.prng.chance(0.3) })
    return true
  }

  /** Turns leases on or off, where the clocks allow it. */
  configure(leaderLeases: boolean): void {
    if (this.options.leaderLeases) this.change({ _tag: "Configure", settings: { leaderLeases } })
  }

  leave(id: MemberId): void {
    if (!this.isRebuilding) this.change({ _tag: "Leave", id, force: false })
  }

  /** Somebody new learns, and is promoted by nobody but `promote`. */
  standBy(): void {
    if (this.members.length >= membersMax) return
    this.add(Option.none(), false).boot()
    this.change({
      _tag: "Join",
      member: { ...memberOf(this.count, false), autoPromote: false },
      replaces: Option.none()
    })
  }

  /** Somebody new takes the place of a voter that lives. */
  swap(): void {
    const { configuration } = this.leading ?? {}
    if (configuration === undefined || configuration.members.length > configuration.voters.length) return
    // whoever was to come before, and did not, tries again
    const waiting = this.members.find(({ id }) => Configuration.find(configuration, id) === undefined)
    const member = waiting ?? this.add(Option.none(), false)
    member.boot()
    const replaces = Option.some(this.prng.pick(configuration.voters))
    this.change({ _tag: "Join", member: memberOf(Number.parseInt(member.id, 16), false), replaces })
  }

  /** The disk is gone, and a new member takes the place. False if the cluster cannot spare it now. */
  loseDisk(member: SimMember<Services>): boolean {
    if (!this.canSpareDiskOf(member)) return false
    this.isRebuilding = true
    this.replace(member)
    return true
  }

  /**
   * Something happens to the member's disk that it may or may not notice; false if not now. Until it does, or starts again without finding anything, the disk counts
   * as lost: so a quorum has a good copy of everything, as TigerBeetle's fault atlas arranges it.
   */
  damage(member: SimMember<Services>, strike: (disk: SimDisk) => boolean): boolean {
    const { disk, services } = member
    if (!this.canSpareDiskOf(member) || services === undefined || disk === undefined || !strike(disk)) return false
    this.isRebuilding = true
    this.damaged = { member, boots: member.boots }
    return true
  }

  /** Whoever may have damage is started again, which reads the whole log. */
  scrub(): void {
    const { damaged } = this
    if (damaged === undefined || damaged.member.boots > damaged.boots) return
    damaged.member.kill()
    damaged.member.boot()
  }

  /** Somebody's damage is still to be found. */
  get isDamaged(): boolean {
    return this.damaged !== undefined
  }

  /** Who leads, and runs. */
  get leader(): SimMember<Services> | undefined {
    return this.members.find((member) => {
      const status = member.status()
      return status?.role === "Leader" && status.term === this.watch.termLed
    })
  }

  /** What the leader says. */
  private get leading(): RaftNode.Status | undefined {
    return this.leader?.status()
  }

  /**
   * A disk less is what the cluster promises to survive, but for clusters with fewer than three voters, where an acknowledgement guarantees no other copy, and while
   * another change is under way that may need the one that goes.
   */
  private canSpareDiskOf(member: SimMember<Services>): boolean {
    const { configuration, copies = 0 } = this.leading ?? {}
    const isSettled = configuration !== undefined && !Configuration.isJoint(configuration) && this.changesUnderWay === 0
    return !this.isRebuilding && isSettled && configuration.voters.length >= 3 && (member.witness || copies >= 2)
  }

  private attend({ boots, member }: { readonly member: SimMember<Services>; readonly boots: number }): void {
    if (member.isDamaged || member.isLost) {
      this.damaged = undefined
      this.replace(member)
    } else if (member.isRetired || (member.boots > boots && member.services !== undefined)) {
      this.say(`${name(member.id)} finds no damage`)
      this.damaged = undefined
      this.isRebuilding = false
    }
  }

  /** What operators do: a new member takes the place of one that is gone for good. */
  private replace(member: SimMember<Services>): void {
    this.retire(member)
    this.watch.lost(member.id)
    const fresh = this.add(Option.none(), member.witness)
    const number = this.count
    fresh.boot()
    const isReplaced = () =>
      this.members.some((other) => {
        const status = other.status()
        return status?.role === "Leader" && status.configuration.voters.includes(fresh.id) &&
          Configuration.find(status.configuration, member.id) === undefined &&
          !Configuration.isJoint(status.configuration)
      })
    const attempt = (): void => {
      if (isReplaced()) {
        this.isRebuilding = false
        return
      }
      this.change({ _tag: "Join", member: memberOf(number, member.witness), replaces: Option.some(member.id) })
      this.world.after(retryMillis, attempt)
    }
    attempt()
  }

  /** The member is never started again. */
  retire(member: SimMember<Services>): void {
    this.say(`${name(member.id)} is gone for good`)
    member.kill()
    member.isRetired = true
    this.members = this.members.filter((other) => other !== member)
  }

  private add(founding: Option.Option<Configuration.Configuration>, witness: boolean): SimMember<Services> {
    const number = ++this.count
    const member = new SimMember(this.world, this.network, this.sockets, this.watch, this.stack, {
      ...this.options,
      id: idOf(number),
      witness,
      address: memberOf(number, witness).clientAddress,
      founding,
      clockRate: 1 + this.prng.between(-this.options.clockDrift, this.options.clockDrift),
      wallMillis: 1_700_000_000_000 + this.prng.between(-10_000, 10_000),
      onLog: (message) => this.say(`m${number} ${message}`)
    })
    this.members.push(member)
    return member
  }

  private change(wish: RaftNode.MembershipChange): void {
    const what = wish._tag === "Configure"
      ? JSON.stringify(wish.settings)
      : name("id" in wish ? wish.id : wish.member.id)
    this.changesUnderWay++
    this.world.after(changeMillis, () => this.changesUnderWay--)
    this.ask((node) => Effect.exit(node.changeMembership(wish)), (exit) => {
      const said = Exit.isSuccess(exit) ? "done" : String(Exit.isFailure(exit) ? exit.cause.reasons[0] : "")
      this.say(`${wish._tag} ${what}: ${said}`)
    })
  }

  /** Asks any member that runs. */
  private ask<A>(use: (node: RaftNode.RaftNode["Service"]) => Effect.Effect<A>, answered: (answer: A) => void): void {
    const member = this.prng.shuffled(this.members).find(({ machine, services }) =>
      machine?.isPaused === false && services !== undefined
    )
    if (member === undefined) return
    member.machine!.fork(use(Context.get(member.services!, RaftNode.RaftNode))).addObserver((exit) => {
      if (Exit.isSuccess(exit)) answered(exit.value)
    })
  }
}

const describe = ({ members, outgoing, voters }: Configuration.Configuration): string => {
  const names = (ids: ReadonlyArray<MemberId>) => ids.map(name).join(" ")
  const learners = members.map(({ id }) => id).filter((id) => !voters.includes(id) && !outgoing.includes(id))
  return `voters ${names(voters)}${outgoing.length === 0 ? "" : ` from ${names(outgoing)}`}${
    learners.length === 0 ? "" : `, learners ${names(learners)}`
  }`
}
