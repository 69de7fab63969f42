/** Dissertation §6.4.1: each clause without which a leader could read beside another one. */
import { assert, describe, it } from "vitest"
import * as Lease from "../../src/core/Lease.ts"
import type { Message } from "../../src/core/Message.ts"
import { configurationOf, idOf } from "../support/Cluster.ts"
import { amidJointChange, append, leave, Script } from "../support/Script.ts"

const cluster = { leaderLeases: true }

const leased = (voters: ReadonlyArray<number> = [1, 2, 3]) => new Script({ voters, cluster })

const holds = (script: Script, number = 1) => Lease.holds(script.core(number), script.now)

const confirmed = (term: number, round: number) => ({ _tag: "HeartbeatReply", term, round }) as const

const accepted = (term: number, index: number) =>
  ({ _tag: "AppendReply", term, success: true, index, hintIndex: 0, hintTerm: 0 }) as const

const vote = (term: number, options: { readonly preVote?: boolean; readonly transfer?: boolean } = {}): Message => ({
  _tag: "VoteRequest",
  term,
  lastIndex: 99,
  lastTerm: 99,
  preVote: false,
  transfer: false,
  ...options
})

/** A read on the leader that is answered in the batch that brings it. */
const readsAtOnce = (script: Script, id: number): boolean => {
  script.read(1, id)
  return script.node(1).reads.some((read) => read.id === id && read.index >= 0)
}

/** The leader sends a round, which the given members confirm. Returns when it was sent. */
const round = (script: Script, ...from: ReadonlyArray<number>): number => {
  script.beat(1)
  const { now } = script
  script.drop()
  for (const number of from) script.send(number, 1, confirmed(script.core(1).term, script.core(1).round))
  return now
}

describe("the leader's side of a lease", () => {
  it("without the setting every read takes a round", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    round(script, 2, 3)
    assert.isFalse(readsAtOnce(script, 7))
    assert.strictEqual(script.take("Heartbeat").length, 2)
  })

  it("under a lease reads go ahead at once, here and on followers, without a message to anybody else", () => {
    const script = leased()
    script.elect(1)
    script.propose(1, "a")
    script.run()
    round(script, 2)
    assert.isTrue(readsAtOnce(script, 7))
    assert.deepStrictEqual(script.node(1).reads, [{ id: 7, index: 3 }])
    assert.deepStrictEqual(script.wire, [])
    script.send(2, 1, { _tag: "ReadIndex", term: 2, id: 8 })
    assert.deepStrictEqual(script.take("ReadIndexReply", { to: 2 }), [
      { _tag: "ReadIndexReply", term: 2, id: 8, index: 3 }
    ])
    assert.deepStrictEqual(script.wire, [])
  })

  it("it runs from when the round was sent, not from when the answers came, for nine tenths of an election timeout", () => {
    const script = leased()
    script.elect(1)
    script.beat(1)
    const sent = script.now
    script.drop()
    script.now = sent + 500
    script.send(2, 1, confirmed(2, script.core(1).round))
    script.now = sent + 899
    assert.isTrue(readsAtOnce(script, 7))
    script.now = sent + 900
    assert.isFalse(readsAtOnce(script, 8))
    script.run()
    assert.deepStrictEqual(script.node(1).reads.map(({ id }) => id), [7, 8], "a round does it instead")
  })

  it("the newest round that a quorum confirmed counts, whatever a minority confirmed since", () => {
    const script = leased([1, 2, 3, 4, 5])
    script.elect(1)
    const sent = round(script, 2, 3)
    round(script, 2)
    round(script, 2)
    script.now = sent + 899
    assert.isTrue(holds(script))
    script.now = sent + 900
    assert.isFalse(holds(script))
  })

  it("an answer to a round so old that its time of sending is forgotten renews nothing", () => {
    const script = leased()
    script.elect(1)
    script.beat(1)
    const { round } = script.core(1)
    for (let count = 0; count < Lease.roundsRememberedMax; count++) {
      script.core(1).heartbeatDeadline = script.now
      script.beat(1)
    }
    script.drop()
    script.send(2, 1, confirmed(2, round))
    assert.isFalse(holds(script))
    script.send(2, 1, confirmed(2, round + 1))
    assert.isTrue(holds(script))
  })

  it("a leader that has committed nothing of its own term has no lease: what the one before it committed is not known", () => {
    const script = leased()
    script.electSilently(1)
    // The others have its first entry, its own disk has not: that is no majority yet.
    script.send(2, 1, accepted(2, 2))
    round(script, 2)
    assert.isBelow(script.core(1).commitIndex, 2)
    assert.isFalse(readsAtOnce(script, 7))
    script.node(1).sync(script.now)
    assert.isTrue(readsAtOnce(script, 8))
  })

  it("members count that have the leader's first entry, and no others: a tail of their own log may have another configuration", () => {
    const script = leased([1, 2, 3, 4, 5])
    script.electSilently(1)
    script.node(1).sync(script.now)
    for (const number of [4, 5]) script.send(number, 1, accepted(2, 1))
    for (const number of [2, 3]) script.send(number, 1, accepted(2, 2))
    assert.strictEqual(script.core(1).commitIndex, 2)
    round(script, 4, 5)
    round(script, 2, 4, 5)
    assert.isFalse(holds(script), "2 alone has the entry")
    round(script, 3)
    assert.isTrue(holds(script))
  })

  it("members count that have the configuration in force, and no others: they may still go by one without leases", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    script.change(1, { _tag: "Configure", settings: cluster })
    script.take("Append")
    round(script, 2, 3)
    assert.isFalse(holds(script), "nobody has the change")
    script.node(1).sync(script.now)
    script.send(2, 1, accepted(2, 3))
    assert.isTrue(holds(script), "2 has it, and has followed this leader all the time since the round")
  })

  it("it ends when the change that turns leases off is appended, committed or not", () => {
    const script = leased()
    script.elect(1)
    round(script, 2, 3)
    script.change(1, { _tag: "Configure", settings: { leaderLeases: false } })
    assert.isFalse(holds(script))
    assert.isFalse(readsAtOnce(script, 7))
  })

  it("during a joint change both halves have to have confirmed", () => {
    for (const half of [[2], [4], [2, 3], [4, 5]]) {
      const script = amidJointChange(cluster)
      // The leader's own disk is slow: the step is not committed, and in force.
      for (const number of [2, 4]) script.send(number, 1, accepted(2, 3))
      assert.strictEqual(script.core(1).configuration.outgoing.length, 3)
      round(script, ...half)
      assert.isFalse(holds(script), `with ${half} alone`)
      round(script, 2, 4)
      assert.isTrue(holds(script))
    }
  })

  it("a leader that is leaving does not count itself", () => {
    const script = leased()
    script.elect(1)
    script.pass(200)
    script.change(1, leave(1))
    script.run(() => script.core(1).configuration.outgoing.length === 0)
    script.drop()
    const { configurationIndex } = script.core(1)
    // 3 has not: the final configuration is in force, and not committed.
    script.send(2, 1, accepted(2, configurationIndex))
    round(script, 2, 3)
    assert.strictEqual(script.core(1).role, "Leader")
    assert.isFalse(holds(script), "one of two is no majority")
  })

  it("a single voter has a lease of itself", () => {
    const script = leased([1])
    assert.isFalse(holds(script), "not before it leads")
    script.elect(1)
    assert.isTrue(holds(script))
  })

  it("from the wish to hand over on there is none, and there is one again if nobody was asked to stand", () => {
    const script = leased()
    script.elect(1)
    script.isolated.add(3)
    script.propose(1, "a")
    script.run()
    script.transfer(1, 3)
    round(script, 2)
    assert.isFalse(holds(script))
    script.pass(1100)
    assert.isUndefined(script.core(1).transfer)
    assert.isTrue(holds(script))
  })

  it("once somebody was asked to stand there is none in that term: the request may arrive at any later time", () => {
    const script = leased()
    script.elect(1)
    script.transfer(1, 2)
    const asked = script.take("TimeoutNow", { to: 2 })
    assert.strictEqual(asked.length, 1)
    script.pass(5000)
    assert.isUndefined(script.core(1).transfer)
    round(script, 2, 3)
    assert.isFalse(readsAtOnce(script, 7))
    script.send(1, 2, asked[0]!)
    script.run()
    assert.strictEqual(script.core(2).role, "Leader")
    script.pass(200)
    assert.isTrue(holds(script, 2), "another term, another lease")
    script.transfer(2, 1)
    script.pass(200)
    assert.strictEqual(script.core(1).role, "Leader")
    assert.isTrue(holds(script, 1), "and for whoever leads again")
  })

  it("a leader that was paused finds its lease expired, though what it hears first are answers from before", () => {
    const script = leased()
    script.elect(1)
    round(script, 2, 3)
    script.beat(1)
    script.drop()
    const late = [2, 3].map((number) => ({
      _tag: "Message" as const,
      from: idOf(number),
      message: confirmed(2, script.core(1).round)
    }))
    script.now += 1000
    script.step(1, ...late, { _tag: "Read", id: 7 })
    assert.deepStrictEqual(script.node(1).reads, [])
  })
})

describe("the members' side of a lease", () => {
  it("whoever heard the leader within an election timeout helps nobody, though the link to it broke", () => {
    const script = leased()
    script.elect(1)
    const heard = script.core(2).contactAt
    script.step(2, { _tag: "Unreachable", peer: idOf(1) })
    script.now = heard + 999
    for (const preVote of [true, false]) script.send(3, 2, vote(9, { preVote }))
    assert.strictEqual(script.core(2).term, 2)
    script.node(2).sync(script.now)
    assert.deepStrictEqual(script.take("VoteReply", { from: 2 }), [])
    script.now = heard + 1000
    script.send(3, 2, vote(9))
    assert.strictEqual(script.core(2).vote, idOf(3))
  })

  it("a lost link to the leader makes nobody stand sooner", () => {
    const script = leased()
    script.elect(1)
    const before = script.core(2).electionDeadline
    script.step(2, { _tag: "Unreachable", peer: idOf(1) })
    assert.strictEqual(script.core(2).electionDeadline, before)
  })

  it("a member that learns of a later term from somebody else is bound all the same: the leader counts on its answer", () => {
    const script = leased()
    script.elect(1)
    round(script, 2)
    // A refusal that 3 sent long ago, when it was in a later term than 2.
    script.send(3, 2, { _tag: "VoteReply", term: 5, preVote: true, granted: false })
    assert.strictEqual(script.core(2).term, 5)
    assert.strictEqual(script.core(2).leader, "")
    assert.isTrue(holds(script))
    script.send(3, 2, vote(6, { preVote: true }))
    script.send(3, 2, vote(6))
    assert.strictEqual(script.core(2).term, 5)
    script.node(2).sync(script.now)
    assert.deepStrictEqual(script.take("VoteReply", { from: 2 }), [])
  })

  it("a member that has just started gives no vote for an election timeout: it may have answered a leader before", () => {
    const script = leased()
    script.elect(1)
    script.crash(2)
    const started = script.now
    script.now = started + 999
    for (const preVote of [true, false]) script.send(3, 2, vote(9, { preVote }))
    script.node(2).sync(script.now)
    assert.deepStrictEqual(script.take("VoteReply", { from: 2 }), [])
    script.now = started + 1000
    for (const preVote of [true, false]) script.send(3, 2, vote(9, { preVote }))
    script.node(2).sync(script.now)
    assert.deepStrictEqual(script.take("VoteReply", { from: 2 }).map(({ granted }) => granted), [true, true])
  })

  it("it does not stand for election in that time either, not even as the only voter", () => {
    for (const voters of [[1], [1, 2, 3]]) {
      const script = leased(voters)
      assert.isAtLeast(script.core(1).electionDeadline, 1000)
      script.now = 999
      script.core(1).electionDeadline = 0
      script.step(1, { _tag: "ElectionTimer" })
      assert.strictEqual(script.core(1).role, "Follower")
      assert.strictEqual(script.core(1).electionDeadline, 1000)
    }
  })

  it("a vote that the leader asked for is given even right after a start: that leader has no lease any more", () => {
    const script = leased()
    script.elect(1)
    script.isolated.add(3)
    script.crash(2)
    script.transfer(1, 0)
    script.isolated.clear()
    script.send(3, 2, vote(3, { transfer: true }))
    assert.strictEqual(script.core(2).vote, idOf(3))
  })

  it("whoever was about to stand when a snapshot brought a configuration with leases waits until it is free to", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.elect(1)
    const heard = script.core(2).contactAt
    script.step(2, { _tag: "Unreachable", peer: idOf(1) })
    const configuration = { ...configurationOf(1, 2, 3), settings: { ...configurationOf().settings, ...cluster } }
    script.step(2, { _tag: "SnapshotInstalled", index: 9, term: 2, configuration, configurationIndex: 8 })
    script.now = script.core(2).electionDeadline
    assert.isBelow(script.now, heard + 1000)
    script.step(2, { _tag: "ElectionTimer" })
    assert.strictEqual(script.core(2).role, "Follower")
    assert.strictEqual(script.core(2).electionDeadline, heard + 1000)
  })

  it("where leases are off nobody is bound: a member votes right after its start, and for whoever asks when the link broke", () => {
    const script = new Script({ voters: [1, 2, 3] })
    script.send(3, 2, vote(9))
    assert.strictEqual(script.core(2).vote, idOf(3))
    script.send(1, 2, append(9, 1, 1, []))
    script.step(2, { _tag: "Unreachable", peer: idOf(1) })
    script.send(3, 2, vote(10))
    assert.strictEqual(script.core(2).term, 10)
  })

  it("with leases on a dead leader is still replaced, within four election timeouts", () => {
    const script = leased([1, 2, 3, 4, 5])
    script.elect(1)
    script.pass(500)
    script.isolated.add(1)
    script.pass(4000)
    const leaders = [2, 3, 4, 5].filter((number) => script.core(number).role === "Leader")
    assert.strictEqual(leaders.length, 1)
    assert.isTrue(holds(script, leaders[0]))
    assert.isFalse(holds(script, 1))
  })
})
