/** Rule 15 of those that are easily missed: what others report about a peer may be late, and what the peer itself has acknowledged stays. */
import { assert, describe, it } from "vitest"
import { idOf } from "../support/Cluster.ts"
import { Script } from "../support/Script.ts"

describe("reports about a peer", () => {
  it("a report that a peer is unreachable takes back nothing that it acknowledged", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const { core } = script.elect(1)
    script.isolated.add(3)
    const progress = core.progress.get(idOf(2))!
    for (const label of ["a", "b", "c"]) {
      script.propose(1, label)
      script.run()
      const { match } = progress
      assert.strictEqual(match, core.commitIndex)
      script.step(1, { _tag: "Unreachable", peer: idOf(2) })
      assert.deepStrictEqual([progress.match, progress.next, core.commitIndex], [match, match + 1, match])
      script.step(1, { _tag: "Connected", peer: idOf(2) })
      script.run()
    }
    assert.strictEqual(script.node(2).trace, "C@1 N@2 a@2 b@2 c@2")
  })

  it("a report on a link that broke, which comes after the peer acknowledged more over the next one, takes none of that back", () => {
    const script = new Script({ voters: [1, 2, 3] })
    const { core } = script.elect(1)
    script.run()
    const progress = core.progress.get(idOf(2))!
    script.propose(1, "a", "b")
    script.step(1, { _tag: "Connected", peer: idOf(2) })
    const before = progress.match
    script.run()
    assert.strictEqual(progress.match, before + 2)
    script.step(1, { _tag: "Unreachable", peer: idOf(2) })
    assert.deepStrictEqual([progress.match, progress.next], [before + 2, before + 3])
    script.step(1, { _tag: "Connected", peer: idOf(2) })
    script.propose(1, "c")
    script.run()
    assert.strictEqual(progress.match, before + 3)
  })
})
