/**
 * Callers that are numbers in a table, on bare sockets: the loop that the drivers for etcd and for the ceiling share. What one read of a socket
 * brings is handled at once, and what it makes the callers send goes out as one write.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Net from "node:net"
import { performance } from "node:perf_hooks"
import { DriverError } from "./Driver.ts"
import type { Meter } from "./Meter.ts"
import { keyOffset, keyTable } from "./Workload.ts"

/** A protocol on one connection. */
export interface Wire {
  /** Says what has to be said before the first call; `onReady` follows. */
  readonly open: () => void
  readonly call: (slot: number, keys: Uint8Array, offset: number) => void
  readonly flush: () => void
  readonly receive: (chunk: Buffer) => void
}

export interface WireEvents {
  readonly write: (bytes: Uint8Array) => void
  readonly onReady: () => void
  readonly onAnswer: (slot: number) => void
  readonly onFailure: (message: string) => void
}

export interface SocketsOptions {
  /** `host:port` of each connection to make. */
  readonly addresses: ReadonlyArray<string>
  readonly callers: number
  readonly meter: Meter
  readonly wire: (address: string, events: WireEvents) => Wire
}

const parseAddress = (address: string): { readonly host: string; readonly port: number } => {
  const colon = address.lastIndexOf(":")
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) }
}

/** Connects all, then runs the callers, caller `n` on connection `n` modulo their number, until the meter stops them. */
export const run = (options: SocketsOptions): Effect.Effect<void, DriverError, Scope.Scope> =>
  Effect.callback<void, DriverError>((resume) => {
    const { addresses, callers, meter } = options
    const startedMillis = new Float64Array(callers)
    const sockets: Array<Net.Socket> = []
    const wires: Array<Wire> = []
    let missing = addresses.length
    let idle = 0
    let done = false

    const finish = (exit: Effect.Effect<void, DriverError>): void => {
      if (done) return
      done = true
      for (const socket of sockets) socket.destroy()
      resume(exit)
    }
    const fail = (message: string, cause?: unknown): void => finish(Effect.fail(new DriverError({ message, cause })))

    const next = (slot: number, now: number): void => {
      if (!meter.start()) {
        idle += 1
        if (idle === callers) finish(Effect.void)
        return
      }
      startedMillis[slot] = now
      wires[slot % wires.length]!.call(slot, keyTable, keyOffset(meter.sequence))
    }
    const begin = (): void => {
      const now = performance.now()
      for (let slot = 0; slot < callers; slot++) next(slot, now)
      for (const wire of wires) wire.flush()
    }

    for (const address of addresses) {
      const socket = Net.connect({ ...parseAddress(address), noDelay: true })
      sockets.push(socket)
      let now = 0
      const wire = options.wire(address, {
        write: (bytes) => void socket.write(bytes),
        onReady: () => {
          missing -= 1
          if (missing === 0) begin()
        },
        onAnswer: (slot) => {
          meter.finish(startedMillis[slot]!, now)
          next(slot, now)
        },
        onFailure: (message) => fail(`${address}: ${message}`)
      })
      wires.push(wire)
      socket.on("connect", () => wire.open())
      socket.on("data", (chunk) => {
        now = performance.now()
        wire.receive(chunk)
        wire.flush()
      })
      socket.on("error", (cause) => fail(`${address}: ${cause.message}`, cause))
      socket.on("close", () => fail(`${address}: the server closed the connection`))
    }
    return Effect.sync(() => {
      done = true
      for (const socket of sockets) socket.destroy()
    })
  })
