/** Raft paper §6; dissertation §4; Ongaro's raft-dev post of July 2015. */
import { assert, describe, it } from "vitest"
import * as Limits from "../../src/Limits.ts"
import { configurationOf, idOf, memberOf } from "../support/Cluster.ts"
import { amidJointChange, append, join, leave, promote, Script } from "../support/Script.ts"

const three = () => new Script({ voters: [1, 2, 3], spares: [4, 5] })

const voters = (script: Script, number: number) =>
  script.core(number).configuration.voters.map((id) => Number.parseInt(id, 16))

const outgoing = (script: Script, number: number) =>
  script.core(number).configuration.outgoing.map((id) => Number.parseInt(id, 16))

/** An append whose one entry is a configuration. */
const configured = (
  term: number,
  previousIndex: number,
  previousTerm: number,
  configuration: ReturnType<typeof configurationOf>
) => {
  const message = append(term, previousIndex, previousTerm, [`C@${term}`])
  if (message._tag !== "Append") throw new Error("no append")
  return { ...message, entries: message.entries.map((entry) => ({ ...entry, kind: 2 as const, configuration })) }
}

describe("membership", () => {
  it("whoever leaves stands for election until its leaving is committed: nobody else may have the entry (dissertation §4.2.2)", () => {
    const script = three()
    script.send(1, 2, configured(2, 1, 1, configurationOf(1, 3)))
    assert.deepStrictEqual(voters(script, 2), [1, 3])
    assert.strictEqual(script.core(2).role, "Follower")
    script.run()
    script.crash(2)
    assert.strictEqual(script.core(2).role, "Follower")
    script.send(1, 2, { _tag: "Heartbeat", term: 2, commit: 2, round: 1 })
    assert.strictEqual(script.core(2).role, "Learner")
  })

  it("a member joins as a learner: it gets the log, and has no vote", () => {
    const script = three()
    script.elect(1)
    const id = script.change(1, join(4))
    script.pass(500)
    assert.strictEqual(script.outcome(1, id), "done")
    assert.strictEqual(script.core(4).role, "Learner")
    assert.strictEqual(script.node(4).trace, script.node(1).trace)
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3])
  })

  it("no member joins a cluster that has as many as one may have: the entry that says who takes part has to fit a message", () => {
    const learners = Array.from({ length: Limits.membersMax - 2 }, (_, position) => memberOf(10 + position))
    const script = new Script({ voters: [1], learners, spares: [4, 5] })
    script.elect(1)
    const outcome = (number: number) => {
      const id = script.change(1, join(number))
      script.pass(500)
      return script.outcome(1, id)
    }
    assert.deepStrictEqual([outcome(4), outcome(5)], ["done", "Invalid"])
    assert.strictEqual(outcome(4), "done", "it is in already")
  })

  it("a member that lost its disk takes its own place again, also in a cluster that is full", () => {
    const learners = Array.from({ length: Limits.membersMax - 2 }, (_, position) => memberOf(10 + position))
    const script = new Script({ voters: [1, 2], learners, spares: [4] })
    script.elect(1)
    const { name, peerAddress } = script.core(1).configuration.members.find(({ id }) => id === idOf(2))!
    const id = script.change(1, join(4, { autoPromote: true, name, peerAddress, replaces: idOf(2) }))
    script.pass(1000)
    assert.strictEqual(script.outcome(1, id), "done")
    assert.strictEqual(script.core(1).configuration.members.length, Limits.membersMax)
    assert.isUndefined(script.core(1).configuration.members.find((member) => member.id === idOf(2)))
  })

  it("a configuration is in force as soon as it is appended, not when it is committed", () => {
    const script = three()
    script.elect(1)
    script.change(1, join(4))
    assert.isBelow(script.core(1).commitIndex, script.core(1).configurationIndex)
    assert.isTrue(script.core(1).progress.has(idOf(4)))
    script.send(1, 2, configured(2, 2, 2, configurationOf(1, 2)))
    assert.deepStrictEqual(voters(script, 2), [1, 2])
  })

  it("a configuration that is truncated is undone", () => {
    const script = three()
    script.send(1, 2, configured(2, 1, 1, configurationOf(1, 3)))
    assert.deepStrictEqual(voters(script, 2), [1, 3])
    script.send(3, 2, append(3, 1, 1, ["a@3"]))
    assert.deepStrictEqual(voters(script, 2), [1, 2, 3])
    assert.strictEqual(script.core(2).role, "Follower")
  })

  it("a member uses the last configuration in its log after a restart too", () => {
    const script = three()
    script.send(1, 2, configured(2, 1, 1, configurationOf(1, 3)))
    script.run()
    script.crash(2)
    assert.deepStrictEqual(voters(script, 2), [1, 3])
  })

  it("a new leader takes no change before it has committed an entry of its own term", () => {
    const script = three()
    script.electSilently(1)
    assert.strictEqual(script.outcome(1, script.change(1, join(4))), "NotReady")
    script.pass(500)
    assert.isUndefined(script.outcome(1, script.change(1, join(4))))
  })

  it("one change at a time", () => {
    const script = three()
    script.elect(1)
    const first = script.change(1, join(4))
    const second = script.change(1, join(5))
    assert.strictEqual(script.outcome(1, second), "Pending")
    script.run()
    assert.strictEqual(script.outcome(1, first), "done")
    assert.isUndefined(script.outcome(1, script.change(1, join(5))))
  })

  it("a new leader finds an uncommitted change in its log and lets no other begin before it is decided", () => {
    const script = new Script({ voters: [1, 2, 3, 4, 5], spares: [6] })
    script.elect(1)
    script.isolated.add(4)
    script.isolated.add(5)
    script.change(1, leave(3))
    script.run(() => script.core(2).configurationIndex === 3)
    script.isolated.clear()
    script.isolated.add(1)
    script.drop()
    script.now += 5000
    script.electSilently(2)
    script.stalled.add(2)
    assert.strictEqual(script.outcome(2, script.change(2, join(6))), "NotReady")
    script.stalled.clear()
    script.pass(2000)
    assert.deepStrictEqual(outgoing(script, 2), [])
    assert.deepStrictEqual(voters(script, 2), [1, 2, 4, 5])
  })

  it("a change of voters goes through a joint configuration, and is done when the final one is committed", () => {
    const script = three()
    script.elect(1)
    const id = script.change(1, leave(3))
    assert.deepStrictEqual([voters(script, 1), outgoing(script, 1)], [[1, 2], [1, 2, 3]])
    script.run(() => outgoing(script, 1).length === 0)
    assert.isUndefined(script.outcome(1, id), "the joint step is committed, the final one is not")
    script.run()
    assert.strictEqual(script.outcome(1, id), "done")
    assert.deepStrictEqual([voters(script, 1), outgoing(script, 1)], [[1, 2], []])
    script.pass(200)
    assert.isFalse(script.core(1).progress.has(idOf(3)), "it is no longer followed")
  })

  it("a joint change needs both halves to be committed", () => {
    for (const silent of [[2, 3], [4, 5]]) {
      const script = amidJointChange()
      const accept = (number: number) =>
        script.send(number, 1, {
          _tag: "AppendReply",
          term: 2,
          success: true,
          index: 3,
          hintIndex: 0,
          hintTerm: 0
        })
      script.node(1).sync(script.now)
      for (const number of [2, 3, 4, 5]) if (!silent.includes(number)) accept(number)
      assert.strictEqual(script.core(1).commitIndex, 2, `without ${silent}`)
      for (const number of silent) accept(number)
      assert.strictEqual(script.core(1).commitIndex, 3)
      assert.deepStrictEqual(outgoing(script, 1), [], "the leader goes on to the final configuration")
    }
  })

  it("any leader finishes a joint change that it finds, even one that is committed", () => {
    for (const committed of [false, true]) {
      const script = amidJointChange()
      if (committed) script.run(() => script.core(1).commitIndex === 3)
      else script.run(() => script.core(2).log.lastIndex >= 3 && script.core(4).log.lastIndex >= 3)
      script.isolated.add(1)
      script.drop()
      script.pass(10_000)
      const leader = [2, 3, 4, 5].find((number) => script.core(number).role === "Leader")!
      assert.deepStrictEqual([voters(script, leader), outgoing(script, leader)], [[1, 4, 5], []])
    }
  })

  it("learners that are ready together are promoted in one joint change", () => {
    const script = amidJointChange()
    assert.deepStrictEqual([voters(script, 1), outgoing(script, 1)], [[1, 4, 5], [1, 2, 3]])
  })

  it("a learner meant for the place of another that is ready with it: that one goes, and nobody stops", () => {
    const script = new Script({
      voters: [1, 2, 3],
      learners: [{ ...memberOf(4, true), replaces: idOf(5) }, memberOf(5, true)]
    })
    script.electSilently(1)
    script.node(1).sync(script.now)
    const accepted = { _tag: "AppendReply", term: 2, success: true, index: 2, hintIndex: 0, hintTerm: 0 } as const
    script.step(1, ...[4, 5, 2].map((number) => ({ _tag: "Message", from: idOf(number), message: accepted }) as const))
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3, 4])
    assert.isUndefined(script.core(1).configuration.members.find(({ id }) => id === idOf(5)))
  })

  it("whoever has no id that can be written down does not join", () => {
    const script = three()
    script.elect(1)
    for (const id of ["node-4", "00000000000000AB", "0000000000000000"]) {
      assert.strictEqual(script.outcome(1, script.change(1, join(4, { id }))), "Invalid")
    }
  })

  it("a learner that has caught up is promoted by itself, if its member says so", () => {
    const script = three()
    script.elect(1)
    script.change(1, join(4, { autoPromote: true }))
    script.run()
    script.change(1, join(5))
    script.pass(3000)
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3, 4])
    assert.strictEqual(script.core(4).role, "Follower")
  })

  it("a learner that is down or far behind is not promoted", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(4)
    script.change(1, join(4, { autoPromote: true }))
    script.pass(5000)
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3])
    assert.strictEqual(script.outcome(1, script.change(1, promote(4))), "NotReady")
    script.isolated.clear()
    script.pass(3000)
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3, 4])
  })

  it("readers who never pause put off neither the promotion of a learner that came late, nor that whoever left is forgotten", () => {
    const script = three()
    script.elect(1)
    let reads = 0
    const underReads = (millis: number) => {
      for (const end = script.now + millis; script.now < end;) {
        script.read(1, ++reads)
        script.run()
        script.pass(10)
      }
    }
    script.isolated.add(4)
    script.change(1, join(4, { autoPromote: true }))
    underReads(1500)
    script.isolated.clear()
    underReads(1500)
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3, 4])
    script.isolated.add(4)
    script.change(1, leave(4))
    underReads(2500)
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3])
    assert.isFalse(script.core(1).progress.has(idOf(4)))
    assert.strictEqual(script.node(1).reads.length, reads)
  })

  it("a learner that was caught up and then fell silent is not promoted", () => {
    const script = three()
    script.elect(1)
    script.change(1, join(4))
    script.pass(1000)
    script.isolated.add(4)
    script.pass(1500)
    assert.strictEqual(script.outcome(1, script.change(1, promote(4))), "NotReady")
    script.isolated.clear()
    script.pass(1000)
    const id = script.change(1, promote(4))
    script.run()
    assert.strictEqual(script.outcome(1, id), "done")
  })

  it("the member that a learner replaces leaves in the same joint change", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    const id = script.change(
      1,
      join(4, { autoPromote: true, name: "dkv-3", peerAddress: "member-3:2380", replaces: idOf(3) })
    )
    script.run()
    assert.strictEqual(script.outcome(1, id), "done")
    script.pass(2000)
    assert.deepStrictEqual([voters(script, 1), outgoing(script, 1)], [[1, 2, 4], []])
    assert.deepStrictEqual(script.core(1).configuration.members.map(({ name }) => name), ["dkv-1", "dkv-2", "dkv-3"])
    assert.isUndefined(script.core(1).configuration.members.find(({ id }) => id === idOf(4))!.replaces)
    const joint = script.node(1).entries.filter((entry) => (entry.configuration?.outgoing.length ?? 0) > 0)
    assert.strictEqual(joint.length, 1)
  })

  it("promoting a voter, or joining again with the same addresses, is no change", () => {
    const script = three()
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.change(1, promote(2))), "done")
    assert.strictEqual(script.outcome(1, script.change(1, join(2))), "done")
    assert.strictEqual(script.core(1).configurationIndex, 1)
  })

  it("ids, names and addresses belong to one member each", () => {
    const script = three()
    script.elect(1)
    assert.strictEqual(script.outcome(1, script.change(1, join(2, { name: "other" }))), "Conflict")
    assert.strictEqual(script.outcome(1, script.change(1, join(4, { name: "dkv-2" }))), "Conflict")
    assert.strictEqual(script.outcome(1, script.change(1, join(4, { peerAddress: "member-2:2380" }))), "Conflict")
    assert.strictEqual(
      script.outcome(
        1,
        script.change(1, { _tag: "Update", id: idOf(2), peerAddress: "member-3:2380", clientAddress: "" })
      ),
      "Conflict"
    )
  })

  it("whom nobody knows can neither leave, nor be promoted, updated or replaced", () => {
    const script = three()
    script.elect(1)
    for (
      const change of [
        leave(9),
        promote(9),
        { _tag: "Update", id: idOf(9), peerAddress: "x", clientAddress: "" } as const,
        join(4, { replaces: idOf(9) })
      ]
    ) {
      assert.strictEqual(script.outcome(1, script.change(1, change)), "NotFound")
    }
  })

  it("a new address takes one step and touches no quorum", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    script.change(1, { _tag: "Update", id: idOf(3), peerAddress: "elsewhere:2380", clientAddress: "c:3000" })
    assert.deepStrictEqual(outgoing(script, 1), [])
    script.run()
    const member = script.core(2).configuration.members[2]!
    assert.deepStrictEqual([member.peerAddress, member.clientAddress], ["elsewhere:2380", "c:3000"])
  })

  it("the last voter cannot leave, not even by force", () => {
    const script = new Script({ voters: [1], learners: [memberOf(2)] })
    script.elect(1)
    for (const force of [false, true]) {
      assert.strictEqual(script.outcome(1, script.change(1, leave(1, force))), "LastVoter")
    }
  })

  it("a change whose new quorum does not answer now is refused, unless it is forced", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4)] })
    script.elect(1)
    script.isolated.add(3)
    script.pass(1500)
    assert.strictEqual(script.outcome(1, script.change(1, leave(2))), "NoQuorum")
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3])
    assert.isUndefined(script.outcome(1, script.change(1, leave(2, true))))
    assert.deepStrictEqual(voters(script, 1), [1, 3])
  })

  it("a member that does not lead says so", () => {
    const script = three()
    assert.strictEqual(script.outcome(2, script.change(2, join(4))), "NoLeader")
  })

  it("a leader that removes itself goes on until the change is committed, and then steps down with a successor asked to stand", () => {
    const script = three()
    script.elect(1)
    const id = script.change(1, leave(1))
    script.run(() => outgoing(script, 1).length === 0)
    assert.strictEqual(script.core(1).role, "Leader")
    script.run()
    assert.strictEqual(script.outcome(1, id), "done")
    assert.strictEqual(script.core(1).role, "Learner")
    assert.isTrue(script.node(1).removed)
    assert.deepStrictEqual(voters(script, 2), [2, 3])
    for (const number of [2, 3]) {
      assert.isAtLeast(script.core(number).commitIndex, script.core(1).commitIndex, "the others were told")
    }
    assert.isTrue([2, 3].some((number) => script.core(number).role === "Leader"), "no time has passed")
  })

  it("a leader that is leaving does not count itself for the change's commit", () => {
    const script = three()
    script.elect(1)
    script.pass(200)
    script.change(1, leave(1))
    script.run(() => outgoing(script, 1).length === 0)
    script.node(1).sync(script.now)
    script.drop()
    const { configurationIndex, log } = script.core(1)
    assert.strictEqual(configurationIndex, log.lastIndex)
    script.send(2, 1, {
      _tag: "AppendReply",
      term: 2,
      success: true,
      index: configurationIndex,
      hintIndex: 0,
      hintTerm: 0
    })
    assert.isBelow(script.core(1).commitIndex, configurationIndex, "one of two is no majority")
  })

  it("a member whose admission was undone was none: it is not told that it left when it is admitted later", () => {
    const script = three()
    const taught = (term: number, previousIndex: number, previousTerm: number, voters: ReadonlyArray<number>) =>
      script.send(1, 4, {
        ...configured(term, previousIndex, previousTerm, configurationOf(...voters)),
        commit: term === 2 ? 0 : previousIndex + 1
      })
    taught(2, 0, 0, [1, 2, 3, 4])
    script.run()
    taught(3, 0, 0, [1, 2, 3])
    script.run()
    assert.strictEqual(script.core(4).commitIndex, 1)
    assert.isFalse(script.node(4).removed)
    taught(3, 1, 3, [1, 2, 3, 4])
    script.crash(4)
    taught(3, 1, 3, [1, 2, 3, 4])
    taught(3, 2, 3, [1, 2, 3])
    script.run()
    assert.isTrue(script.node(4).removed, "it was one when this was committed")
  })

  it("a member that left learns that it did", () => {
    const script = three()
    script.elect(1)
    script.change(1, leave(3))
    script.pass(1000)
    assert.strictEqual(script.core(3).role, "Learner")
    assert.isTrue(script.node(3).removed)
  })

  it("a removed member that never learnt of it disturbs nobody", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    script.change(1, leave(3))
    script.pass(1000)
    script.isolated.clear()
    script.pass(20_000)
    assert.strictEqual(script.core(1).role, "Leader")
    assert.strictEqual(script.core(1).term, 2)
    assert.strictEqual(script.core(3).term, 2)
  })

  it("a leader that steps down does not know how its change will end", () => {
    const script = three()
    script.elect(1)
    const id = script.change(1, join(4))
    script.send(3, 1, { _tag: "HeartbeatReply", term: 9, round: 0 })
    assert.strictEqual(script.outcome(1, id), "Unknown")
  })

  it("adding one member and removing another under two leaders cannot make two majorities", () => {
    // Two leaders, each with its own uncommitted change: only a joint change that both old and new voters agree on may commit.
    const script = new Script({ voters: [1, 2, 3, 4], learners: [memberOf(5)] })
    script.elect(1)
    script.isolated.add(2)
    script.isolated.add(3)
    script.isolated.add(4)
    script.change(1, leave(4, true))
    script.run()
    assert.deepStrictEqual(voters(script, 1), [1, 2, 3])
    script.isolated.clear()
    script.isolated.add(1)
    script.now += 5000
    script.elect(2)
    script.change(2, { _tag: "Promote", id: idOf(5), force: true })
    script.pass(3000)
    assert.deepStrictEqual(voters(script, 2), [1, 2, 3, 4, 5])
    script.isolated.clear()
    script.pass(3000)
    for (const number of [1, 2, 3, 4, 5]) assert.deepStrictEqual(voters(script, number), [1, 2, 3, 4, 5])
  })

  it("an even group of two can lose one by request, and the rest goes on alone", () => {
    const script = new Script({ voters: [1, 2] })
    script.elect(1)
    script.pass(200)
    script.change(1, leave(2))
    script.run()
    assert.deepStrictEqual(voters(script, 1), [1])
    script.isolated.add(2)
    script.propose(1, "a")
    script.run()
    assert.strictEqual(script.core(1).commitIndex, script.core(1).log.lastIndex)
  })
})
