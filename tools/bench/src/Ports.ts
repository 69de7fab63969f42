/** TCP ports on the loopback address: finding free ones, and waiting until one answers. Wraps `node:net`. */
import { Effect, Random, Schedule } from "effect"
import * as Net from "node:net"
import { BenchError } from "./BenchError.ts"
import { startMillis } from "./Limits.ts"

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

/**
 * `127.0.0.1:PORT` for `count` ports that nobody listens on now, below those that systems give to outgoing connections: a connection of any program could get one of those
 * before the cluster takes it.
 */
export const freeAddresses = Effect.fnUntraced(function*(count: number) {
  const ports = new Set<number>()
  for (let tries = 0; ports.size < count; tries++) {
    if (tries >= triesMax) {
      return yield* new BenchError({ message: `found ${ports.size} free ports on 127.0.0.1, and needs ${count}` })
    }
    const port = yield* Random.nextIntBetween(10_000, 32_000)
    if (yield* isFree(port)) ports.add(port)
  }
  return Array.from(ports, (port) => `127.0.0.1:${port}`)
})

const triesMax = 1000

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
