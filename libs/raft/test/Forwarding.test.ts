/** Whole members under virtual time: what callers of a member that does not lead see when links and leaders come and go. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import * as Codec from "../src/codec/PeerMessageCodec.ts"
import { RaftError } from "../src/index.ts"
import * as Cluster from "./support/Cluster.ts"
import { followersOf, numberOf, tag } from "./support/Members.ts"
import { bytes, text } from "./support/Register.ts"

const { passing } = Cluster

describe("forwarding", () => {
  it.effect("when the link to the leader breaks after a proposal went over it, its outcome is unknown, and it happens at most once", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower, other] = followersOf(cluster, leader)
      cluster.network.filter = (_, to, frame) => !(to === follower!.id && frame[0] === tag.forwardDone)
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(follower!, "a")))
      yield* TestClock.adjust(100)
      assert.isUndefined(call.pollUnsafe())
      cluster.network.sever(leader.id, follower!.id)
      assert.strictEqual((yield* passing(Fiber.join(call))).reason, "Unknown")
      cluster.network.mend(leader.id, follower!.id)
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(other!.register.commands, ["a"])
    }))

  it.effect("a forwarded proposal that the network delivers twice is carried out once", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      cluster.network.repeat = (_, to, frame) => to === leader.id && frame[0] === tag.forward
      for (const value of ["a", "b", "c"]) yield* passing(cluster.propose(follower!, value))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(leader.register.commands, ["a", "b", "c"])
    }))

  it.effect("a change that the network delivers twice is done once, and its caller hears of the first copy", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      cluster.network.repeat = (_, to, frame) => to === leader.id && frame[0] === tag.changeRequest
      const member = { ...Cluster.memberOf(4), autoPromote: false }
      const joined = yield* passing(
        follower!.node.changeMembership({ _tag: "Join", member, replaces: Option.none() })
      )
      assert.isDefined(joined)
    }))

  it.effect("answers that are too long for one frame are unknown each by itself, and the others of the group come", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      cluster.network.frameBytesMax = 8 * 1024 * 1024
      leader.register.answerBytes = 2000
      const commands = Array.from({ length: 9000 }, (_, count) => bytes(`c${count}`))
      const answers = yield* passing(follower!.node.proposeEach(commands))
      const known = answers.findIndex((answer) => answer instanceof RaftError)
      assert.isAbove(known, 3000)
      for (const [count, answer] of answers.entries()) {
        if (count < known) assert.strictEqual(Number(text(answer as Uint8Array)), count + 1)
        else assert.strictEqual((answer as RaftError).reason, "Unknown")
      }
      assert.strictEqual(leader.register.commands.length, 9000)
    }))

  it.effect("a proposal that was turned away for want of a leader is forwarded anew, under another id", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      const ids = new Set<number>()
      cluster.network.filter = (_, to, frame) => {
        if (to !== leader.id || frame[0] !== tag.forward) return true
        const forward = Codec.decode(frame)
        if (forward._tag !== "Forward") return true
        ids.add(forward.id)
        if (ids.size > 1) return true
        const refusal = Codec.encode({ _tag: "ForwardFailed", id: forward.id, reason: "NoLeader", message: "" })
        cluster.network.handlers.get(follower!.id)!.onFrame(leader.id, "raft", refusal)
        return false
      }
      assert.strictEqual(yield* passing(cluster.propose(follower!, "a")), "1")
      assert.strictEqual(ids.size, 2)
    }))

  it.effect("what reaches a member without a leader goes back at once: one that left would wait for one in vain, and the caller with it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const former = yield* cluster.elected
      const [asking] = followersOf(cluster, former)
      yield* passing(former.node.changeMembership({ _tag: "Leave", id: former.id, force: false }))
      yield* TestClock.adjust(5000)
      assert.isTrue((yield* former.node.status).removed)
      const told: Array<string> = []
      cluster.network.filter = (from, to, frame) => {
        if (from !== former.id || to !== asking!.id) return true
        const answer = Codec.decode(frame)
        if (answer._tag === "ForwardFailed") told.push(answer.reason)
        if (answer._tag === "ChangeAnswer") told.push(String(answer.refusal))
        return true
      }
      const { onFrame } = cluster.network.handlers.get(former.id)!
      const later = { id: 1, timeoutMillis: 60_000 }
      const commands = [bytes("a")]
      onFrame(asking!.id, "raft", Codec.encode({ _tag: "Forward", ...later, purpose: "Commands", commands }))
      onFrame(asking!.id, "raft", Codec.encode({ _tag: "ChangeRequest", ...later, wish: { _tag: "Transfer", to: "" } }))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(told, ["NoLeader", "NoLeader"])
    }))

  it.effect("what the leader refuses is refused to the caller, with the leader's reason", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower, target] = followersOf(cluster, leader)
      cluster.network.isolate(target!.id)
      yield* Effect.forkChild(Effect.exit(leader.node.transferLeadership(Option.some(target!.id))))
      yield* TestClock.adjust(10)
      const error = yield* passing(Effect.flip(cluster.propose(follower!, "a")))
      assert.strictEqual(error.reason, "Refused")
      assert.deepStrictEqual(leader.register.commands, [])
    }))

  it.effect("without a leader a proposal waits, and fails with NoLeader at its deadline", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [one, other] = followersOf(cluster, leader)
      yield* leader.stop
      yield* other!.stop
      yield* TestClock.adjust(5000)
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(one!, "a", 1000)))
      yield* TestClock.adjust(990)
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust(60)
      assert.strictEqual((yield* Fiber.join(call)).reason, "NoLeader")
    }))

  it.effect("a proposal that waits for a leader goes through when there is one before its deadline", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const member = cluster.running.get(2)!
      const calls = yield* Effect.forkChild(Effect.all(
        [member.node.propose([bytes("a"), bytes("b")]), member.node.propose([bytes("c")])],
        { concurrency: "unbounded" }
      ))
      const results = yield* passing(Fiber.join(calls))
      assert.deepStrictEqual(results.flat().map(text).sort(), ["1", "2", "3"])
      yield* TestClock.adjust(500)
      for (const { register } of cluster.running.values()) assert.strictEqual(register.commands.length, 3)
    }))

  it.effect("an answer to a former run of a member does not answer its new callers", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const follower = followersOf(cluster, leader)[0]!
      const late: Array<Uint8Array> = []
      cluster.network.filter = (_, to, frame) => {
        if (to !== follower.id || frame[0] !== tag.forwardDone) return true
        late.push(frame)
        return false
      }
      yield* Effect.forkChild(Effect.exit(cluster.propose(follower, "old")))
      yield* TestClock.adjust(100)
      assert.strictEqual(late.length, 1)
      yield* follower.stop
      const again = yield* cluster.start(numberOf(follower), follower)
      yield* TestClock.adjust(200)
      cluster.network.filter = (_, __, frame) => frame[0] !== tag.forward
      const call = yield* Effect.forkChild(Effect.flip(cluster.propose(again, "new", 1000)))
      yield* TestClock.adjust(100)
      cluster.network.handlers.get(again.id)!.onFrame(leader.id, "raft", late[0]!)
      yield* TestClock.adjust(2000)
      assert.strictEqual((yield* Fiber.join(call)).reason, "Unknown")
    }))

  it.effect("a group of many commands is one unit: its results come together and in order", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const commands = Array.from({ length: 9000 }, (_, count) => bytes(`c${count}`))
      for (const member of cluster.running.values()) {
        const before = leader.register.commands.length
        const results = yield* passing(member.node.propose(commands))
        assert.deepStrictEqual(results.map(text), commands.map((_, count) => String(before + count + 1)))
      }
    }))
})

describe("reads", () => {
  it.effect("after a change of leader a read on any member covers every write acknowledged before it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3, 4, 5])
      for (const value of ["a", "b"]) {
        const leader = yield* cluster.elected
        yield* passing(cluster.propose(leader, value))
        yield* leader.stop
      }
      const leader = yield* cluster.elected
      yield* passing(cluster.propose(leader, "c"))
      for (const member of cluster.running.values()) {
        yield* passing(member.node.readBarrier())
        assert.deepStrictEqual(member.register.commands, ["a", "b", "c"])
      }
    }))

  it.effect("a member that cannot reach the leader does not answer a read", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      cluster.network.isolate(follower!.id)
      const error = yield* passing(Effect.flip(follower!.node.readBarrier({ timeoutMillis: 2000 })))
      assert.strictEqual(error.reason, "NoLeader")
    }))

  it.effect("a read that was lost on its way is asked again", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([1, 2, 3])
      const leader = yield* cluster.elected
      const [follower] = followersOf(cluster, leader)
      yield* passing(cluster.propose(leader, "a"))
      let dropped = 0
      cluster.network.filter = (_, __, frame) => frame[0] !== 7 || dropped++ > 0
      yield* passing(follower!.node.readBarrier())
      assert.deepStrictEqual(follower!.register.commands, ["a"])
      assert.strictEqual(dropped, 2)
    }))
})
