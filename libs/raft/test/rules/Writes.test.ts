/** Rule 3 of those that are easily missed: what goes to the disk keeps its order (openraft `io_ordering.md`). */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import type { LogStore } from "../../src/index.ts"
import * as Cluster from "../support/Cluster.ts"
import { followersOf } from "../support/Members.ts"
import { append, Script } from "../support/Script.ts"

const { passing } = Cluster

describe("order on disk", () => {
  it("a crash between a vote and the entries behind it never leaves entries of a term that the disk has not heard of", () => {
    for (let durable = 0; durable <= 6; durable++) {
      const script = new Script({ voters: [1, 2, 3] })
      // A follower that learns of terms by their entries, and a candidate that becomes leader.
      script.stalled.add(2)
      script.send(1, 2, append(2, 1, 1, ["a@2"]))
      script.send(3, 2, append(3, 2, 2, ["b@3"]))
      script.timeout(1)
      script.run(() => script.core(1).role === "Leader")
      for (const number of [1, 2]) {
        script.node(number).sync(script.now, durable)
        const { entries, hardState } = script.node(number).disk
        assert.isAtLeast(hardState.term, entries.at(-1)!.term, `member ${number} after ${durable} writes`)
      }
    }
  })

  it.effect("the log gets term, vote and entries in the order in which they were decided, however they are batched", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const seen = { HardState: 0, Append: 0, Reset: 0 }
      const early: Array<LogStore.LogWrite> = []
      for (const { log } of cluster.running.values()) {
        log.watch = (write) => {
          seen[write._tag]++
          if (log.hardState.term < log.entries.at(-1)!.term) early.push(write)
        }
      }
      const leader = yield* cluster.elected
      const [slow, other] = followersOf(cluster, leader)
      // While the disk of one is busy, leadership moves, and everything that follows from that piles up before the disk.
      yield* slow!.log.disk.close
      yield* passing(cluster.propose(leader, "a"), 100)
      yield* passing(leader.node.transferLeadership(Option.some(other!.id)))
      yield* passing(cluster.propose(other!, "b"), 100)
      yield* slow!.log.disk.open
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(slow!.register.commands, ["a", "b"])
      assert.deepStrictEqual(early, [], "entries before their term")
      assert.isTrue(seen.HardState > 4 && seen.Append > 4, JSON.stringify(seen))
    }))
})
