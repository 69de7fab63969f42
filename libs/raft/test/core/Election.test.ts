/** Raft paper §5.2, §5.4.1; dissertation §4.2.3, §6.2, §9.6. */
import { assert, describe, it } from "vitest"
import { idOf, memberOf } from "../support/Cluster.ts"
import { append, Script } from "../support/Script.ts"

const three = () => new Script({ voters: [1, 2, 3] })

describe("election", () => {
  it("a member that hears nobody polls first, and its term stays until a majority would vote for it", () => {
    const script = three()
    script.isolated.add(1)
    script.pass(10_000)
    assert.strictEqual(script.core(1).role, "PreCandidate")
    assert.strictEqual(script.core(1).term, 1)
    assert.isAbove(script.core(2).term, 1, "the others have elected someone")
  })

  it("a poll changes nobody's term and nobody's vote", () => {
    const script = three()
    script.timeout(1)
    assert.isTrue(script.wire.every(({ message }) => message._tag === "VoteRequest" && message.preVote))
    script.run(() => script.core(1).role === "Candidate")
    for (const number of [2, 3]) {
      assert.strictEqual(script.core(number).term, 1)
      assert.strictEqual(script.core(number).vote, "")
    }
  })

  it("a majority of votes makes a leader, which begins its term with an entry of its own", () => {
    const script = three()
    const { core } = script.elect(1)
    assert.strictEqual(core.term, 2)
    assert.strictEqual(script.node(1).trace, "C@1 N@2")
    assert.strictEqual(script.core(2).leader, idOf(1))
    assert.strictEqual(script.core(3).leader, idOf(1))
  })

  it("a vote is not answered before term and vote are durable", () => {
    const script = three()
    script.stalled.add(2)
    script.isolated.add(3)
    script.timeout(1)
    script.run()
    const voter = script.node(2)
    assert.strictEqual(voter.core.vote, idOf(1))
    assert.strictEqual(script.core(1).role, "Candidate", "no answer has come")
    assert.deepStrictEqual(voter.disk.hardState, { term: 1, vote: "" })
    script.stalled.clear()
    script.run()
    assert.deepStrictEqual(voter.disk.hardState, { term: 2, vote: idOf(1) })
    assert.strictEqual(script.core(1).role, "Leader")
  })

  it("a crash at any write leaves either the old vote or the new one with its term, and never a second vote in a term", () => {
    for (const durable of [0, 1, 2, 3, 4]) {
      const script = three()
      const vote = (from: number) =>
        script.send(from, 2, {
          _tag: "VoteRequest",
          term: 2,
          lastIndex: 1,
          lastTerm: 1,
          preVote: false,
          transfer: false
        })
      vote(1)
      script.node(2).sync(0, durable)
      const answered = script.take("VoteReply", { from: 2, to: 1 }).some(({ granted }) => granted)
      script.crash(2)
      vote(3)
      script.node(2).sync(0)
      const again = script.take("VoteReply", { from: 2, to: 3 }).some(({ granted }) => granted)
      assert.isFalse(answered && again, `two votes after ${durable} writes`)
      assert.isTrue(answered || again)
    }
  })

  it("a member that is asked again by the candidate it voted for says yes again", () => {
    const script = three()
    const request = {
      _tag: "VoteRequest",
      term: 2,
      lastIndex: 1,
      lastTerm: 1,
      preVote: false,
      transfer: false
    } as const
    script.send(1, 2, request)
    script.node(2).sync(0)
    script.send(1, 2, request)
    assert.deepStrictEqual(script.take("VoteReply", { from: 2 }).map(({ granted }) => granted), [true, true])
  })

  it("a candidate counts its own vote only when that is durable", () => {
    const script = three()
    script.timeout(1)
    script.stalled.add(1)
    script.run()
    assert.strictEqual(script.core(1).role, "Candidate")
    assert.strictEqual(
      script.take("VoteRequest").length,
      0,
      "nobody is asked before the candidate's own vote is durable"
    )
    script.send(2, 1, { _tag: "VoteReply", term: 2, preVote: false, granted: true })
    assert.strictEqual(script.core(1).role, "Candidate")
    script.node(1).sync(script.now)
    assert.strictEqual(script.core(1).role, "Leader")
  })

  it("a single member leads only after its vote for itself is durable", () => {
    const script = new Script({ voters: [1] })
    script.stalled.add(1)
    script.timeout(1)
    script.run()
    assert.strictEqual(script.core(1).role, "Candidate")
    script.node(1).sync(script.now)
    assert.strictEqual(script.core(1).role, "Leader")
  })

  it("a vote goes to a log that is at least as up to date: the last term counts first, then the length", () => {
    const script = three()
    script.send(1, 2, append(3, 1, 1, ["a@2", "b@3"]))
    script.node(2).sync(0)
    script.drop()
    script.now = 10_000
    const grants = (lastIndex: number, lastTerm: number, preVote: boolean) => {
      script.send(3, 2, { _tag: "VoteRequest", term: 9, lastIndex, lastTerm, preVote, transfer: false })
      script.node(2).sync(script.now)
      return script.take("VoteReply", { from: 2 }).at(-1)!.granted
    }
    for (const preVote of [true, false]) {
      assert.isFalse(grants(100, 2, preVote), "an older last term, however long")
      assert.isFalse(grants(2, 3, preVote), "the same last term, but shorter")
      assert.isTrue(grants(3, 3, preVote), "the same log")
      assert.isTrue(grants(1, 4, preVote), "a newer last term, however short")
    }
  })

  it("whoever heard the leader within an election timeout takes no notice of candidates", () => {
    const script = three()
    script.elect(1)
    for (const preVote of [true, false]) {
      script.send(3, 2, { _tag: "VoteRequest", term: 9, lastIndex: 9, lastTerm: 9, preVote, transfer: false })
    }
    script.run()
    assert.strictEqual(script.core(2).term, 2)
    assert.strictEqual(script.core(2).leader, idOf(1))
    script.now += 1000
    script.send(3, 2, { _tag: "VoteRequest", term: 9, lastIndex: 9, lastTerm: 9, preVote: false, transfer: false })
    assert.strictEqual(script.core(2).term, 9)
  })

  it("a leader takes no notice of candidates either, and steps down when a reply shows a higher term", () => {
    const script = three()
    script.elect(1)
    script.now += 5000
    script.send(3, 1, { _tag: "VoteRequest", term: 9, lastIndex: 9, lastTerm: 9, preVote: false, transfer: false })
    assert.strictEqual(script.core(1).role, "Leader")
    script.send(3, 1, { _tag: "HeartbeatReply", term: 9, round: 0 })
    assert.strictEqual(script.core(1).role, "Follower")
    assert.strictEqual(script.core(1).term, 9)
  })

  it("a refusal carries the voter's term, so that a candidate that is behind catches up and can win", () => {
    const script = three()
    script.isolated.add(3)
    script.send(9, 2, { _tag: "HeartbeatReply", term: 5, round: 0 })
    script.timeout(1)
    script.run()
    assert.strictEqual(script.core(1).term, 5)
    assert.strictEqual(script.core(1).role, "Follower")
    script.timeout(1)
    script.run()
    assert.strictEqual(script.core(1).role, "Leader")
    assert.strictEqual(script.core(1).term, 6)
  })

  it("a leader of the past that speaks is told the present term, and follows", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(1)
    script.now += 5000
    script.elect(2)
    script.isolated.clear()
    script.beat(1)
    script.run()
    assert.strictEqual(script.core(1).role, "Follower")
    assert.strictEqual(script.core(1).term, 3)
  })

  it("a word from the leader restarts the election timer, a refused poll does not", () => {
    const script = three()
    script.elect(1)
    const before = script.core(2).electionDeadline
    script.beat(1)
    script.run()
    assert.isAbove(script.core(2).electionDeadline, before)
    const kept = script.core(2).electionDeadline
    script.send(3, 2, { _tag: "VoteRequest", term: 3, lastIndex: 0, lastTerm: 0, preVote: true, transfer: false })
    assert.strictEqual(script.core(2).electionDeadline, kept)
  })

  it("an election timer that fires before its deadline does nothing", () => {
    const script = three()
    script.now = script.core(1).electionDeadline - 1
    script.step(1, { _tag: "ElectionTimer" })
    assert.strictEqual(script.core(1).role, "Follower")
  })

  it("the election timeout lies between one and two of the configured ones", () => {
    for (const [jitter, millis] of [[0, 1000], [0.999, 1999]] as const) {
      const script = three()
      script.node(1).crash(0, jitter)
      assert.strictEqual(script.core(1).electionDeadline, millis)
    }
  })

  it("a member whose link to the leader broke stands sooner, unless a heartbeat comes over a new link", () => {
    const script = three()
    script.elect(1)
    const whole = script.core(2).electionDeadline
    script.step(2, { _tag: "Unreachable", peer: idOf(1) })
    assert.isAtMost(script.core(2).electionDeadline, script.now + 1000)
    assert.isBelow(script.core(2).electionDeadline, whole)
    script.beat(1)
    script.run()
    assert.strictEqual(script.core(2).electionDeadline, script.now + 1500)
  })

  it("a lost link to somebody else than the leader changes nothing", () => {
    const script = three()
    script.elect(1)
    const before = script.core(2).electionDeadline
    script.step(2, { _tag: "Unreachable", peer: idOf(3) })
    assert.strictEqual(script.core(2).electionDeadline, before)
  })

  it("check-quorum: a leader that no majority answers steps down within two election timeouts", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(1)
    script.pass(999)
    assert.strictEqual(script.core(1).role, "Leader")
    script.pass(1002)
    assert.notStrictEqual(script.core(1).role, "Leader")
    assert.strictEqual(script.core(1).leader, "")
  })

  it("check-quorum: a leader that a majority answers stays", () => {
    const script = three()
    script.elect(1)
    script.isolated.add(3)
    script.pass(10_000)
    assert.strictEqual(script.core(1).role, "Leader")
    assert.strictEqual(script.core(1).term, 2)
  })

  it("check-quorum: during a joint change both halves have to answer", () => {
    for (const silent of [[2, 3], [4, 5]]) {
      const script = new Script({ voters: [1, 2, 3], outgoing: [1, 4, 5] })
      script.timeout(1)
      script.run(() => script.core(1).role === "Leader")
      // The leader cannot finish the change, since it cannot commit: the half is silent from the start.
      for (const number of silent) script.isolated.add(number)
      script.pass(2100)
      assert.notStrictEqual(script.core(1).role, "Leader", `without ${silent}`)
    }
  })

  it("during a joint change an election needs a majority of both halves", () => {
    for (const silent of [[2, 3], [4, 5]]) {
      const script = new Script({ voters: [1, 2, 3], outgoing: [1, 4, 5] })
      for (const number of silent) script.isolated.add(number)
      script.timeout(1)
      script.run()
      assert.strictEqual(script.core(1).role, "PreCandidate", `without ${silent}`)
    }
    const script = new Script({ voters: [1, 2, 3], outgoing: [1, 4, 5] })
    script.isolated.add(3)
    script.isolated.add(5)
    script.timeout(1)
    script.run()
    assert.strictEqual(script.core(1).role, "Leader")
  })

  it("a candidacy itself, and not only the poll, needs a majority of both halves", () => {
    const script = new Script({ voters: [1, 2, 3], outgoing: [1, 4, 5] })
    script.timeout(1)
    script.run(() => script.core(1).role === "Candidate")
    script.node(1).sync(script.now)
    script.drop()
    for (const number of [2, 3]) {
      script.send(number, 1, { _tag: "VoteReply", term: 2, preVote: false, granted: true })
    }
    assert.strictEqual(script.core(1).role, "Candidate")
    script.send(4, 1, { _tag: "VoteReply", term: 2, preVote: false, granted: true })
    assert.strictEqual(script.core(1).role, "Leader")
  })

  it("a learner never stands for election, and stops believing in a leader that is silent", () => {
    const script = new Script({ voters: [1], learners: [memberOf(2)] })
    script.elect(1)
    assert.strictEqual(script.core(2).role, "Learner")
    assert.strictEqual(script.core(2).leader, idOf(1))
    script.isolated.add(2)
    script.pass(10_000)
    assert.strictEqual(script.core(2).role, "Learner")
    assert.strictEqual(script.core(2).term, 2)
    assert.strictEqual(script.core(2).leader, "")
  })

  it("a learner votes when asked: the candidate may know of a promotion that the learner does not", () => {
    const script = new Script({ voters: [1, 2], learners: [memberOf(3)] })
    for (const preVote of [true, false]) {
      script.send(1, 3, { _tag: "VoteRequest", term: 2, lastIndex: 1, lastTerm: 1, preVote, transfer: false })
      script.node(3).sync(0)
      assert.isTrue(script.take("VoteReply", { from: 3 })[0]!.granted)
    }
  })

  it("votes of members without a vote count for nothing", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [memberOf(4), memberOf(5)] })
    script.isolated.add(2)
    script.isolated.add(3)
    script.timeout(1)
    for (const number of [4, 5]) {
      script.send(number, 1, { _tag: "VoteReply", term: 2, preVote: true, granted: true })
    }
    assert.strictEqual(script.core(1).role, "PreCandidate")
  })

  it("answers of an earlier candidacy count for nothing", () => {
    const script = three()
    script.timeout(1)
    script.run(() => script.core(1).role === "Candidate")
    script.node(1).sync(script.now)
    script.drop()
    script.timeout(1)
    assert.strictEqual(script.core(1).role, "PreCandidate")
    script.send(2, 1, { _tag: "VoteReply", term: 2, preVote: false, granted: true })
    assert.strictEqual(script.core(1).role, "PreCandidate")
    script.run(() => script.core(1).role === "Candidate")
    script.node(1).sync(script.now)
    script.send(2, 1, { _tag: "VoteReply", term: 2, preVote: false, granted: true })
    assert.strictEqual(script.core(1).role, "Candidate")
    assert.strictEqual(script.core(1).term, 3)
  })

  it("a member that says yes and then no, or twice yes, has one vote", () => {
    const script = new Script({ voters: [1, 2, 3, 4, 5] })
    script.timeout(1)
    for (let count = 0; count < 3; count++) {
      script.send(2, 1, { _tag: "VoteReply", term: 2, preVote: true, granted: true })
    }
    assert.strictEqual(script.core(1).role, "PreCandidate")
  })

  it("a candidate that a majority refuses becomes a follower, and keeps its vote for itself", () => {
    const script = three()
    script.timeout(1)
    script.run(() => script.core(1).role === "Candidate")
    script.node(1).sync(script.now)
    script.drop()
    for (const number of [2, 3]) {
      script.send(number, 1, { _tag: "VoteReply", term: 2, preVote: false, granted: false })
    }
    assert.strictEqual(script.core(1).role, "Follower")
    assert.strictEqual(script.core(1).vote, idOf(1))
  })

  it("a candidate that hears the leader of its term follows it", () => {
    const script = three()
    script.timeout(1)
    script.run(() => script.core(1).role === "Candidate")
    script.send(2, 1, { _tag: "Heartbeat", term: 2, commit: 0, round: 1 })
    assert.strictEqual(script.core(1).role, "Follower")
    assert.strictEqual(script.core(1).leader, idOf(2))
  })

  it("two leaders in one term are impossible: whoever sees it stops", () => {
    const script = three()
    script.elect(1)
    assert.throws(() => script.send(2, 1, { _tag: "Heartbeat", term: 2, commit: 0, round: 1 }), /two leaders in term 2/)
  })

  it("with any one link cut, in one direction or both, a leader is found and commits, and whoever was cut off deposes nobody", () => {
    for (const [one, other] of [[1, 2], [2, 3], [1, 3]] as const) {
      for (const cuts of [[`${one}>${other}`], [`${other}>${one}`], [`${one}>${other}`, `${other}>${one}`]]) {
        const script = three()
        script.elect(1)
        for (const cut of cuts) script.cuts.add(cut)
        script.pass(30_000)
        const leaders = [1, 2, 3].filter((number) => script.core(number).role === "Leader")
        const leader = Math.max(...leaders.map((number) => script.core(number).term))
        const number = leaders.find((number) => script.core(number).term === leader)
        assert.isDefined(number, `a leader without ${cuts}`)
        const before = script.core(number!).commitIndex
        script.propose(number!, "x")
        script.pass(1000)
        assert.isAbove(script.core(number!).commitIndex, before, `commits without ${cuts}`)
        const term = script.core(number!).term
        script.pass(30_000)
        assert.strictEqual(script.core(number!).term, term, `a stable term without ${cuts}`)
        script.cuts.clear()
        script.pass(10_000)
        const { core } = script.node(number!)
        assert.deepStrictEqual([core.role, core.term], ["Leader", term], `the same leader after ${cuts}`)
      }
    }
  })

  it("a lone voter stands for election at once, and every other member waits", () => {
    assert.strictEqual(new Script({ voters: [1] }).core(1).electionDeadline, 0)
    assert.isAtLeast(new Script({ voters: [1, 2] }).core(1).electionDeadline, 1000)
  })
})
