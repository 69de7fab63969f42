/** Whoever operates a cluster: members join, leave, are replaced, and come back under a new id when their disk was lost or has gone bad. */
import { Configuration, RaftNode } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import { Context, Effect, Exit, Option } from "effect"
import { memberOf, name, numberOf } from "./Names.ts"
import type { Options } from "./Options.ts"
import type { SimCluster } from "./SimCluster.ts"
import type { SimDisk } from "./SimDisk.ts"
import type { SimMember } from "./SimMember.ts"

/** At most so many members at once, and this is how often an operator asks again. */
const membersMax = 7
const retryMillis = 500

/** After so long nothing comes any more of a change that was asked for. */
const changeMillis = 15_000

export class Operator<Services> {
  private readonly cluster: SimCluster<Services>
  private readonly options: Options
  private readonly restarting = new Set<MemberId>()
  /** A disk is lost or damaged and not made up for yet; a second one must wait, or no quorum may have what was acknowledged. */
  private isRebuilding = false
  /** Whose disk was damaged, as of which start. */
  private damaged: { readonly member: SimMember<Services>; readonly boots: number } | undefined
  private isRetired = false
  private readonly changesUnderWay = new Set<RaftNode.MembershipChange>()

  constructor(cluster: SimCluster<Services>, options: Options) {
    this.cluster = cluster
    this.options = options
  }

  /** Asks for nothing any more. */
  retire(): void {
    this.isRetired = true
  }

  /** Starts again what has stopped by itself, after a while, as whoever supervises processes would. */
  restart(members: ReadonlyArray<SimMember<Services>>): void {
    for (const member of members) {
      if (member.stopped === undefined || this.restarting.has(member.id)) continue
      this.restarting.add(member.id)
      this.cluster.world.after(retryMillis, () => {
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
    if (this.isRebuilding || this.cluster.members.length >= membersMax) return
    const witness = this.options.witnesses > 0 && this.cluster.prng.chance(0.3)
    const member = this.cluster.add(Option.none(), witness)
    member.boot()
    const autoPromote = this.cluster.prng.chance(0.7)
    this.enroll(member, Option.none(), autoPromote)
  }

  /** A learner that stands by becomes a voter. False if there is none. */
  promote(): boolean {
    const { configuration } = this.leading ?? {}
    const waiting =
      configuration?.members.filter(({ autoPromote, id }) =>
        !autoPromote && !Configuration.isVoter(configuration, id)
      ) ?? []
    if (this.isRebuilding || waiting.length === 0) return false
    this.change({ _tag: "Promote", id: this.cluster.prng.pick(waiting).id, force: this.cluster.prng.chance(0.3) })
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
    if (this.cluster.members.length >= membersMax) return
    const member = this.cluster.add(Option.none(), false)
    member.boot()
    this.enroll(member, Option.none(), false)
  }

  /** Somebody new takes the place of a voter that lives. */
  swap(): void {
    const { configuration } = this.leading ?? {}
    if (configuration === undefined || configuration.members.length > configuration.voters.length) return
    // whoever was to come before, and did not, tries again
    const waiting = this.cluster.members.find(({ id }) => Configuration.find(configuration, id) === undefined)
    const member = waiting ?? this.cluster.add(Option.none(), false)
    member.boot()
    this.enroll(member, Option.some(this.cluster.prng.pick(configuration.voters)))
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

  /** Whoever may have damage is started again, however its disk was hindered. */
  findOut(): void {
    this.damaged?.member.kill()
    this.damaged?.member.healDisk()
  }

  /** Somebody's damage is still to be found. */
  get isDamaged(): boolean {
    return this.damaged !== undefined
  }

  /**
   * A disk less is what the cluster promises to survive, but for clusters with fewer than three voters, where an acknowledgement guarantees no other copy, and while
   * another change is under way that may need the one that goes.
   */
  private canSpareDiskOf(member: SimMember<Services>): boolean {
    const { configuration, copies = 0 } = this.leading ?? {}
    const isSettled = configuration !== undefined && !Configuration.isJoint(configuration) &&
      this.changesUnderWay.size === 0
    return !this.isRebuilding && isSettled && configuration.voters.length >= 3 && (member.witness || copies >= 2)
  }

  /** Looks after whoever was damaged; to be called after each step. */
  attend(): void {
    if (this.damaged === undefined) return
    const { boots, member } = this.damaged
    if (member.isDamaged || member.isLost) {
      this.damaged = undefined
      this.replace(member)
    } else if (member.isRetired || (member.boots > boots && member.services !== undefined)) {
      this.cluster.say(`${name(member.id)} finds no damage`)
      this.damaged = undefined
      this.isRebuilding = false
    }
  }

  /** What operators do: a new member takes the place of one that is gone for good. */
  private replace(member: SimMember<Services>): void {
    this.cluster.retire(member)
    this.cluster.watch.lost(member.id)
    const fresh = this.cluster.add(Option.none(), member.witness)
    fresh.boot()
    const isReplaced = () =>
      this.cluster.members.some((other) => {
        const status = other.status()
        return status?.role === "Leader" && status.configuration.voters.includes(fresh.id) &&
          Configuration.find(status.configuration, member.id) === undefined &&
          !Configuration.isJoint(status.configuration)
      })
    const attempt = (): void => {
      if (this.isRetired || isReplaced()) {
        this.isRebuilding = false
        return
      }
      this.enroll(fresh, Option.some(member.id))
      this.cluster.world.after(retryMillis, attempt)
    }
    attempt()
  }

  /** What the leader says. */
  private get leading(): RaftNode.Status | undefined {
    return this.cluster.leader?.status()
  }

  private enroll(member: SimMember<Services>, replaces: Option.Option<MemberId>, autoPromote = true): void {
    this.change({ _tag: "Join", member: { ...memberOf(numberOf(member.id), member.witness), autoPromote }, replaces })
  }

  private change(wish: RaftNode.MembershipChange): void {
    const what = wish._tag === "Configure"
      ? JSON.stringify(wish.settings)
      : name("id" in wish ? wish.id : wish.member.id)
    this.changesUnderWay.add(wish)
    this.cluster.world.after(changeMillis, () => this.changesUnderWay.delete(wish))
    this.ask((node) => Effect.exit(node.changeMembership(wish)), (exit) => {
      const said = Exit.isSuccess(exit) ? "done" : String(Exit.isFailure(exit) ? exit.cause.reasons[0] : "")
      this.cluster.say(`${wish._tag} ${what}: ${said}`)
    })
  }

  /** Asks any member that runs. */
  private ask<A>(use: (node: RaftNode.RaftNode["Service"]) => Effect.Effect<A>, answered: (answer: A) => void): void {
    const member = this.cluster.prng.shuffled(this.cluster.members).find(({ machine, services }) =>
      machine?.isPaused === false && services !== undefined
    )
    if (member === undefined) return
    member.machine!.fork(use(Context.get(member.services!, RaftNode.RaftNode))).addObserver((exit) => {
      if (Exit.isSuccess(exit)) answered(exit.value)
    })
  }
}
