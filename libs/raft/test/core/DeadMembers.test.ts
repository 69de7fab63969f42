/** Voters that do not come back: what the leader says, and when it gives their place away. */
import { assert, describe, it } from "vitest"
import type { DeadMembers } from "../../src/core/ClusterSettings.ts"
import type { Member } from "../../src/core/Configuration.ts"
import { idOf, memberOf } from "../support/Cluster.ts"
import { join, Script } from "../support/Script.ts"

const deadMemberMillis = 10_000

const cluster = (deadMembers: DeadMembers, learners: ReadonlyArray<Member> = []) => {
  const script = new Script({ voters: [1, 2, 3], learners, spares: [5], cluster: { deadMembers, deadMemberMillis } })
  script.elect(1)
  return script
}

const voters = (script: Script, number = 1) =>
  script.core(number).configuration.voters.map((id) => Number.parseInt(id, 16))

const standby = memberOf(4)

/** The leader finds that it has not heard the voter for too long. */
const die = (script: Script, number: number): void => {
  script.core(1).progress.get(idOf(number))!.isSilent = true
  script.step(1)
}

describe("a voter that is silent for too long", () => {
  it("is reported once, and reported again when it is heard", () => {
    const script = cluster("warn")
    script.isolated.add(3)
    script.pass(9000)
    assert.deepStrictEqual(script.node(1).silences, [])
    script.pass(2000)
    assert.deepStrictEqual(script.node(1).silences, ["silent 3"])
    script.pass(20_000)
    assert.deepStrictEqual(script.node(1).silences, ["silent 3"])
    script.isolated.clear()
    script.pass(2000)
    assert.deepStrictEqual(script.node(1).silences, ["silent 3", "heard 3"])
    script.isolated.add(3)
    script.pass(12_000)
    assert.deepStrictEqual(script.node(1).silences, ["silent 3", "heard 3", "silent 3"])
  })

  it("is not reported where the policy is off, nor if it answers now and then", () => {
    const off = cluster("off")
    off.isolated.add(3)
    off.pass(30_000)
    assert.deepStrictEqual(off.node(1).silences, [])
    const now = cluster("warn")
    for (let count = 0; count < 5; count++) {
      now.isolated.add(3)
      now.pass(8000)
      now.isolated.clear()
      now.pass(500)
    }
    assert.deepStrictEqual(now.node(1).silences, [])
  })

  it("learners are not reported: nobody needs their vote", () => {
    const script = cluster("warn", [standby])
    script.isolated.add(4)
    script.pass(30_000)
    assert.deepStrictEqual(script.node(1).silences, [])
  })

  it("silence counts from the beginning of the leadership: what others heard before is not known", () => {
    const script = cluster("warn")
    script.isolated.add(3)
    script.pass(8000)
    script.transfer(1, 2)
    script.pass(8000)
    assert.strictEqual(script.core(2).role, "Leader")
    assert.deepStrictEqual([...script.node(1).silences, ...script.node(2).silences], [])
    script.pass(4000)
    assert.deepStrictEqual(script.node(2).silences, ["silent 3"])
  })

  it("a leader that was stopped itself counts anew: it could hear nobody", () => {
    const script = cluster("replace", [standby])
    script.pass(3000)
    script.now += 60_000
    // What it wakes up to: its timers, and the answers of all but 3, which come a moment later.
    script.isolated.add(3)
    script.step(1, { _tag: "HeartbeatTimer" })
    script.run()
    script.step(1, { _tag: "QuorumTimer" })
    assert.strictEqual(script.core(1).role, "Leader")
    assert.deepStrictEqual(script.node(1).silences, [])
    script.isolated.clear()
    script.pass(30_000)
    assert.deepStrictEqual(voters(script), [1, 2, 3])
  })

  it("with a policy that only warns nobody takes its place", () => {
    const script = cluster("warn", [standby])
    script.isolated.add(3)
    script.pass(30_000)
    assert.deepStrictEqual(voters(script), [1, 2, 3])
  })

  it("gives its place to a learner that stands by, in one joint change", () => {
    const script = cluster("replace", [standby])
    script.isolated.add(3)
    script.pass(9000)
    assert.deepStrictEqual(voters(script), [1, 2, 3])
    script.pass(3000)
    assert.deepStrictEqual(script.node(1).silences, ["silent 3"])
    assert.deepStrictEqual([voters(script), voters(script, 4)], [[1, 2, 4], [1, 2, 4]])
    assert.deepStrictEqual(script.core(1).configuration.members.map(({ id }) => id), [1, 2, 4].map(idOf))
    const changes = script.node(1).entries.flatMap(({ configuration }) => configuration ?? [])
    assert.deepStrictEqual(changes.map(({ outgoing }) => outgoing.length), [0, 3, 0])
    assert.strictEqual(script.core(4).role, "Follower")
  })

  it("is never removed without a replacement, and replaced when there is one", () => {
    const script = cluster("replace")
    script.isolated.add(3)
    script.pass(30_000)
    assert.deepStrictEqual(voters(script), [1, 2, 3])
    script.change(1, join(5))
    script.pass(3000)
    assert.deepStrictEqual(voters(script), [1, 2, 5])
  })

  it("learners that are promoted by themselves, are meant for another place, or are witnesses do not stand by for it", () => {
    for (const change of [{ autoPromote: true }, { replaces: idOf(2) }, { witness: true }]) {
      const script = cluster("replace", [{ ...standby, ...change }])
      script.isolated.add(3)
      script.pass(20_000)
      assert.include(voters(script), 3, JSON.stringify(change))
    }
  })

  it("a learner that is silent or far behind does not stand by", () => {
    const script = cluster("replace", [standby])
    script.isolated.add(3).add(4)
    script.pass(20_000)
    assert.deepStrictEqual(voters(script), [1, 2, 3])
    script.isolated.delete(4)
    script.pass(3000)
    assert.deepStrictEqual(voters(script), [1, 2, 4])
  })

  it("keeps its place if it answers in the last moment", () => {
    const script = cluster("replace")
    script.isolated.add(3)
    script.pass(12_000)
    assert.deepStrictEqual(script.node(1).silences, ["silent 3"])
    script.isolated.clear()
    script.beat(1)
    script.run()
    script.change(1, join(5))
    // Until the timer looks again, only the answer itself says that it lives.
    script.core(1).quorumDeadline = Infinity
    script.pass(3000)
    assert.isTrue(script.core(1).progress.get(idOf(5))!.caughtUp)
    assert.deepStrictEqual(voters(script), [1, 2, 3])
  })

  it("is not replaced while another change is under way, nor while leadership is handed over", () => {
    const dying = () => {
      const script = cluster("replace", [standby])
      script.isolated.add(3)
      script.pass(3000)
      return script
    }
    const free = dying()
    die(free, 3)
    assert.deepStrictEqual(voters(free), [1, 2, 4])
    const changing = dying()
    changing.change(1, { _tag: "Configure", settings: { leaderLeases: true } })
    die(changing, 3)
    assert.deepStrictEqual(voters(changing), [1, 2, 3])
    changing.run()
    assert.deepStrictEqual(voters(changing), [1, 2, 4], "but then")
    const handing = dying()
    handing.propose(1, "a")
    handing.transfer(1, 2)
    die(handing, 3)
    assert.deepStrictEqual(voters(handing), [1, 2, 3])
  })

  it("is not replaced by a leader that has committed nothing of its own term", () => {
    const script = new Script({ voters: [1, 2, 3], learners: [standby], cluster: { deadMembers: "replace" } })
    const accepted = { _tag: "AppendReply", term: 3, success: true, index: 3, hintIndex: 0, hintTerm: 0 } as const
    script.elect(2)
    script.electSilently(1)
    script.send(2, 1, { _tag: "HeartbeatReply", term: 3, round: 0 })
    script.send(4, 1, accepted)
    assert.isTrue(script.core(1).progress.get(idOf(4))!.caughtUp)
    die(script, 3)
    assert.deepStrictEqual(voters(script), [1, 2, 3])
    script.send(2, 1, accepted)
    script.node(1).sync(script.now)
    assert.deepStrictEqual(voters(script), [1, 2, 4])
  })

  it("is not replaced if the new quorum would not answer now", () => {
    const script = new Script({
      voters: [1, 2, 3, 4, 5],
      learners: [memberOf(6)],
      cluster: { deadMembers: "replace", deadMemberMillis }
    })
    script.elect(1)
    script.pass(3000)
    for (const number of [2, 3, 4, 5]) script.core(1).progress.get(idOf(number))!.heardAt = -Infinity
    die(script, 5)
    assert.deepStrictEqual(voters(script), [1, 2, 3, 4, 5])
    script.core(1).progress.get(idOf(2))!.heardAt = script.now
    script.step(1)
    assert.deepStrictEqual(voters(script), [1, 2, 3, 4, 6])
  })

  it("two dead voters are replaced one after the other", () => {
    const script = new Script({
      voters: [1, 2, 3, 4, 5],
      learners: [memberOf(6), memberOf(7)],
      cluster: { deadMembers: "replace", deadMemberMillis }
    })
    script.elect(1)
    script.isolated.add(4).add(5)
    script.pass(13_000)
    assert.deepStrictEqual(voters(script).sort(), [1, 2, 3, 6, 7])
    const joint = script.node(1).entries.filter((entry) => (entry.configuration?.outgoing.length ?? 0) > 0)
    assert.strictEqual(joint.length, 2)
  })
})
