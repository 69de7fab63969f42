/** etcd-raft `tracker/progress.go`. */
import { assert, describe, it } from "vitest"
import { Progress } from "../../src/core/Progress.ts"

const progress = () =>
  new Progress({ id: "a", witness: false, next: 11, now: 0, windowMessagesMax: 4, windowBytesMax: 100 })

describe("progress", () => {
  it("begins by probing, behind the leader's last entry", () => {
    const { match, next, state } = progress()
    assert.deepStrictEqual([state, match, next], ["Probe", 0, 11])
  })

  it("never goes back behind what the member is known to have", () => {
    const peer = progress()
    peer.match = 8
    peer.probe(3)
    assert.strictEqual(peer.next, 9)
  })

  it("any change of state forgets what is in flight and takes the permit back", () => {
    for (const change of ["probe", "replicate", "awaitSnapshot"] as const) {
      const peer = progress()
      peer.window.add(5, 50, 0)
      peer.permitted = true
      peer[change](12)
      assert.isTrue(peer.window.isEmpty)
      assert.strictEqual(peer.window.bytes, 0)
      assert.isFalse(peer.permitted)
    }
  })

  it("a member is active while its last answer is younger than the time given", () => {
    const peer = progress()
    assert.isFalse(peer.isActive(0, 1000))
    peer.heardAt = 500
    assert.isTrue(peer.isActive(1499, 1000))
    assert.isFalse(peer.isActive(1500, 1000))
  })
})
