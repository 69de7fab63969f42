/** Whole members under virtual time: one dies, the leader says so, and another one takes its place. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Cluster from "./support/Cluster.ts"
import { followersOf } from "./support/Members.ts"

const { passing } = Cluster

const warnings = (lines: Array<string>) =>
  Effect.provide(Logger.layer([Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn") lines.push(String(message))
  })]))

describe("a voter that is dead", () => {
  it.effect("is named in the log with what to do, and a learner that stands by takes its place and goes on with its log", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], {}, { deadMembers: "replace", deadMemberMillis: 20_000 })
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "a"))
      yield* cluster.start(4)
      yield* passing(leader.node.changeMembership({
        _tag: "Join",
        member: Cluster.memberOf(4),
        replaces: Option.none()
      }))
      const [dead, other] = followersOf(cluster, leader)
      yield* dead!.stop
      yield* TestClock.adjust(19_000)
      assert.deepStrictEqual(lines, [])
      yield* TestClock.adjust(3000)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, new RegExp(`${dead!.id}.* has not answered for 20s.* Start it again`))
      assert.include(lines[0]!, "A learner that stands by takes its place")
      const { configuration } = yield* other!.node.status
      assert.notInclude(configuration.voters, dead!.id)
      assert.include(configuration.voters, Cluster.idOf(4))
      assert.deepStrictEqual(configuration.outgoing, [])
      yield* passing(cluster.propose(leader, "b"))
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(cluster.running.get(4)!.register.commands, ["a", "b"])
    }).pipe(warnings(lines))
  })

  it.effect("that comes back is named again, and has kept its place", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3], {}, { deadMemberMillis: 20_000 })
      const leader = yield* cluster.elected
      const [away] = followersOf(cluster, leader)
      cluster.network.isolate(away!.id)
      yield* TestClock.adjust(30_000)
      assert.strictEqual(lines.length, 1)
      cluster.network.heal()
      yield* TestClock.adjust(3000)
      assert.match(lines[1]!, new RegExp(`${away!.id}.* answers again`))
      assert.strictEqual(lines.length, 2)
      assert.include((yield* leader.node.status).configuration.voters, away!.id)
    }).pipe(warnings(lines))
  })
})
