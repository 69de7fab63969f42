/** A leader with a lease whose process stops, as under SIGSTOP, and goes on while somebody else leads: real actors, on a clock that goes on meanwhile. */
import { Command } from "@dkv/kv"
import type { Kv } from "@dkv/kv"
import { RaftNode } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Context, Exit } from "effect"
import { Options, Prng, SimCluster, Stack } from "../src/simulator/index.ts"
import type { SimMember } from "../src/simulator/index.ts"

const calm = (seed: number): Options.Options => ({
  ...Options.without(Options.draw(new Prng.Prng(seed)), Options.faultKinds),
  members: 3,
  witnesses: 0,
  electionTimeoutMillis: 1000,
  heartbeatMillis: 100,
  leaderLeases: true,
  clockDrift: 0.05
})

const nodeOf = ({ services }: SimMember.SimMember<Kv.Kv>) => Context.get(services!, RaftNode.RaftNode)

const start = (seed: number) => {
  const cluster = new SimCluster.SimCluster(seed, Stack.kv, calm(seed), undefined)
  for (const member of cluster.members) member.boot()
  const { world } = cluster
  /** Until something is so; whatever rule is broken meanwhile fails the test. */
  const until = (what: string, holds: () => boolean): void => {
    const deadline = world.now + 30_000
    while (!holds()) {
      assert.isTrue(world.step() && world.now < deadline, `seed ${seed}: ${what}`)
      cluster.look()
      assert.isUndefined(cluster.watch.rules.violation, `seed ${seed}`)
    }
  }
  const leader = (): SimMember.SimMember<Kv.Kv> | undefined =>
    cluster.members.find((each) => each.status()?.role === "Leader")
  const put = (member: SimMember.SimMember<Kv.Kv>) => {
    let done = false
    const command = Command.encode({ _tag: "Put", key: Uint8Array.of(1), value: Uint8Array.of(2) })
    const write = nodeOf(member).propose([command], { timeoutMillis: 5000 })
    member.machine!.fork(write).addObserver(() => {
      done = true
    })
    until("a write", () => done)
  }
  return { cluster, leader, put, until, world }
}

describe("a leader with a lease that is stopped and goes on", () => {
  it("reads nothing older than what another leader has committed meanwhile, whatever it finds to do first", () => {
    let reads = 0
    for (let seed = 1; seed <= 30; seed++) {
      const { cluster, leader, put, until, world } = start(seed)
      until("a leader with a lease", () => leader()?.status()?.hasLease === true)
      const first = leader()!
      put(first)
      // In the middle of a round: the answers to it are what it finds when it wakes.
      const pausedAt = world.now + cluster.world.prng.between(0, 200)
      until("time passes", () => world.now >= pausedAt)
      first.machine!.pause()
      until("another leader", () => leader() !== undefined)
      put(leader()!)
      const { commitIndex } = leader()!.status()!
      const exits: Array<Exit.Exit<number, unknown>> = []
      first.machine!.fork(nodeOf(first).readBarrier()).addObserver((exit) => void exits.push(exit))
      assert.deepStrictEqual(exits, [])
      first.machine!.resume()
      until("an answer", () => exits.length > 0)
      for (const exit of exits) {
        if (Exit.isFailure(exit)) continue
        assert.isAtLeast(exit.value, commitIndex, `seed ${seed}`)
        reads++
      }
    }
    assert.isAbove(reads, 15)
  })
})
