/** What breaks, when, and for how long. Each kind strikes on its own, again and again, with its drawn mean, until the run is over; turbulent ones follow on something else. */
import type { MemberId } from "@dkv/raft"
import * as ClientFaults from "./ClientFaults.ts"
import { name } from "./Names.ts"
import type { FaultKind, FollowUp, Options } from "./Options.ts"
import { faultKinds, isFollowUp } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import { pairs, Scene } from "./Scene.ts"
import type { SimCluster } from "./SimCluster.ts"
import { failures } from "./SimDisk.ts"
import type { SimDisk } from "./SimDisk.ts"
import type { SimMember } from "./SimMember.ts"
import * as Turbulence from "./Turbulence.ts"

/** How long a process lives that dies again and again, and is started again at once. */
const lifeMeanMillis = 200

/** A sync that takes longer than a run has left. */
const hangMillis = 60_000

/** After a power cut one machine is up so much later than another. */
const staggerMeanMillis = 200

export class Faults<Services> {
  private readonly scene: Scene<Services>

  constructor(cluster: SimCluster<Services>, options: Options) {
    this.scene = new Scene(cluster, options)
    for (const kind of faultKinds) {
      // a stream for each, so that leaving one out does not change the others
      const prng = cluster.world.prng.fork()
      if (isFollowUp(kind)) Turbulence.begin(this.scene, kind, prng, options.meanMillis[kind])
      else if (options.meanMillis[kind] !== Infinity) this.again(kind, prng, options.meanMillis[kind])
    }
  }

  /** How often each kind struck, and something came of it. */
  get hits(): ReadonlyMap<FaultKind, number> {
    return this.scene.hits
  }

  /** No more faults from now on; those that are there stay. */
  stop(): void {
    this.scene.isOver = true
  }

  private again(kind: Exclude<FaultKind, FollowUp>, prng: Prng, meanMillis: number): void {
    const { scene } = this
    scene.cluster.world.after(prng.exponential(meanMillis), () => {
      if (scene.isOver) return
      if (this.strike(kind, prng)) scene.hit(kind)
      this.again(kind, prng, meanMillis)
    })
  }

  /** In two, in three, or in two that only one member hears both of. */
  private partition(ids: ReadonlyArray<MemberId>, prng: Prng, later: (task: () => void) => void): boolean {
    const { scene } = this
    const sides = prng.shuffled(ids)
    const shape = ids.length < 3 ? "two" : prng.pick(["two", "two", "three", "bridge"] as const)
    if (shape === "two") {
      const size = prng.below(ids.length + 1)
      return scene.cutFor(pairs(sides.slice(0, size), sides.slice(size)), later)
    }
    const rest = shape === "three" ? sides : sides.slice(1)
    const first = 1 + prng.below(rest.length - (shape === "three" ? 2 : 1))
    const second = shape === "three" ? first + 1 + prng.below(rest.length - first - 1) : rest.length
    const [one, other, third] = [rest.slice(0, first), rest.slice(first, second), rest.slice(second)]
    const isCut = scene.cutFor([...pairs(one, other), ...pairs([...one, ...other], third)], later)
    if (isCut) scene.cluster.watch.events.add(shape === "three" ? "partitions in three" : "partitions with a bridge")
    return isCut
  }

  private startAgain(member: SimMember<Services>, prng: Prng): void {
    if (prng.chance(0.5)) member.crash()
    else member.kill()
    member.boot()
  }

  /** False if nothing came of it: whoever it struck was down, or alone. What lies in wait on a disk counts itself, once it strikes. */
  private strike(kind: Exclude<FaultKind, FollowUp>, prng: Prng): boolean {
    const { scene } = this
    const { cluster } = scene
    const { network, world } = cluster
    const member = prng.pick(cluster.members)
    // a load may have none
    const client = cluster.clients.length === 0 ? undefined : prng.pick(cluster.clients)
    const millis = prng.exponential(prng.pick([200, 2000, 5000]))
    const later = (task: () => void) => world.after(millis, () => scene.isOver || task())
    const hit = () => scene.hit(kind)
    const ids = cluster.members.map(({ id }) => id)
    const who = kind.endsWith("Client") ? client?.name ?? "nobody" : name(member.id)
    cluster.say(`fault ${kind} ${who} ${millis.toFixed(0)} ms`)
    switch (kind) {
      case "stop": {
        const { machine } = member
        const isPatient = prng.chance(0.5)
        const again = () => {
          // it may still be at it
          if (isPatient && machine !== undefined && member.machine === machine) return void later(again)
          member.kill()
          member.boot()
        }
        const isAsked = member.stop()
        later(again)
        return isAsked
      }
      case "crash":
      case "kill": {
        const isDown = kind === "crash" ? member.crash() : member.kill()
        later(() => member.boot())
        return isDown
      }
      case "blackout": {
        let isDark = false
        for (const each of cluster.members) {
          isDark = each.crash() || isDark
          const offMillis = millis + prng.exponential(staggerMeanMillis)
          world.after(offMillis, () => scene.isOver || each.boot())
        }
        return isDark
      }
      case "crashLoop": {
        const until = world.now + millis
        const { boots } = member
        const again = () => {
          if (scene.isOver || world.now > until) return
          member.kill()
          member.boot()
          world.after(prng.exponential(lifeMeanMillis), again)
        }
        // Meanwhile two others do not hear each other: somebody wants a vote from the one that starts again and again.
        const [one, other] = prng.shuffled(ids.filter((id) => id !== member.id))
        const isCut = one !== undefined && other !== undefined && scene.cutFor(pairs([one], [other]), later)
        again()
        return isCut || member.boots > boots
      }
      case "pause": {
        const isPaused = member.machine?.pause() === true && member.isUp
        later(() => member.machine?.resume())
        return isPaused
      }
      case "partition":
        return this.partition(ids, prng, later)
      case "isolate":
        return scene.cutFor(pairs([member.id], ids.filter((id) => id !== member.id)), later)
      case "oneWay": {
        const cuts = ids.flatMap((from) =>
          ids.filter((to) => to !== from && prng.chance(0.25)).map((to) => [from, to] as const)
        )
        return scene.cutFor(cuts, later)
      }
      case "clog": {
        const clogged = ids.filter((to) => to !== member.id && prng.chance(0.5))
        for (const to of clogged) network.clog(member.id, to, millis)
        return clogged.length > 0
      }
      case "swizzle": {
        const order = prng.shuffled(ids)
        const others = (id: MemberId) => pairs([id], ids.filter((other) => other !== id))
        for (const [position, id] of order.entries()) {
          world.after(position * 300, () => {
            if (!scene.isOver) { for (const [from, to] of others(id)) network.cut(from, to) }
          })
        }
        for (const [position, id] of prng.shuffled(order).entries()) {
          world.after((ids.length + position) * 300 + millis, () => {
            if (!scene.isOver) { for (const [from, to] of others(id)) network.heal(from, to) }
          })
        }
        return ids.length > 1
      }
      case "slowDisk": {
        if (member.disk === undefined) return false
        const slowMillis = prng.pick([20, 200, 5000, hangMillis])
        member.disk.slow(slowMillis, world.now, () => {
          hit()
          if (slowMillis === hangMillis) cluster.watch.events.add("disks that hung")
        })
        later(() => member.speedUpDisk())
        return false
      }
      case "failSync":
      case "failDisk":
        if (member.disk === undefined) return false
        member.disk.fail(kind === "failSync" ? "sync" : prng.pick(failures), hit)
        later(() => this.startAgain(member, prng))
        return false
      case "slowState":
        if (member.storage === undefined) return false
        member.storage.slow(prng.pick([20, 200, 2000]), world.now, hit)
        later(() => member.storage?.speedUp())
        return false
      case "failState":
        if (member.storage === undefined) return false
        member.storage.fail(prng.pick(["write", "flush"]), hit)
        later(() => {
          member.storage?.heal()
          this.startAgain(member, prng)
        })
        return false
      case "wallJump":
        member.machine?.jump(prng.between(-3_600_000, 3_600_000))
        return member.isUp
      case "transfer":
        return cluster.operator.transfer(member.id)
      case "join":
        return cluster.operator.join()
      case "leave":
        return cluster.operator.leave(member.id)
      case "configure":
        return cluster.operator.configure(prng.chance(0.7))
      case "lostDisk":
        return cluster.operator.loseDisk(member)
      case "fullDisk": {
        const { disk } = member
        if (disk === undefined) return false
        disk.fill(prng.pick([0, prng.below(500)]), hit)
        later(() => {
          disk.free()
          if (member.stopped === undefined) return
          member.kill()
          member.boot()
        })
        return false
      }
      case "promote":
        return cluster.operator.promote()
      case "rot":
      case "misdirect": {
        const leader = prng.chance(0.5) ? cluster.leader : undefined
        const damage = (disk: SimDisk) => kind === "rot" ? disk.rot(prng) : disk.misdirect(prng, hit)
        if (!cluster.operator.damage(leader ?? member, damage)) return false
        // somebody new is told what stands in its log
        if (leader !== undefined) cluster.operator.standBy()
        later(() => cluster.operator.scrub())
        return kind === "rot"
      }
      default:
        return client !== undefined && ClientFaults.strike(cluster, client, kind, prng, millis, later)
    }
  }
}
