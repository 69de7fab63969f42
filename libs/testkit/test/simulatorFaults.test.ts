/** That a fault counts if something came of it, and not because it was drawn. */
import { assert, describe, it } from "@effect/vitest"
import { Faults, Options, Prng, SimCluster, Stack } from "../src/simulator/index.ts"

/** A cluster in which nothing happens but one kind of fault, again and again. None of it is started. */
const make = (kind: Options.FaultKind, members: number, mean = 20) => {
  const sound = Options.without(Options.draw(new Prng.Prng(1)), Options.faultKinds)
  const meanMillis = { ...sound.meanMillis, [kind]: mean }
  const options: Options.Options = { ...sound, members, clients: 1, segmentBytes: 512, meanMillis }
  let strikes = 0
  const cluster = new SimCluster.SimCluster(1, Stack.kv, options, (line) => {
    if (line.includes(`fault ${kind} `)) strikes++
  })
  Stack.kv.load(cluster, options)
  cluster.clients[0]!.kill()
  const faults = new Faults.Faults(cluster, options)
  /** How many faults of the next so many came to something. */
  const hits = (strikesMax: number): number => {
    const [before, end] = [faults.hits.get(kind) ?? 0, strikes + strikesMax]
    while (strikes < end) cluster.world.step()
    return (faults.hits.get(kind) ?? 0) - before
  }
  return { cluster, hits }
}

describe("a fault counts", () => {
  for (const kind of ["crash", "kill", "pause", "stop", "blackout", "wallJump"] as const) {
    it(`if it is a ${kind} of a member that runs, and not if it is down`, () => {
      assert.strictEqual(make(kind, 3).hits(1), 0)
      const { cluster, hits } = make(kind, 3)
      for (const member of cluster.members) member.boot()
      assert.strictEqual(hits(1), 1)
    })
  }

  for (const kind of ["slowDisk", "failSync", "failDisk", "fullDisk", "slowState", "failState"] as const) {
    it(`if something comes of a ${kind}, and not for lying in wait`, () => {
      assert.strictEqual(make(kind, 3).hits(5), 0)
      const { cluster, hits } = make(kind, 3, 2000)
      for (const member of cluster.members) member.boot()
      cluster.clients[0]!.boot()
      assert.isAbove(hits(20), 0)
    })
  }

  for (const kind of ["pauseClient", "killClient", "crashClient", "closeClient"] as const) {
    it(`if it is a ${kind} of one that runs, and not if it is down`, () => {
      assert.strictEqual(make(kind, 1).hits(1), 0)
      const { cluster, hits } = make(kind, 1)
      cluster.clients[0]!.boot()
      assert.strictEqual(hits(1), 1)
    })
  }

  for (const kind of ["partition", "isolate", "oneWay", "clog", "swizzle"] as const) {
    it(`if it is a ${kind} with somebody on both sides`, () => {
      assert.strictEqual(make(kind, 1).hits(20), 0)
      assert.isAbove(make(kind, 3).hits(20), 0)
    })
  }

  it("if it cuts what was whole", () => {
    const { cluster, hits } = make("isolate", 2)
    const [one, other] = cluster.members.map(({ id }) => id)
    cluster.network.cut(one!, other!)
    cluster.network.cut(other!, one!)
    assert.strictEqual(hits(1), 0)
  })
})
