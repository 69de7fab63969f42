/** The window of unacknowledged messages against a list of what is in flight. etcd-raft `tracker/inflights.go`. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Window } from "../../src/core/Progress.ts"

/** A message of `much` bytes goes out, an acknowledgement comes `much` entries behind the end, or all is forgotten. */
const Change = Schema.Struct({
  kind: Schema.Literals(["add", "add", "add", "free", "free", "clear"]),
  much: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))
})

describe("window", () => {
  it.prop(
    "answers as a list of what is in flight would, however often its ring goes round",
    [Schema.Array(Change).check(Schema.isMinLength(20), Schema.isMaxLength(60))],
    ([changes]) => {
      const window = new Window(5, 40)
      let flights: ReadonlyArray<{ readonly last: number; readonly bytes: number; readonly at: number }> = []
      let last = 0
      let freedAt = -1
      changes.forEach(({ kind, much }, at) => {
        if (kind === "clear") {
          window.clear()
          flights = []
        } else if (kind === "free") {
          window.free(last - much, at)
          const rest = flights.filter((flight) => flight.last > last - much)
          if (rest.length < flights.length) freedAt = at
          flights = rest
        } else if (!window.isFull) {
          last += 1 + much % 3
          window.add(last, much, at)
          flights = [...flights, { last, bytes: much, at }]
        }
        const bytes = flights.reduce((sum, flight) => sum + flight.bytes, 0)
        assert.strictEqual(window.bytes, bytes)
        assert.strictEqual(window.isEmpty, flights.length === 0)
        assert.strictEqual(window.isFull, flights.length === 5 || bytes >= 40)
        if (flights.length > 0) assert.strictEqual(window.waitingSince, Math.max(flights[0]!.at, freedAt))
      })
    },
    { arbitrary: { runs: 300, seed: 5 } }
  )
})
