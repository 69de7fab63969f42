/**
 * Clusters in which a link is cut for good, in both directions or in one, keep their leader or get another one, and serve. That is not so everywhere: see Cloudflare's
 * "A Byzantine failure in the real world" (2020) and Howard and Abraham, "Raft does not guarantee liveness in the face of network faults" (2020).
 *
 * Members differ in nothing but their ids. So of three members, each leads in turn; of five, one leads, and every cut there is stands for those that a change of names
 * makes of it.
 */
import { Kv } from "@dkv/kv"
import { assert, describe, it } from "@effect/vitest"
import { Context, Exit } from "effect"
import { Ask, Names, Options, Prng, SimCluster, Stack } from "../src/simulator/index.ts"

const electionTimeoutMillis = 300

/** Noticing a broken link takes 3 s here, and then some elections may fail. */
const boundMillis = 3000 + 20 * electionTimeoutMillis

type Cut = readonly [from: number, to: number]
type Cluster = SimCluster.SimCluster<Kv.Kv>

const start = (members: number): Cluster => {
  const options = Options.without(Options.draw(new Prng.Prng(1)), Options.parts)
  const cluster = new SimCluster.SimCluster(
    members,
    Stack.kv,
    {
      ...options,
      members,
      electionTimeoutMillis,
      heartbeatMillis: electionTimeoutMillis / 10,
      // with a priority, or by a policy, leadership or membership would move by itself
      priorities: false,
      deadMembers: "off"
    },
    undefined
  )
  for (const member of cluster.members) member.boot()
  return cluster
}

const advance = (cluster: Cluster, millis: number, what: string, until: () => boolean): void => {
  const end = cluster.world.now + millis
  while (!until()) {
    assert.isTrue(cluster.world.step() && cluster.world.now < end, `${what} within ${millis} ms`)
    cluster.look()
    assert.isUndefined(cluster.watch.rules.violation)
  }
}

/** Whoever leads the latest term. */
const leaderOf = (cluster: Cluster) =>
  cluster.members.find((member) => {
    const status = member.status()
    return status?.role === "Leader" && status.term === cluster.watch.termLed
  })

/** Some leader takes a write and answers. */
const serve = (cluster: Cluster): void => {
  const prng = new Prng.Prng(1)
  const write = { _tag: "Put", key: Uint8Array.of(107), value: Uint8Array.of(118) } as const
  let isServed = false
  let isAsking = false
  advance(cluster, boundMillis, "a write is answered", () => {
    const leader = leaderOf(cluster)
    if (!isAsking && leader !== undefined) {
      isAsking = true
      Ask.ask(
        cluster.world,
        prng,
        leader,
        (services) => Context.get(services, Kv.Kv).write([write], { timeoutMillis: electionTimeoutMillis }),
        (exit) => {
          isAsking = false
          isServed = exit !== undefined && Exit.isSuccess(exit)
        }
      )
    }
    return isServed
  })
}

/** Cuts the links of a cluster in which `leader` leads and everybody has what was written. Whether it led on all the time. */
const survives = (members: number, leader: number, cuts: ReadonlyArray<Cut>): boolean => {
  const cluster = start(members)
  const { world } = cluster
  const id = Names.idOf(leader)
  serve(cluster)
  let askedAt = -Infinity
  advance(cluster, 60_000, `m${leader} leads`, () => {
    if (leaderOf(cluster)?.id === id) return true
    if (world.now - askedAt < 1000) return false
    askedAt = world.now
    cluster.operator.transfer(id)
    return false
  })
  serve(cluster)
  const { termLed } = cluster.watch
  for (const [from, to] of cuts) cluster.network.cut(Names.idOf(from), Names.idOf(to))
  // at any time within the bound, and from then on
  const until = world.now + boundMillis
  advance(cluster, boundMillis + 1000, "time passes", () => world.now >= until)
  serve(cluster)
  const settled = cluster.watch.termLed
  advance(cluster, boundMillis + 1000, "time passes", () => world.now >= until + boundMillis)
  serve(cluster)
  assert.strictEqual(cluster.watch.termLed, settled, "nobody disturbs whoever leads then")
  return settled === termLed
}

const numbers = (members: number) => Array.from({ length: members }, (_, position) => position + 1)

const both = (a: number, b: number): ReadonlyArray<Cut> => [[a, b], [b, a]]

for (const [members, leaders] of [[3, [1, 2, 3]], [5, [3]]] as const) {
  describe(`of ${members} members`, () => {
    for (const leader of leaders) {
      const cutsOf = (from: number) => numbers(members).filter((to) => to !== from).map((to) => [from, to] as const)

      it(`the leader m${leader} goes on whatever link is cut`, () => {
        for (const [from, to] of numbers(members).flatMap(cutsOf)) {
          if (from < to) assert.isTrue(survives(members, leader, both(from, to)), `m${from} and m${to}`)
        }
      }, 120_000)

      it(`the leader m${leader} goes on whatever direction of a link is cut`, () => {
        for (const [from, to] of numbers(members).flatMap(cutsOf)) {
          assert.isTrue(survives(members, leader, [[from, to]]), `m${from} to m${to}`)
        }
      }, 120_000)
    }
  })
}

describe("of five members of whom only one reaches the others", () => {
  const star = numbers(5).flatMap((a) =>
    numbers(5).filter((b) => a < b && a !== 2 && b !== 2).flatMap((b) => both(a, b))
  )

  it("it leads on if it does", () => {
    assert.isTrue(survives(5, 2, star))
  })

  it("it leads before long if somebody else did", () => {
    assert.isFalse(survives(5, 4, star))
  })
})
