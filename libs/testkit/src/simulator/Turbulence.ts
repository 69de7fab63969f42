/**
 * What strikes after something else, in the regimes that `Options` calls turbulent: leaders that fall after their election, or are left in the belief that they lead, voters
 * that start again after their vote, and cuts between the halves of a joint configuration.
 */
import type { MemberId, Term } from "@dkv/raft"
import { name } from "./Names.ts"
import type { FollowUp } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import { pairs } from "./Scene.ts"
import type { Scene } from "./Scene.ts"
import type { SimMember } from "./SimMember.ts"

/** Mean time between two replacements of voters, where they come one after the other. */
const swapMillis = 1000

/** How far behind a leader falls, and how long it takes to fall behind by half of that time. */
const lagMillis = 1000
const lagStepMillis = 20

/** Mean time between the ends of two clogs that end together. */
const clogMillis = 20

/**
 * Where leaders fall: mean time that one is left in peace now and then, or hears nothing; the time after which whoever fell comes back at the latest; and the time after
 * which it is tried again with one who has kept its place.
 */
const restMillis = 1000
const deafMillis = 300
const backMillis = 2000
const againMillis = { topple: 1000, freeze: 3000, revote: 5000 }

/** Where one member alone hears the last that a leader writes: for how long, and how slow its disk is at most. An election takes less. */
const lastWordsMillis = 120
const breathMillis = 500
const slowestMillis = 1200

/** Begins a regime. Without a mean there is none. */
export const begin = <Services>(scene: Scene<Services>, kind: FollowUp, prng: Prng, meanMillis: number): void => {
  if (meanMillis === Infinity) return
  if (kind === "reform") return splitHalves(scene, prng, meanMillis)
  if (kind === "seesaw") return tilt(scene, prng, meanMillis)
  unseatLeaders(scene, kind, prng, meanMillis)
  if (kind === "revote") restartVoters(scene, prng)
  if (kind === "freeze") clogDeposed(scene, prng)
}

type Unseating = Exclude<FollowUp, "reform" | "seesaw">

/** Leaders fall soon after their election, and those that fell before come back in an order of their own: never more than a minority is gone. */
const unseatLeaders = <Services>(scene: Scene<Services>, kind: Unseating, prng: Prng, meanMillis: number): void => {
  const { cluster } = scene
  const fallen: Array<() => void> = []
  const unseat = (leader: SimMember<Services>, term: Term): void => {
    if (scene.isOver || cluster.watch.termLed !== term) return
    if (leader.isUp) scene.hit(kind)
    cluster.say(`fault ${kind} ${name(leader.id)}`)
    const most = Math.floor((cluster.members.length - 1) / 2)
    while (fallen.length >= most) fallen.splice(prng.below(fallen.length), 1)[0]!()
    fallen.push(end(scene, kind, leader, prng))
    // it may have kept its place
    cluster.world.after(againMillis[kind], () => unseat(leader, term))
  }
  cluster.onLeader = (leader, term) => {
    // now and then long enough to get something done
    const millis = prng.exponential(prng.chance(0.1) ? restMillis : meanMillis)
    cluster.world.after(millis, () => unseat(leader, term))
  }
}

/** Ends a leadership. How the leader comes back. */
const end = <Services>(
  scene: Scene<Services>,
  kind: Unseating,
  leader: SimMember<Services>,
  prng: Prng
): () => void => {
  switch (kind) {
    case "topple":
      return topple(scene, leader, prng)
    case "freeze":
      return freeze(scene, leader, prng)
    case "revote":
      if (prng.chance(0.5)) scene.restart([leader], prng)
      else forsake(scene, leader, prng)
      return () => {}
  }
}

/** Cuts the leader off or stops it. How it comes back. */
const topple = <Services>(scene: Scene<Services>, leader: SimMember<Services>, prng: Prng): () => void => {
  if (prng.chance(0.6)) {
    const { members, network } = scene.cluster
    const cuts = pairs([leader.id], members.map(({ id }) => id).filter((id) => id !== leader.id))
    for (const [from, to] of cuts) network.cut(from, to)
    return backInTime(scene, () => {
      for (const [from, to] of cuts) network.heal(from, to)
    })
  }
  if (prng.chance(0.5)) leader.crash()
  else leader.kill()
  return backInTime(scene, () => leader.boot())
}

/**
 * Leaves the leader in the belief that it leads: it stands still, or gives leadership away and hears nobody (`clogDeposed`), or hears what was said long ago. How it comes
 * back.
 */
const freeze = <Services>(scene: Scene<Services>, leader: SimMember<Services>, prng: Prng): () => void => {
  const roll = prng.next()
  if (roll < 0.3) {
    leader.machine?.pause()
    return backInTime(scene, () => leader.machine?.resume())
  }
  if (roll < 0.6) scene.cluster.operator.handOver(leader)
  else lagBehind(scene, leader.id)
  return () => {}
}

/** What a leader hears becomes older and older, without a gap in which it would miss somebody; then nobody hears it any more, and it goes on hearing that they do. */
const lagBehind = <Services>(scene: Scene<Services>, leader: MemberId): void => {
  const { members, network, world } = scene.cluster
  const others = members.map(({ id }) => id).filter((id) => id !== leader)
  const grow = (millis: number): void => {
    if (scene.isOver) return
    for (const id of others) network.lag(id, leader, millis)
    if (millis < lagMillis) return void world.after(lagStepMillis, () => grow(millis + lagStepMillis / 2))
    scene.cutFor(others.map((id) => [leader, id] as const), (heal) => world.after(backMillis, heal))
    world.after(backMillis, () => {
      if (scene.isOver) return
      for (const id of others) network.lag(id, leader, 0)
    })
  }
  grow(0)
}

/** A leader that has asked somebody to take over hears nobody for a while, and then first what was said before: it does not know whether that has happened. */
const clogDeposed = <Services>(scene: Scene<Services>, prng: Prng): void => {
  const { members, network, watch } = scene.cluster
  watch.onHandOver = (leader) => {
    if (scene.isOver) return
    const millis = deafMillis + prng.exponential(deafMillis)
    for (const { id } of members) if (id !== leader) network.clog(id, leader, millis + prng.exponential(clogMillis))
  }
}

/**
 * One member does not hear the leader any more, and misses nothing, as nobody writes. Later nobody hears it; at that moment all others start again, and know of no
 * leader.
 */
const forsake = <Services>(scene: Scene<Services>, leader: SimMember<Services>, prng: Prng): void => {
  const { clients, members, world } = scene.cluster
  const [deaf, ...others] = prng.shuffled(members.filter((member) => member !== leader))
  if (deaf === undefined) return
  const aloneMillis = prng.exponential(scene.electionTimeoutMillis) + scene.electionTimeoutMillis
  for (const client of clients) client.pause()
  scene.cutFor(pairs([leader.id], [deaf.id]), (heal) => world.after(aloneMillis + backMillis, heal))
  world.after(aloneMillis, () => {
    for (const client of clients) client.resume()
    if (scene.isOver) return
    scene.cutFor(pairs([leader.id], others.map(({ id }) => id)), (heal) => world.after(backMillis, heal))
    scene.restart(others, prng)
  })
}

/** Some candidates are heard by one voter only, who starts again as soon as it has voted: the others elect somebody in the same term, and ask it for the same vote. */
const restartVoters = <Services>(scene: Scene<Services>, prng: Prng): void => {
  const { cluster } = scene
  const { watch } = cluster
  const asked = new Map<MemberId, MemberId>()
  watch.onStand = (candidate) => {
    if (scene.isOver || prng.chance(0.5)) return
    const [voter, ...deaf] = prng.shuffled(cluster.members.map(({ id }) => id).filter((id) => id !== candidate))
    if (voter === undefined) return
    asked.set(voter, candidate)
    scene.cutFor(pairs([candidate], deaf), (heal) => cluster.world.after(prng.exponential(backMillis), heal))
  }
  watch.onVote = (from, to) => {
    if (scene.isOver || asked.get(from) !== to) return
    asked.delete(from)
    cluster.say(`${name(from)} starts again`)
    scene.cutFor(pairs([to], [from]), (heal) => cluster.world.after(prng.exponential(backMillis), heal))
    // not while it is at it
    cluster.world.after(0, () => scene.isOver || scene.restart(cluster.members.filter(({ id }) => id === from), prng))
  }
}

/** Voters are replaced one by one; soon after a joint configuration has begun, those that come and those that go are cut apart, each with half of the others. */
const splitHalves = <Services>(scene: Scene<Services>, prng: Prng, meanMillis: number): void => {
  const { cluster } = scene
  const { world } = cluster
  const swap = (): void => {
    if (scene.isOver) return
    cluster.operator.swap()
    world.after(prng.exponential(swapMillis), swap)
  }
  world.after(prng.exponential(swapMillis), swap)
  cluster.onJoint = ({ outgoing, voters }, leader) => {
    if (scene.isOver || prng.chance(0.3)) return
    const staying = prng.shuffled(voters.filter((id) => outgoing.includes(id)))
    // those that come may know of it alone
    if (prng.chance(0.7)) staying.sort((one, other) => Number(other === leader) - Number(one === leader))
    const half = Math.floor(staying.length / 2)
    const coming = [...voters.filter((id) => !outgoing.includes(id)), ...staying.slice(0, half)]
    const going = [...outgoing.filter((id) => !voters.includes(id)), ...staying.slice(half)]
    world.after(prng.exponential(meanMillis), () => {
      if (scene.isOver) return
      cluster.say(`fault reform ${coming.map(name).join(" ")} from ${going.map(name).join(" ")}`)
      const isCut = scene.cutFor(pairs(coming, going), (heal) => world.after(prng.exponential(backMillis), heal))
      if (isCut) scene.hit("reform")
      // both sides have to elect somebody
      if (prng.chance(0.7)) scene.restart(cluster.members.filter(({ id }) => id === leader), prng)
    })
  }
}

/**
 * What a leader writes reaches one other member only, often the one that led before it; then both are cut off, and the others elect the next one. As a rule, every third
 * leader reaches everybody before it goes: so an entry that was replaced where it was proposed may be committed all the same. Now and then the last that a leader writes
 * reaches a member with a slow disk, which hears candidates, and the next leader later: what is replaced there is on its way to the disk still, with the later term.
 */
const tilt = <Services>(scene: Scene<Services>, prng: Prng, meanMillis: number): void => {
  const { cluster } = scene
  const { network, watch, world } = cluster
  let cuts: Array<readonly [MemberId, MemberId]> = []
  let slow: SimMember<Services> | undefined
  let turn = 0
  let last: MemberId | undefined
  const cut = (more: ReadonlyArray<readonly [MemberId, MemberId]>) => {
    for (const [from, to] of more) network.cut(from, to)
    cuts.push(...more)
  }
  watch.onStand = (candidate) => {
    const deaf = slow?.id
    if (scene.isOver || deaf === undefined) return
    // behind the request for its vote
    world.after(1, () => network.clog(candidate, deaf, prng.between(0, slowestMillis)))
  }
  cluster.onLeader = ({ id: leader }, term) => {
    if (scene.isOver) return
    for (const [from, to] of cuts) network.heal(from, to)
    cuts = []
    const before = slow
    slow = undefined
    world.after(slowestMillis, () => before?.disk?.speedUp())
    const others = cluster.members.map(({ id }) => id).filter((id) => id !== leader)
    const ear = last !== undefined && last !== leader && prng.chance(0.7) ? last : prng.pick(others)
    const rest = others.filter((id) => id !== ear)
    const isSlow = prng.chance(0.3)
    const isHeard = isSlow || prng.chance(turn++ % 3 === 2 ? 0.8 : 0.2)
    if (!isHeard) cut(pairs([leader, ear], rest))
    last = leader
    const fall = () => {
      if (!scene.isOver && watch.termLed === term) cut(pairs([leader], others))
    }
    world.after(prng.exponential(isHeard ? restMillis : meanMillis), () => {
      if (scene.isOver || watch.termLed !== term) return
      scene.hit("seesaw")
      cluster.say(`fault seesaw ${name(leader)} ${name(ear)}`)
      if (!isSlow) return fall()
      // whoever waits a while has something to say at the same time
      for (const client of cluster.clients) client.pause()
      world.after(breathMillis, () => {
        for (const client of cluster.clients) client.resume()
        if (scene.isOver || watch.termLed !== term) return
        cut(pairs([leader], rest))
        slow = cluster.members.find(({ id }) => id === ear)
        slow?.disk?.slow(prng.between(slowestMillis / 4, slowestMillis), world.now)
        world.after(prng.between(lastWordsMillis / 3, lastWordsMillis), fall)
      })
    })
  }
}

/** Once, at the latest after a while. */
const backInTime = <Services>(scene: Scene<Services>, back: () => void): () => void => {
  let isDone = false
  const giveBack = () => {
    if (!isDone && !scene.isOver) back()
    isDone = true
  }
  scene.cluster.world.after(backMillis, giveBack)
  return giveBack
}
