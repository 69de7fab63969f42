/** etcd-raft `tracker/inflights.go`, `tracker/progress.go`. */
import { assert, describe, it } from "vitest"
import { Progress, Window } from "../../src/core/Progress.ts"

const progress = () =>
  new Progress({ id: "a", witness: false, next: 11, now: 0, windowMessagesMax: 4, windowBytesMax: 100 })

describe("window", () => {
  it("answers as a list of what is in flight would, however often its ring goes round", () => {
    let state = 5
    const next = (bound: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      return (state >>> 8) % bound
    }
    const window = new Window(5, 40)
    let flights: Array<{ last: number; bytes: number; at: number }> = []
    let last = 0
    for (let step = 0; step < 5000; step++) {
      if (!window.isFull && next(3) > 0) {
        last += 1 + next(3)
        const bytes = next(20)
        window.add(last, bytes, step)
        flights.push({ last, bytes, at: step })
      } else if (next(50) === 0) {
        window.clear()
        flights = []
      } else {
        const index = last - next(10)
        window.free(index)
        flights = flights.filter((flight) => flight.last > index)
      }
      const bytes = flights.reduce((sum, flight) => sum + flight.bytes, 0)
      assert.strictEqual(window.bytes, bytes)
      assert.strictEqual(window.isEmpty, flights.length === 0)
      assert.strictEqual(window.isFull, flights.length === 5 || bytes >= 40)
      if (flights.length > 0) assert.strictEqual(window.oldestSentAt, flights[0]!.at)
    }
  })
})

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
