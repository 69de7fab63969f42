/** The load on the ceiling: puts in its own frames on one connection to the leader. It has no reads. */
import { Effect } from "effect"
import * as Frames from "../ceiling/Frames.ts"
import { keyBytes } from "../Limits.ts"
import type { Driver } from "./Driver.ts"
import { DriverError } from "./Driver.ts"
import * as RawSockets from "./RawSockets.ts"
import { value } from "./Workload.ts"

const slabBytes = 1024 * 1024

const wire = (events: RawSockets.WireEvents): RawSockets.Wire => {
  let slab = Buffer.allocUnsafe(slabBytes)
  let start = 0
  let end = 0
  const flush = (): void => {
    if (end === start) return
    events.write(slab.subarray(start, end))
    start = end
  }
  return {
    open: events.onReady,
    flush,
    receive: Frames.answers(events.onAnswer, () => undefined),
    call: (slot, keys, offset) => {
      if (end + Frames.putBytes > slab.length) {
        flush()
        slab = Buffer.allocUnsafe(slabBytes)
        start = 0
        end = 0
      }
      slab.writeUInt32LE(Frames.putBytes - Frames.lengthBytes, end)
      slab.writeUInt32LE(slot, end + 4)
      for (let index = 0; index < keyBytes; index++) slab[end + 8 + index] = keys[offset + index]!
      slab.set(value, end + 8 + keyBytes)
      end += Frames.putBytes
    }
  }
}

/** A driver for the leader at `endpoint` (`host:port`). */
export const make = (endpoint: string): Driver => ({
  run: ({ callers, meter, operation }) =>
    operation === "get"
      ? Effect.fail(new DriverError({ message: "the ceiling has no reads" }))
      : RawSockets.run({ addresses: [endpoint], callers, meter, wire: (_, events) => wire(events) })
})
