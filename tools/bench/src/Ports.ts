/** TCP ports on the loopback address: finding free ones, and waiting until one answers. Wraps `node:net`. */
import { Effect, Schedule } from "effect"
import * as Net from "node:net"
import { BenchError } from "./BenchError.ts"
import { startMillis } from "./Limits.ts"

const free = Effect.callback<number, BenchError>((resume) => {
  const server = Net.createServer()
  server.on("error", (cause) => resume(Effect.fail(new BenchError({ message: "no free port on 127.0.0.1", cause }))))
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** `127.0.0.1:PORT` for `count` ports that nobody listens on now. */
export const freeAddresses = (count: number): Effect.Effect<ReadonlyArray<string>, BenchError> =>
  Effect.map(Effect.all(Array.from({ length: count }, () => free)), (ports) => ports.map((port) => `127.0.0.1:${port}`))

/** The port of `host:port`. */
export const portOf = (address: string): string => address.slice(address.lastIndexOf(":") + 1)

const connectOnce = (address: string): Effect.Effect<void, BenchError> =>
  Effect.callback((resume) => {
    const socket = Net.connect(Number(portOf(address)), "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resume(Effect.void)
    })
    socket.on("error", (cause) => {
      socket.destroy()
      resume(Effect.fail(new BenchError({ message: `${address} does not answer`, cause })))
    })
    return Effect.sync(() => socket.destroy())
  })

/** Succeeds once somebody accepts connections at `address`. */
export const listening = (address: string): Effect.Effect<void, BenchError> =>
  connectOnce(address).pipe(
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo({ duration: startMillis })))
  )
