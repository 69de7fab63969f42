/**
 * How a run ends: a random core of members heals and has to serve again, from wherever the faults have left it. The rest stays as broken as it is, dead or cut off.
 *
 * The core has to be enough for the configuration that counts, that of its member whose log nobody's is ahead of: it can be elected, and all others follow. When another one
 * counts later, since a change was on its way that needs somebody outside, who was taken for alive, the core grows by as many as it takes.
 *
 * Source: TigerBeetle's `vopr.zig`, liveness mode.
 */
import { Configuration } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import * as Core from "./Core.ts"
import { name } from "./Names.ts"
import type { SimCluster } from "./SimCluster.ts"
import type { SimMember } from "./SimMember.ts"

/** How often it is looked at whether the core is still enough. */
const lookMillis = 100

export class Healing<Services> {
  core: Array<SimMember<Services>> = []
  /** When the core was completed last. */
  keptAt = 0
  private readonly cluster: SimCluster<Services>

  constructor(cluster: SimCluster<Services>) {
    this.cluster = cluster
  }

  /** Chooses the core and heals it. */
  begin(): void {
    const { clients, members, network, sockets, world } = this.cluster
    network.calm()
    network.healAll()
    sockets.healAll()
    for (const client of clients) client.resume()
    this.core = [...this.choose()]
    this.keptAt = world.now
    this.cluster.say(`the core is ${this.core.map(({ id }) => name(id)).join(" ")}`)
    for (const member of members) if (!this.core.includes(member)) this.leaveOut(member)
    for (const member of this.core) heal(member)
    this.growLater()
  }

  /** Starts those again that have stopped. */
  attend(): void {
    this.cluster.operator.restart(this.core)
  }

  /** Those who still take part, as far as anybody knows: who left without hearing of it serves nobody, and its clients have to go elsewhere. */
  get serving(): ReadonlyArray<SimMember<Services>> {
    const newest = this.core.flatMap((member) => member.status() ?? []).sort((a, b) => b.commitIndex - a.commitIndex)[0]
    const present = this.core.filter(({ id }) =>
      newest !== undefined && Configuration.find(newest.configuration, id) !== undefined
    )
    return present.length === 0 ? this.core : present
  }

  /** The core has a leader, no change is under way, nobody is on the way down, and whoever takes part has applied everything. */
  get hasConverged(): boolean {
    const members = this.core.filter(({ isRetired }) => !isRetired)
    // asked before the faults ended, it takes leave of its clients for a while yet
    if (members.some(({ isEnding }) => isEnding)) return false
    const leader = members.map((member) => member.status()).find((status) => status?.role === "Leader")
    if (leader === undefined || Configuration.isJoint(leader.configuration)) return false
    // the last step of a change may be on its way, and who leaves takes itself for a member until it knows of it
    if (leader.lastIndex !== leader.commitIndex) return false
    if (members.some(({ id }) => awaitsPromotion(leader.configuration, id))) return false
    return members.every((member) => {
      if (Configuration.find(leader.configuration, member.id) === undefined) return true
      const status = member.status()
      return status?.appliedIndex === leader.appliedIndex && status.commitIndex === leader.commitIndex
    })
  }

  describe(): string {
    return this.core.map((member) => {
      const status = member.status()
      return status === undefined
        ? `${name(member.id)} ${member.stopped ?? "is down"}`
        : `${
          name(member.id)
        } ${status.role} term ${status.term} commit ${status.commitIndex} applied ${status.appliedIndex}`
    }).join("; ")
  }

  private choose(): ReadonlyArray<SimMember<Services>> {
    const { members, world } = this.cluster
    const first = this.newest(members)
    if (first?.configuration === undefined) return members
    const { configuration } = first
    const available = members.map(({ id }) => id).filter((id) => Configuration.find(configuration, id) !== undefined)
    const haveWitnesses = Configuration.voterIds(configuration).some((id) => Configuration.isWitness(configuration, id))
    const core = Core.choose(world.prng, available, configuration, haveWitnesses ? first.id : undefined)
    return members.filter(({ id }) => core.includes(id))
  }

  /** Whose disk nobody's is ahead of, of those with data that can be elected. A witness has no entry that was not on such a disk first. */
  private newest(members: ReadonlyArray<SimMember<Services>>): SimMember<Services> | undefined {
    const { disks } = this.cluster.watch
    return members.filter(({ configuration, id, witness }) =>
      !witness && configuration !== undefined && !Configuration.isLearner(configuration, id)
    ).reduce<SimMember<Services> | undefined>(
      (best, member) => best === undefined || disks.isAhead(member.id, best.id) ? member : best,
      undefined
    )
  }

  private leaveOut(member: SimMember<Services>): void {
    const { members, network, world } = this.cluster
    if (world.prng.chance(0.5)) {
      this.cluster.say(`${name(member.id)} stays dead`)
      member.kill()
    }
    for (const { id } of members) {
      network.cut(id, member.id)
      network.cut(member.id, id)
    }
  }

  private growLater(): void {
    const { world } = this.cluster
    world.after(lookMillis, () => {
      this.grow()
      this.growLater()
    })
  }

  private grow(): void {
    const { members, network, world } = this.cluster
    const configuration = this.newest(this.core)?.configuration
    // whoever still starts may be the newest
    if (configuration === undefined || this.core.some((member) => member.status() === undefined)) return
    const core = new Set(this.core.map(({ id }) => id))
    const outside = members.filter(({ id }) => !core.has(id) && Configuration.isVoter(configuration, id))
    for (const member of world.prng.shuffled(outside)) {
      if (Core.isEnough(configuration, core)) return
      this.cluster.say(`the core grows by ${name(member.id)}`)
      for (const id of core) {
        network.heal(id, member.id)
        network.heal(member.id, id)
      }
      core.add(member.id)
      this.core.push(member)
      this.keptAt = world.now
      heal(member)
    }
  }
}

/** The leader promotes it as soon as it has caught up; whom it replaces, perhaps the leader itself, then goes. */
const awaitsPromotion = (configuration: Configuration.Configuration, id: MemberId): boolean =>
  Configuration.isLearner(configuration, id) && Configuration.find(configuration, id)!.autoPromote

const heal = <Services>(member: SimMember<Services>): void => {
  member.machine?.resume()
  member.healDisk()
}
