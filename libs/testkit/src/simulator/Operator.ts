/** Whoever operates a cluster: members join, leave, are replaced, and come back under a new id when their disk was lost or has gone bad. */
import { Configuration, Limits, RaftNode } from "@dkv/raft"
import type { MemberId, MembershipError } from "@dkv/raft"
import { Cause, Context, Exit, Option } from "effect"
import type { Effect } from "effect"
import * as Deadline from "./Deadline.ts"
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

/** A copy of what was forwarded, and answered, may come so much later; where there was no leader, it waits for one until its deadline. */
const echoMillis = (said: Answer) => 500 + (said === "NoLeader" ? 2 * Limits.callTimeoutMillis : 0)

/** Whoever answers looks at deadlines every now and then. */
const lateMillis = 200

/** `done`, or why not. */
type Answer = "done" | MembershipError["reason"] | "Defect"

export class Operator<Services> {
  private readonly cluster: SimCluster<Services>
  private readonly options: Options
  private readonly restarting = new Set<MemberId>()
  /** A disk is lost or damaged and not made up for yet; a second one must wait, or no quorum may have what was acknowledged. */
  private isRebuilding = false
  /** Whose disk was damaged, as of which start. */
  private damaged: { readonly member: SimMember<Services>; readonly boots: number } | undefined
  private isOver = false
  private readonly changesUnderWay = new Set<RaftNode.MembershipChange>()
  private readonly tally = new Map<string, number>()

  constructor(cluster: SimCluster<Services>, options: Options) {
    this.cluster = cluster
    this.options = options
  }

  /** Asks for nothing any more. */
  stop(): void {
    this.isOver = true
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

  /** What came of the changes that were asked for, and how often. */
  get changes(): ReadonlyMap<string, number> {
    return this.tally
  }

  /** This and the other changes: false if nothing was asked. */
  transfer(to: MemberId): boolean {
    return this.ask("Transfer", (node) => node.transferLeadership(Option.some(to)), (said) => {
      this.cluster.say(`Transfer ${name(to)}: ${said}`)
    })
  }

  /** A leader is asked to give leadership to whomever it likes. */
  handOver(leader: SimMember<Services>): void {
    this.askOf(leader, "Transfer", (node) => node.transferLeadership(Option.none()), () => {})
  }

  /** Somebody new comes, to be promoted by the leader or, now and then, by hand. */
  join(): boolean {
    if (this.isRebuilding || this.cluster.members.length >= membersMax) return false
    const witness = this.options.witnesses > 0 && this.cluster.prng.chance(0.3)
    const member = this.cluster.add(Option.none(), witness)
    member.boot()
    const autoPromote = this.cluster.prng.chance(0.7)
    return this.enroll(member, Option.none(), autoPromote)
  }

  /** A learner that stands by becomes a voter. False if there is none. */
  promote(): boolean {
    const { configuration } = this.leading ?? {}
    const waiting =
      configuration?.members.filter(({ autoPromote, id }) =>
        !autoPromote && !Configuration.isVoter(configuration, id)
      ) ?? []
    if (this.isRebuilding || waiting.length === 0) return false
    return this.change({
      _tag: "Promote",
      id: this.cluster.prng.pick(waiting).id,
      force: this.cluster.prng.chance(0.3)
    })
  }

  /** Turns leases on or off, where the clocks allow it. */
  configure(leaderLeases: boolean): boolean {
    return this.options.leaderLeases && this.change({ _tag: "Configure", settings: { leaderLeases } })
  }

  leave(id: MemberId): boolean {
    return !this.isRebuilding && this.change({ _tag: "Leave", id, force: false })
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
    const waiting = this.cluster.members.find(({ hasTakenPart }) => !hasTakenPart)
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
      if (this.isOver || isReplaced()) {
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

  private enroll(member: SimMember<Services>, replaces: Option.Option<MemberId>, autoPromote = true): boolean {
    return this.change({
      _tag: "Join",
      member: { ...memberOf(numberOf(member.id), member.witness), autoPromote },
      replaces
    })
  }

  private change(wish: RaftNode.MembershipChange): boolean {
    const { cluster: { world }, changesUnderWay } = this
    const what = wish._tag === "Configure"
      ? JSON.stringify(wish.settings)
      : name("id" in wish ? wish.id : wish.member.id)
    changesUnderWay.add(wish)
    const over = () => void changesUnderWay.delete(wish)
    const isAsked = this.ask(wish._tag, (node) => node.changeMembership(wish), (said) => {
      this.cluster.say(`${wish._tag} ${what}: ${said}`)
      if (isOver(wish, said)) world.after(echoMillis(said), over)
    })
    if (isAsked) world.after(changeMillis, over)
    else over()
    return isAsked
  }

  /** Asks any member that runs. False if there is none. */
  private ask<A>(what: string, use: Use<A>, answered: (said: Answer) => void): boolean {
    const member = this.cluster.prng.shuffled(this.cluster.members).find(({ machine, services }) =>
      machine?.isPaused === false && services !== undefined
    )
    return member !== undefined && this.askOf(member, what, use, answered)
  }

  /** Asks a member, counts what it says, and holds it to its deadline. */
  private askOf<A>(
    member: SimMember<Services>,
    what: string,
    use: Use<A>,
    answered: (said: Answer) => void
  ): boolean {
    const { watch: { rules }, world } = this.cluster
    const { machine, services } = member
    if (machine === undefined || services === undefined) return false
    const rule = "a change is answered by its deadline"
    // by the clock of the member, which may be slow
    const limitMillis = (Limits.callTimeoutMillis + lateMillis) / (1 - this.options.clockDrift)
    const endWatch = Deadline.watch(world, machine, limitMillis, () => {
      // who has stopped owes nothing
      if (!machine.isDead && member.services === services) {
        rules.check(rule, false, () => `${what} at ${name(member.id)}`)
      }
    })
    machine.fork(use(Context.get(services, RaftNode.RaftNode))).addObserver((exit) => {
      endWatch()
      rules.check(rule, true, () => "")
      const said = answerOf(exit)
      const counted = said === "done" ? "done" : said === "Unknown" ? "unknown" : `refused: ${said}`
      this.tally.set(`${what} ${counted}`, (this.tally.get(`${what} ${counted}`) ?? 0) + 1)
      answered(said)
    })
    return true
  }
}

type Use<A> = (node: RaftNode.RaftNode["Service"]) => Effect.Effect<A, MembershipError>

const answerOf = <A>(exit: Exit.Exit<A, MembershipError>): Answer =>
  Exit.isSuccess(exit) ? "done" : exit.cause.reasons.find(Cause.isFailReason)?.error.reason ?? "Defect"

/** Whether nothing can come of a change any more that was answered so. Who takes a place comes first; who had it goes later. */
const isOver = (wish: RaftNode.MembershipChange, said: Answer): boolean =>
  said === "done" ? wish._tag !== "Join" || Option.isNone(wish.replaces) : said !== "Unknown" && said !== "Defect"
