/**
 * The load on etcd through the HTTP/2 client that Node ships with, which is what a program on Node pays at least for a call of etcd:
 * no promises, no decoding, ready-made messages.
 */
import { Effect } from "effect"
import * as Http2 from "node:http2"
import { performance } from "node:perf_hooks"
import { keyBytes } from "../Limits.ts"
import type { Driver } from "./Driver.ts"
import { DriverError } from "./Driver.ts"
import * as EtcdMessages from "./EtcdMessages.ts"
import { keyOffset, keyTable } from "./Workload.ts"

const windowBytes = 16 * 1024 * 1024

/** A driver for the members whose client ports are `endpoints` (`host:port`). Each run makes its connections anew. */
export const make = (endpoints: ReadonlyArray<string>): Driver => ({
  run: ({ callers, connections, meter, operation }) =>
    Effect.callback<void, DriverError>((resume) => {
      const template = EtcdMessages.template(operation)
      const request = Buffer.alloc(5 + template.message.length)
      request.writeUInt32BE(template.message.length, 1)
      request.set(template.message, 5)
      const headers = {
        ":method": "POST",
        ":path": template.path,
        "content-type": "application/grpc",
        te: "trailers"
      }
      let idle = 0
      let done = false
      const sessions = Array.from(
        { length: Math.min(callers, endpoints.length * connections) },
        (_, index) => {
          const session = Http2.connect(`http://${endpoints[index % endpoints.length]}`, {
            settings: { initialWindowSize: 1024 * 1024, enablePush: false }
          })
          session.on("error", (cause) => fail(cause.message, cause))
          session.on("connect", () => session.setLocalWindowSize(windowBytes))
          return session
        }
      )
      const close = (): void => {
        done = true
        for (const session of sessions) session.destroy()
      }
      const finish = (exit: Effect.Effect<void, DriverError>): void => {
        if (done) return
        close()
        resume(exit)
      }
      const fail = (message: string, cause?: unknown): void => finish(Effect.fail(new DriverError({ message, cause })))

      const next = (slot: number): void => {
        if (!meter.start()) {
          idle += 1
          if (idle === callers) finish(Effect.void)
          return
        }
        const startedMillis = performance.now()
        const bytes = Buffer.from(request)
        const offset = keyOffset(meter.sequence)
        keyTable.copy(bytes, 5 + template.keyOffset, offset, offset + keyBytes)
        const stream = sessions[slot % sessions.length]!.request(headers)
        let received = 0
        stream.on("data", (chunk: Buffer) => {
          received += chunk.length
        })
        stream.on("end", () => {
          if (received < 5 + template.answerBytesMin) return fail("etcd answered a call with an error")
          meter.finish(startedMillis, performance.now())
          next(slot)
        })
        stream.on("error", (cause) => fail(cause.message, cause))
        stream.end(bytes)
      }
      for (let slot = 0; slot < callers; slot++) next(slot)
      return Effect.sync(close)
    })
})
