/** What breaks, when, and for how long. Each kind strikes on its own, again and again, with its drawn mean, until the run is over. */
import type { MemberId, Term } from "@dkv/raft"
import * as ClientFaults from "./ClientFaults.ts"
import type { FaultKind, FollowUp, Options } from "./Options.ts"
import { faultKinds, isFollowUp } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimCluster } from "./SimCluster.ts"
import type { SimMember } from "./SimMember.ts"
import { name } from "./Names.ts"

/** How long a process lives that dies again and again, and is started again at once. */
const lifeMeanMillis = 200

/** Mean time between two replacements of voters, where they come one after the other. */
const swapMillis = 1000

/**
 * Where leaders fall: mean time that one is left in peace now and then, or hears nothing, the time after which it is tried again with one who has kept its place, and
 * the time after which whoever fell comes back at the latest.
 */
const restMillis = 1000
const deafMillis = 300
const againMillis = 1000
const backMillis = 2000

export class Faults<Services> {
  readonly hits = new Map<FaultKind, number>()
  private readonly cluster: SimCluster<Services>
  private isOver = false

  constructor(cluster: SimCluster<Services>, options: Options) {
    this.cluster = cluster
    for (const kind of faultKinds) {
      // a stream for each, so that leaving one out does not change the others
      const prng = cluster.world.prng.fork()
      if (kind === "reform") this.splitHalves(prng, options.meanMillis[kind])
      else if (isFollowUp(kind)) this.unseatLeaders(kind, prng, options.meanMillis[kind])
      else if (options.meanMillis[kind] !== Infinity) this.again(kind, prng, options.meanMillis[kind])
    }
  }

  /** No more faults from now on; those that are there stay. */
  stop(): void {
    this.isOver = true
  }

  private again(kind: Exclude<FaultKind, FollowUp>, prng: Prng, meanMillis: number): void {
    this.cluster.world.after(prng.exponential(meanMillis), () => {
      if (this.isOver) return
      if (this.strike(kind, prng) !== false) this.hit(kind)
      this.again(kind, prng, meanMillis)
    })
  }

  /** Leaders fall soon after their election, and those that fell before come back in an order of their own: never more than a minority is gone. */
  private unseatLeaders(kind: Exclude<FollowUp, "reform">, prng: Prng, meanMillis: number): void {
    if (meanMillis === Infinity) return
    const { cluster } = this
    const fallen: Array<() => void> = []
    const unseat = (leader: SimMember<Services>, term: Term): void => {
      if (this.isOver || cluster.watch.termLed !== term) return
      this.hit(kind)
      cluster.say(`fault ${kind} ${name(leader.id)}`)
      const most = Math.floor((cluster.members.length - 1) / 2)
      while (fallen.length >= most) fallen.splice(prng.below(fallen.length), 1)[0]!()
      fallen.push(this.end(kind, leader, prng))
      // it may have kept its place
      cluster.world.after(againMillis, () => unseat(leader, term))
    }
    cluster.onLeader = (leader, term) => {
      // now and then long enough to get something done
      const millis = prng.exponential(prng.chance(0.1) ? restMillis : meanMillis)
      cluster.world.after(millis, () => unseat(leader, term))
    }
    if (kind === "revote") this.restartVoters(prng)
  }

  /** Ends a leadership. How the leader comes back. */
  private end(kind: Exclude<FollowUp, "reform">, leader: SimMember<Services>, prng: Prng): () => void {
    switch (kind) {
      case "topple":
        return this.topple(leader, prng)
      case "freeze":
        return this.freeze(leader, prng)
      case "revote":
        if (prng.chance(0.5)) this.restart([leader], prng)
        else this.forsake(leader, prng)
        return () => {}
    }
  }

  /**
   * One member does not hear the leader any more, and misses nothing, as nobody writes. Later nobody hears it; at that moment all others start again, and know of no
   * leader.
   */
  private forsake(leader: SimMember<Services>, prng: Prng): void {
    const { clients, members, world } = this.cluster
    const [deaf, ...others] = prng.shuffled(members.filter((member) => member !== leader))
    if (deaf === undefined) return
    const later = (heal: () => void) => world.after(backMillis, heal)
    for (const client of clients) client.pause()
    this.cutFor(pairs([leader.id], [deaf.id]), later)
    world.after(prng.exponential(deafMillis) + deafMillis, () => {
      for (const client of clients) client.resume()
      if (this.isOver) return
      this.cutFor(pairs([leader.id], others.map(({ id }) => id)), later)
      this.restart(others, prng)
    })
  }

  /** Some candidates are heard by one voter only, who starts again as soon as it has voted: the others elect somebody in the same term, and ask it for the same vote. */
  private restartVoters(prng: Prng): void {
    const { cluster } = this
    const { watch } = cluster
    const asked = new Map<MemberId, MemberId>()
    const othersOf = (...these: ReadonlyArray<MemberId>) =>
      cluster.members.map(({ id }) => id).filter((id) => !these.includes(id))
    watch.onStand = (candidate) => {
      if (this.isOver || prng.chance(0.5)) return
      const [voter, ...deaf] = prng.shuffled(othersOf(candidate))
      if (voter === undefined) return
      asked.set(voter, candidate)
      this.cutFor(pairs([candidate], deaf), (heal) => cluster.world.after(prng.exponential(backMillis), heal))
    }
    watch.onVote = (from, to) => {
      if (this.isOver || asked.get(from) !== to) return
      asked.delete(from)
      cluster.say(`${name(from)} starts again`)
      this.cutFor(pairs([to], [from]), (heal) => cluster.world.after(prng.exponential(backMillis), heal))
      // not while it is at it
      cluster.world.after(0, () => this.isOver || this.restart(cluster.members.filter(({ id }) => id === from), prng))
    }
  }

  private restart(members: ReadonlyArray<SimMember<Services>>, prng: Prng): void {
    for (const member of members) {
      if (member.machine === undefined) continue
      if (prng.chance(0.5)) member.crash()
      else member.kill()
      member.boot()
    }
  }

  /** Voters are replaced one by one; soon after a joint configuration has begun, those that come and those that go are cut apart, each with half of the others. */
  private splitHalves(prng: Prng, meanMillis: number): void {
    if (meanMillis === Infinity) return
    const { cluster } = this
    const { world } = cluster
    const swap = (): void => {
      if (this.isOver) return
      cluster.swap()
      world.after(prng.exponential(swapMillis), swap)
    }
    world.after(prng.exponential(swapMillis), swap)
    cluster.onJoint = ({ outgoing, voters }) => {
      if (this.isOver || prng.chance(0.3)) return
      this.hit("reform")
      const staying = prng.shuffled(voters.filter((id) => outgoing.includes(id)))
      const half = Math.floor(staying.length / 2)
      const coming = [...voters.filter((id) => !outgoing.includes(id)), ...staying.slice(0, half)]
      const going = [...outgoing.filter((id) => !voters.includes(id)), ...staying.slice(half)]
      world.after(prng.exponential(meanMillis), () => {
        if (this.isOver) return
        cluster.say(`fault reform ${coming.map(name).join(" ")} from ${going.map(name).join(" ")}`)
        this.cutFor(pairs(coming, going), (heal) => world.after(prng.exponential(backMillis), heal))
      })
    }
  }

  /** Cuts the leader off or stops it. How it comes back. */
  private topple(leader: SimMember<Services>, prng: Prng): () => void {
    if (prng.chance(0.6)) {
      const { members, network } = this.cluster
      const cuts = pairs([leader.id], members.map(({ id }) => id).filter((id) => id !== leader.id))
      for (const [from, to] of cuts) network.cut(from, to)
      return this.backInTime(() => {
        for (const [from, to] of cuts) network.heal(from, to)
      })
    }
    if (prng.chance(0.5)) leader.crash()
    else leader.kill()
    return this.backInTime(() => leader.boot())
  }

  /** Leaves the leader in the belief that it leads: it stands still, or gives leadership away and hears only what was on its way before. How it comes back. */
  private freeze(leader: SimMember<Services>, prng: Prng): () => void {
    const { members, network } = this.cluster
    if (prng.chance(0.5)) {
      leader.machine?.pause()
      return this.backInTime(() => leader.machine?.resume())
    }
    for (const { id } of members) if (id !== leader.id) network.clog(id, leader.id, prng.exponential(deafMillis))
    this.cluster.handOver(leader)
    return () => {}
  }

  /** Once, at the latest after a while. */
  private backInTime(back: () => void): () => void {
    let isDone = false
    const giveBack = () => {
      if (!isDone && !this.isOver) back()
      isDone = true
    }
    this.cluster.world.after(backMillis, giveBack)
    return giveBack
  }

  private hit(kind: FaultKind): void {
    this.hits.set(kind, (this.hits.get(kind) ?? 0) + 1)
  }

  /** False if nothing came of it. */
  private strike(kind: Exclude<FaultKind, FollowUp>, prng: Prng): boolean | void {
    const { cluster } = this
    const { network, world } = cluster
    const member = prng.pick(cluster.members)
    // a load may have none
    const client = cluster.clients.length === 0 ? undefined : prng.pick(cluster.clients)
    const millis = prng.exponential(prng.pick([200, 2000, 5000]))
    const later = (task: () => void) => world.after(millis, () => this.isOver || task())
    const ids = cluster.members.map(({ id }) => id)
    const who = kind.endsWith("Client") ? client?.name ?? "nobody" : name(member.id)
    cluster.say(`fault ${kind} ${who} ${millis.toFixed(0)} ms`)
    switch (kind) {
      case "stop":
        member.stop()
        later(() => {
          // it may still be at it
          member.kill()
          member.boot()
        })
        return
      case "crash":
      case "kill":
        if (kind === "crash") member.crash()
        else member.kill()
        later(() => member.boot())
        return
      case "crashLoop": {
        const until = world.now + millis
        const again = () => {
          if (this.isOver || world.now > until) return
          member.kill()
          member.boot()
          world.after(prng.exponential(lifeMeanMillis), again)
        }
        // Meanwhile two others do not hear each other: somebody wants a vote from the one that starts again and again.
        const [one, other] = prng.shuffled(ids.filter((id) => id !== member.id))
        if (one !== undefined && other !== undefined) this.cutFor(pairs([one], [other]), later)
        return again()
      }
      case "pause":
        member.machine?.pause()
        later(() => member.machine?.resume())
        return
      case "partition": {
        const sides = prng.shuffled(ids)
        const size = prng.below(ids.length + 1)
        this.cutFor(pairs(sides.slice(0, size), sides.slice(size)), later)
        return
      }
      case "isolate":
        this.cutFor(pairs([member.id], ids.filter((id) => id !== member.id)), later)
        return
      case "oneWay": {
        const cuts = ids.flatMap((from) =>
          ids.filter((to) => to !== from && prng.chance(0.25)).map((to) => [from, to] as const)
        )
        this.cutFor(cuts, later)
        return
      }
      case "clog":
        for (const to of ids) if (to !== member.id && prng.chance(0.5)) network.clog(member.id, to, millis)
        return
      case "swizzle": {
        const order = prng.shuffled(ids)
        const others = (id: MemberId) => pairs([id], ids.filter((other) => other !== id))
        for (const [position, id] of order.entries()) {
          world.after(position * 300, () => {
            if (!this.isOver) { for (const [from, to] of others(id)) network.cut(from, to) }
          })
        }
        for (const [position, id] of prng.shuffled(order).entries()) {
          world.after((ids.length + position) * 300 + millis, () => {
            if (!this.isOver) { for (const [from, to] of others(id)) network.heal(from, to) }
          })
        }
        return
      }
      case "slowDisk":
        if (member.disk === undefined) return false
        member.disk.slow(prng.pick([20, 200, 5000, 60_000]))
        later(() => member.speedUpDisk())
        return
      case "failSync":
        if (member.disk === undefined) return false
        member.disk.failSync()
        later(() => {
          if (prng.chance(0.5)) member.crash()
          else member.kill()
          member.boot()
        })
        return
      case "wallJump":
        member.machine?.jump(prng.between(-3_600_000, 3_600_000))
        return
      case "transfer":
        cluster.transfer(member.id)
        return
      case "join":
        cluster.join()
        return
      case "leave":
        cluster.leave(member.id)
        return
      case "configure":
        cluster.configure(prng.chance(0.7))
        return
      case "lostDisk":
        return cluster.loseDisk(member)
      case "fullDisk": {
        const { disk } = member
        if (disk === undefined) return false
        disk.fill()
        later(() => {
          disk.free()
          if (member.stopped === undefined) return
          member.kill()
          member.boot()
        })
        return
      }
      case "promote":
        return cluster.promote()
      case "rot":
      case "misdirect":
        if (!cluster.damage(member, (disk) => kind === "rot" ? disk.rot(prng) : disk.misdirect(prng))) return false
        later(() => cluster.scrub())
        return
      default:
        if (client === undefined) return false
        ClientFaults.strike(cluster, client, kind, prng, millis, later)
    }
  }

  private cutFor(cuts: ReadonlyArray<readonly [MemberId, MemberId]>, later: (task: () => void) => void): void {
    for (const [from, to] of cuts) this.cluster.network.cut(from, to)
    later(() => {
      // by then other cuts may have taken their place
      if (this.isOver) return
      for (const [from, to] of cuts) this.cluster.network.heal(from, to)
    })
  }
}

/** Both directions between every member of one side and every member of the other. */
const pairs = (one: ReadonlyArray<MemberId>, other: ReadonlyArray<MemberId>) =>
  one.flatMap((a) => other.flatMap((b) => [[a, b] as const, [b, a] as const]))
