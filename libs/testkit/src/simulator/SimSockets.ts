/**
 * The network between clients and members of a simulation, as Effect's sockets: the switchboard that client and client port share within a process, with connections
 * that go from machine to machine. Links between two places can be cut, one way or both, clogged and reset, and machines are killed or vanish.
 */
import { Loopback } from "@dkv/protocol"
import { Effect, Latch, Layer } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Socket } from "effect/socket"
import { Connection } from "./SimConnection.ts"
import type { End, Links } from "./SimConnection.ts"
import type { Machine, World } from "./World.ts"

export interface SocketOptions {
  /** One-way delay. */
  readonly delayMinMillis: number
  readonly delayMeanMillis: number
  /** Longest piece that arrives at once. */
  readonly segmentBytesMax: number
  /** Bytes on their way, or unread, at which a writer waits. */
  readonly windowBytes: number
}

/** Where a machine is, or its successors: a name that outlives them. */
interface Place {
  readonly machine: Machine
  listener: ((end: End) => void) | undefined
}

export class SimSockets {
  private readonly options: SocketOptions
  private readonly links: Links
  private readonly places = new Map<string, Place>()
  private readonly connections = new Set<Connection>()
  private readonly cuts = new Set<string>()
  private readonly clogs = new Map<string, number>()

  constructor(world: World, options: SocketOptions) {
    this.options = options
    this.links = {
      world,
      prng: world.prng.fork(),
      segmentBytesMax: options.segmentBytesMax,
      windowBytes: options.windowBytes,
      delayMillis: (from, to) => this.delayMillis(from, to),
      isStalled: (from, to) => this.cuts.has(directionOf(from, to)) || !this.places.has(to)
    }
  }

  /** Puts a machine at `place`, for one boot. Its switchboard serves under the name of the place. */
  layer(place: string, machine: Machine): Layer.Layer<Loopback.Loopback> {
    const here: Place = { machine, listener: undefined }
    this.places.set(place, here)
    this.resume((connection) => connection.touches(place))
    return Layer.succeed(Loopback.Loopback, {
      connect: (address) => dialled(() => this.dial(place, address, machine)),
      serve: (_, handler) => serve(here, handler)
    })
  }

  /** The process has died. Its kernel ends what it had open, and refuses further calls. */
  kill(place: string): void {
    const here = this.places.get(place)
    if (here !== undefined) here.listener = undefined
    for (const end of this.endsAt(place)) end.close()
  }

  /** The machine is no more, without a word; there may be another one later. */
  vanish(place: string): void {
    this.places.delete(place)
    for (const end of this.endsAt(place)) end.vanish()
  }

  /** False if it was cut already. */
  cut(from: string, to: string): boolean {
    const wasWhole = !this.cuts.has(directionOf(from, to))
    this.cuts.add(directionOf(from, to))
    return wasWhole
  }

  heal(from: string, to: string): void {
    if (this.cuts.delete(directionOf(from, to))) this.resume((connection) => connection.joins(from, to))
  }

  healAll(): void {
    this.cuts.clear()
    this.clogs.clear()
    this.resume(() => true)
  }

  /** Holds back everything sent in this direction for a while. */
  clog(from: string, to: string, millis: number): void {
    this.clogs.set(directionOf(from, to), this.links.world.now + millis)
  }

  /** Breaks every connection between the two. False if there is none. */
  reset(one: string, other: string): boolean {
    let isBroken = false
    for (const connection of this.open()) {
      if (!connection.joins(one, other)) continue
      connection.break()
      isBroken = true
    }
    return isBroken
  }

  private dial(from: string, to: string, machine: Machine): End {
    const connection = new Connection(this.links, from, to, machine)
    const { far, near } = connection
    this.connections.add(connection)
    connection.dial(() => {
      const { listener, machine } = this.places.get(to)!
      if (listener === undefined) return far.refuse()
      far.accept(machine)
      this.links.world.schedule(() => listener(far), machine)
    })
    return near
  }

  private resume(concerns: (connection: Connection) => boolean): void {
    for (const connection of this.open()) if (concerns(connection)) connection.resume()
  }

  private *endsAt(place: string): Iterable<End> {
    for (const { far, near } of this.open()) {
      if (near.place === place && !near.isGone) yield near
      if (far.place === place && !far.isGone) yield far
    }
  }

  private *open(): Iterable<Connection> {
    for (const connection of this.connections) {
      if (connection.isOver) this.connections.delete(connection)
      else yield connection
    }
  }

  private delayMillis(from: string, to: string): number {
    const { delayMeanMillis, delayMinMillis } = this.options
    const { prng, world } = this.links
    const cloggedMillis = Math.max(0, (this.clogs.get(directionOf(from, to)) ?? 0) - world.now)
    return cloggedMillis + delayMinMillis + prng.exponential(delayMeanMillis - delayMinMillis)
  }
}

const directionOf = (from: string, to: string): string => `${from}>${to}`

const serve = Effect.fnUntraced(function*(
  here: Place,
  handler: Loopback.Handler
): Effect.fn.Return<void, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  here.listener = (end) => {
    // the port may have closed while the call waited for the machine
    if (here.listener === undefined) return end.close()
    Effect.runForkWith(context)(Effect.forkIn(Effect.scoped(handler(accepted(end))), scope, { startImmediately: true }))
  }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      here.listener = undefined
    })
  )
})

const writerOf = (end: End): Socket.Writer => ({
  write: (chunk) => Socket.isCloseEvent(chunk) ? Effect.sync(() => end.close()) : end.write([chunk]),
  writeAll: (chunks) => end.write(chunks)
})

const readerOf = (end: End): Socket.Reader => ({ pull: end.pull, upgrade: Socket.SocketUpgradeError.unsupported })

/** The end of whoever was called. */
const accepted = (end: End): Socket.Socket =>
  Socket.make({
    reader: Effect.acquireRelease(Effect.succeed(readerOf(end)), () => Effect.sync(() => end.close())),
    writer: Effect.acquireRelease(Effect.succeed(writerOf(end)), () => Effect.sync(() => end.finishWriting()))
  })

/** The end of whoever calls, which it does when the reader is acquired. Writers wait until there is a connection. */
const dialled = (dial: () => End): Socket.Socket => {
  let current: End | undefined
  const opened = Latch.makeUnsafe(false)
  const reader = Effect.gen(function*() {
    const end = yield* Effect.acquireRelease(Effect.sync(dial), (end) =>
      Effect.sync(() => {
        current = undefined
        opened.closeUnsafe()
        end.close()
      }))
    yield* end.connected
    current = end
    opened.openUnsafe()
    return readerOf(end)
  })
  const whenOpen = (write: (writer: Socket.Writer) => Effect.Effect<void, Socket.SocketError>) => {
    const attempt: Effect.Effect<void, Socket.SocketError> = Effect.suspend(() =>
      current === undefined ? Effect.andThen(opened.await, attempt) : write(writerOf(current))
    )
    return attempt
  }
  return Socket.make({
    reader,
    writer: Effect.succeed({
      write: (chunk) => whenOpen((writer) => writer.write(chunk)),
      writeAll: (chunks: NonEmptyReadonlyArray<Uint8Array | string>) => whenOpen((writer) => writer.writeAll(chunks))
    })
  })
}
