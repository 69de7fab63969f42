/** Whole members under virtual time: witnesses among them, which hold no data. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { EntryKind } from "../src/index.ts"
import * as Cluster from "./support/Cluster.ts"
import { Register, text } from "./support/Register.ts"
import { SnapshotMedium } from "./support/SnapshotMedium.ts"

const { passing } = Cluster

/** Two members that hold data, one of which leads, and the witness 3. */
const three = Effect.fnUntraced(function*(settings?: Parameters<typeof Cluster.make>[1]) {
  const cluster = yield* Cluster.make([1, 2, 3], settings, undefined, [3])
  const leader = yield* cluster.elected
  const witness = cluster.running.get(3)!
  const other = [...cluster.running.values()].find((member) => member !== leader && member !== witness)!
  return { cluster, leader, other, witness }
})

const applied = (cluster: Effect.Success<ReturnType<typeof three>>["cluster"], number: number, index: number) =>
  cluster.eventually(
    Effect.map(
      cluster.running.get(number)!.node.status,
      (status) => status.appliedIndex >= index ? Option.some(status) : Option.none()
    ),
    60_000
  )

describe("a cluster with a witness", () => {
  it.effect("goes on with one member that holds data and the witness, which stores that there are entries, and none of their data", () =>
    Effect.gen(function*() {
      const { cluster, leader, other, witness } = yield* three()
      assert.strictEqual((yield* witness.node.status).role, "Witness")
      yield* other.stop
      for (const value of ["a", "b", "c"]) yield* passing(cluster.propose(leader, value))
      const { commitIndex } = yield* leader.node.status
      yield* applied(cluster, 3, commitIndex)
      const commands = witness.log.entries.filter((entry) => entry.kind === EntryKind.Command)
      assert.deepStrictEqual(commands.map((entry) => [entry.bytes, entry.data.length]), [[0, 0], [0, 0], [0, 0]])
      assert.deepStrictEqual(
        leader.log.entries.filter((entry) => entry.kind === EntryKind.Command).map((entry) => text(entry.data)),
        ["a", "b", "c"]
      )
      assert.deepStrictEqual(
        witness.log.entries.map(({ index, kind, term }) => [index, term, kind]),
        leader.log.entries.map(({ index, kind, term }) => [index, term, kind])
      )
    }))

  it.effect("sends the others everything, as ever", () =>
    Effect.gen(function*() {
      const { cluster, leader, other } = yield* three()
      yield* passing(cluster.propose(leader, "a"))
      const { commitIndex } = yield* leader.node.status
      yield* applied(cluster, Cluster.idOf(1) === other.id ? 1 : 2, commitIndex)
      assert.deepStrictEqual(other.log.entries, leader.log.entries)
    }))

  it.effect("says how many copies an acknowledgement guarantees", () =>
    Effect.gen(function*() {
      const { leader, witness } = yield* three()
      assert.strictEqual((yield* leader.node.status).copies, 1)
      assert.strictEqual((yield* witness.node.status).copies, 1)
      const whole = yield* Cluster.make([1, 2, 3])
      assert.strictEqual((yield* (yield* whole.elected).node.status).copies, 2)
    }))

  it.effect("takes proposals through the witness, which passes them on", () =>
    Effect.gen(function*() {
      const { cluster, leader, witness } = yield* three()
      yield* passing(cluster.propose(witness, "a"))
      assert.deepStrictEqual(leader.register.commands, ["a"])
    }))

  it.effect("has nothing to read at the witness, which says so at once and knows who takes part", () =>
    Effect.gen(function*() {
      const { leader, witness } = yield* three()
      const refused = yield* Effect.flip(witness.node.readBarrier())
      assert.strictEqual(refused.reason, "Witness")
      const configuration = yield* passing(witness.node.configuration())
      assert.deepStrictEqual(configuration, (yield* leader.node.status).configuration)
    }))

  it.effect("never elects the witness, and elects the other one with it", () =>
    Effect.gen(function*() {
      const { cluster, leader, other } = yield* three()
      yield* leader.stop
      assert.strictEqual((yield* cluster.elected).id, other.id)
      yield* passing(cluster.propose(other, "a"))
    }))

  it.effect("shortens the witness' log too, and a restart finds applied index and configuration again", () =>
    Effect.gen(function*() {
      const { cluster, leader, witness } = yield* three({ trailingEntries: 2 })
      for (let n = 0; n < 10; n++) yield* passing(cluster.propose(leader, `v${n}`))
      yield* passing(Effect.sleep(60_000), 70_000)
      const before = yield* witness.node.status
      assert.isAbove(before.previousIndex, 5)
      yield* witness.stop
      const { log, medium, register } = witness
      const again = yield* cluster.start(3, { log, register, medium })
      const after = yield* again.node.status
      assert.deepStrictEqual([after.role, after.appliedIndex], ["Witness", before.appliedIndex])
      assert.deepStrictEqual(after.configuration, before.configuration)
      yield* passing(cluster.propose(leader, "more"))
      yield* applied(cluster, 3, before.appliedIndex + 1)
    }))

  it.effect("shortens the witness' log by what it takes, though that has no payloads", () =>
    Effect.gen(function*() {
      const { cluster, leader, witness } = yield* three({ trailingEntries: 2, compactAfterBytes: 200 })
      for (let n = 0; n < 30; n++) yield* passing(cluster.propose(leader, ""))
      yield* passing(Effect.sleep(1000))
      assert.isAbove((yield* witness.node.status).previousIndex, 20)
    }))

  it.effect("catches a new witness up by a snapshot that has raft's head in it, whatever the state machine of the leader is", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2], { trailingEntries: 0, compactAfterBytes: 1 }, undefined, [5])
      const leader = yield* cluster.elected
      for (let n = 0; n < 50; n++) yield* passing(cluster.propose(leader, `v${n}`))
      yield* passing(Effect.sleep(1000))
      assert.isAbove((yield* leader.node.status).previousIndex, 10)
      const witness = yield* cluster.start(5)
      yield* passing(leader.node.changeMembership({
        _tag: "Join",
        member: Cluster.witnessOf(5, true),
        replaces: Option.none()
      }))
      const status = yield* applied(cluster, 5, (yield* leader.node.status).commitIndex)
      assert.isAbove(witness.log.previousIndex, 10)
      assert.isAbove(witness.medium.commits, 0)
      const stored = witness.medium.stored!.reduce((sum, chunk) => sum + chunk.length, 0)
      assert.isBelow(stored, 500)
      assert.strictEqual(status.role, "Witness")
      const promoted = yield* cluster.eventually(Effect.map(
        leader.node.status,
        ({ configuration }) =>
          configuration.voters.includes(witness.id) && configuration.outgoing.length === 0
            ? Option.some(configuration)
            : Option.none()
      ))
      assert.strictEqual(promoted.voters.length, 3)
    }))
})

describe("what a member was started as", () => {
  it.effect("must be what the configuration says: a witness started as a full member, and the reverse, is refused with what to do", () =>
    Effect.gen(function*() {
      for (
        const [number, witness, message] of [[3, false, /as a witness.*start it as a witness/], [
          2,
          true,
          /start it as a full member/
        ]] as const
      ) {
        const { cluster } = yield* three()
        const member = cluster.running.get(number)!
        yield* member.stop
        const { log } = member
        const kept = { log, register: new Register(), medium: new SnapshotMedium() }
        const exit = yield* Effect.exit(cluster.start(number, kept, { witness }))
        assert.match(String(Exit.isFailure(exit) ? exit.cause : ""), message)
      }
    }))

  it.effect("a new member that the leader takes for the other kind stops when it learns of it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1])
      const leader = yield* cluster.elected
      const member = yield* cluster.start(4)
      yield* passing(
        leader.node.changeMembership({ _tag: "Join", member: Cluster.witnessOf(4), replaces: Option.none() })
      )
      const stopped = yield* passing(Effect.flip(member.node.stopped))
      assert.match(stopped.message, /dkv-4 as a witness.*start it as a witness/)
    }))
})
