/** Historic bugs of deciding what is committed. Each test is named after the symptom that others had, with its number in the table of `@dkv/testkit`'s README. */
import { assert, describe, it } from "vitest"
import { idOf } from "../support/Cluster.ts"
import { append, Script } from "../support/Script.ts"

const labels = (script: Script, number: number) =>
  script.node(number).applied.map(({ label, term }) => `${label}@${term}`).join(" ")

/** Only these hear each other from now on, and long enough has passed for them to elect somebody. */
const only = (script: Script, ...numbers: ReadonlyArray<number>) => {
  script.drop()
  script.isolated.clear()
  for (const number of script.nodes.keys()) if (!numbers.includes(number)) script.isolated.add(number)
  script.now += 5000
}

/** `number` becomes leader among those that it reaches, in the second attempt if the first one taught it a term. */
const electAmong = (script: Script, number: number) => {
  script.timeout(number)
  script.run(() => script.core(number).role === "Leader")
  if (script.core(number).role !== "Leader") script.electSilently(number)
  script.drop()
}

describe("historic bugs: commit", () => {
  it("#1: an entry that was committed by counting copies of an older term is replaced (Raft paper §5.4.2, figure 8; LogCabin 44)", () => {
    const script = new Script({ voters: [1, 2, 3, 4, 5] })
    // (a) S1 leads term 2, and its entry reaches S2 only.
    script.electSilently(1)
    only(script, 1, 2)
    script.node(1).sync(script.now)
    script.send(1, 2, append(2, 1, 1, ["N@2"]))
    script.node(2).sync(script.now)
    // (b) S1 goes. S5 leads term 3 by the votes of S3 and S4, with an entry of its own at the same place.
    only(script, 3, 4, 5)
    electAmong(script, 5)
    script.node(5).sync(script.now)
    assert.strictEqual(script.node(5).trace, "C@1 N@3")
    // (c) S5 goes. S1 comes back, leads term 4, and brings the old entry, but not its own, to a majority.
    script.crash(1)
    only(script, 1, 2, 3)
    electAmong(script, 1)
    assert.deepStrictEqual([script.core(1).term, script.node(1).trace], [4, "C@1 N@2 N@4"])
    for (const number of [2, 3]) {
      script.send(1, number, append(4, 1, 1, ["N@2"]))
      script.node(number).sync(script.now)
    }
    script.run(() => script.wire.every(({ message }) => message._tag !== "AppendReply"))
    assert.deepStrictEqual([2, 3].map((number) => script.core(1).progress.get(idOf(number))!.match), [2, 2])
    assert.isBelow(script.core(1).commitIndex, 2, "three of five have it, and yet it is not committed")
    // (d) S1 goes. S5's last term is higher, so it may lead, and its entry replaces the other one.
    script.crash(5)
    only(script, 2, 3, 4, 5)
    electAmong(script, 5)
    script.isolated.clear()
    script.pass(5000)
    for (const number of [1, 2, 3, 4, 5]) assert.strictEqual(labels(script, number), "C@1 N@3 N@5")
  })

  it("#7: a commit without a true quorum, because match indexes were taken in the order of members (openraft 1802)", () => {
    const others = [2, 3, 4, 5]
    const groups = [{ voters: [1, 2, 3, 4, 5], outgoing: [] }, { voters: [1, 2, 3], outgoing: [1, 4, 5] }]
    for (const { outgoing, voters } of groups) {
      for (let code = 0; code < 4 ** others.length; code++) {
        const matches = new Map(others.map((number, at) => [number, 1 + Math.floor(code / 4 ** at) % 4]))
        matches.set(1, 4)
        const script = new Script({ voters, outgoing })
        script.electSilently(1)
        script.propose(1, "a", "b")
        script.node(1).sync(script.now)
        script.drop()
        const heard = new Map([[1, 4]])
        for (const number of others) {
          const index = matches.get(number)!
          heard.set(number, index)
          script.send(number, 1, { _tag: "AppendReply", term: 2, success: true, index, hintIndex: 0, hintTerm: 0 })
          const has = (index: number) => (group: ReadonlyArray<number>) =>
            group.length === 0 || group.filter((number) => (heard.get(number) ?? 0) >= index).length * 2 > group.length
          const committed = [4, 3, 2].find((index) => [voters, outgoing].every(has(index))) ?? 0
          assert.strictEqual(script.core(1).commitIndex, committed, `${[...heard]}`)
          // A joint change is over with its first commit.
          if (committed > 0 && outgoing.length > 0) break
        }
      }
    }
  })
})
