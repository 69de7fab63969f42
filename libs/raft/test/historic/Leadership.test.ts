/** Historic bugs of leaders that cannot go on, or are about to go. Each test is named after the symptom that others had, with its number in the table of `@dkv/testkit`'s README. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "../support/Cluster.ts"
import { followersOf } from "../support/Members.ts"
import { Script } from "../support/Script.ts"

const { passing } = Cluster

describe("historic bugs: leadership", () => {
  it.effect("#5: a leader whose disk hangs for a minute goes on with its heartbeats, and nobody can write (hashicorp/raft 503, 612, 614, 666, 683)", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const wedged = yield* cluster.elected
      yield* passing(cluster.propose(wedged, "before"))
      yield* wedged.log.disk.close
      const caught = yield* Effect.forkChild(Effect.exit(cluster.propose(wedged, "caught", 90_000)))
      yield* TestClock.adjust(5000)
      const others = followersOf(cluster, wedged)
      for (let second = 0; second < 55; second += 5) {
        for (const [at, member] of others.entries()) {
          yield* passing(cluster.propose(member, `${second}-${at}`), 1000)
        }
        yield* TestClock.adjust(5000)
      }
      assert.deepStrictEqual(wedged.register.commands, ["before"])
      yield* wedged.log.disk.open
      yield* passing(Fiber.join(caught))
      yield* TestClock.adjust(2000)
      for (const member of others) assert.strictEqual(member.register.commands.length, 24)
      assert.deepStrictEqual(wedged.register.commands, others[0]!.register.commands)
    }))

  it("#6: a write that was taken while leadership moves is lost (hashicorp/raft 581)", () => {
    // The proposal falls between any two steps of the transfer.
    let refused = 0
    for (let steps = 0; steps < 30; steps++) {
      const script = new Script({ voters: [1, 2, 3] })
      const old = script.elect(1)
      script.propose(1, "before")
      script.run()
      script.transfer(1, 2)
      let turns = 0
      script.run(() => turns++ >= steps)
      // What is sent from now on to a third member is lost, so that the target need not be outvoted.
      script.cuts.add("1>3")
      script.propose(1, "meanwhile")
      refused += old.refusals.length
      script.run()
      script.cuts.clear()
      script.pass(3000)
      assert.strictEqual(script.core(2).role, "Leader")
      const applied = script.node(2).applied.map(({ label }) => label)
      for (const label of old.accepted) assert.include(applied, label, `taken after ${steps} steps`)
    }
    assert.isAbove(refused, 2)
  })
})
