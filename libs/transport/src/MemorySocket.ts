/** Effect's `Socket` and `SocketServer` over a `MemoryNetwork`, with the manners of TCP: order, back-pressure, half a close at a time. */
import { Effect, Latch, Queue } from "effect"
import type { Array, Scope } from "effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import { memoryBufferBytesMax } from "./Limits.ts"
import type { MemoryNetwork } from "./MemoryNetwork.ts"
import { MemoryPipe } from "./MemoryPipe.ts"

type Network = MemoryNetwork["Service"]
type Pipe = MemoryPipe<Uint8Array>
type Listener = Queue.Queue<Socket.Socket>

/** Listens at `address` until the scope closes. Undefined if something else does. */
export const listen = Effect.fnUntraced(function*(
  network: Network,
  address: string
): Effect.fn.Return<SocketServer.SocketServer["Service"] | undefined, never, Scope.Scope> {
  if (network.listeners.has(address)) return undefined
  const arrivals: Listener = yield* Queue.unbounded<Socket.Socket>()
  yield* Effect.acquireRelease(
    Effect.sync(() => network.listeners.set(address, arrivals)),
    () => Effect.sync(() => network.listeners.delete(address))
  )
  return SocketServer.SocketServer.of({
    address: NetAddress.unixPathAddress(address),
    run: (handler) =>
      Effect.scoped(Effect.gen(function*() {
        const scope = yield* Effect.scope
        while (true) {
          const socket = yield* Queue.take(arrivals)
          yield* handler(socket).pipe(
            Effect.ignoreCause({ log: "Warn", message: "Unhandled error of a connection" }),
            Effect.forkIn(scope)
          )
        }
      }))
  })
})

/** A socket from `from` to whatever listens at `to` when its reader is acquired. */
export const dial = (network: Network, from: string, to: string): Effect.Effect<Socket.Socket> =>
  fromPipes(Effect.gen(function*() {
    yield* network.link(from, to).cross
    const listener = network.listeners.get(to)
    yield* network.link(to, from).cross
    if (!Queue.isQueue<Socket.Socket>(listener)) {
      return yield* new Socket.SocketError({
        reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error(`nothing listens at ${to}`) })
      })
    }
    const there = yield* MemoryPipe.make<Uint8Array>(network.link(from, to))
    const back = yield* MemoryPipe.make<Uint8Array>(network.link(to, from))
    Queue.offerUnsafe(listener, yield* fromPipes(Effect.succeed({ incoming: there, outgoing: back })))
    return { incoming: back, outgoing: there }
  }))

const fromPipes = (
  open: Effect.Effect<{ readonly incoming: Pipe; readonly outgoing: Pipe }, Socket.SocketError>
): Effect.Effect<Socket.Socket> =>
  Effect.sync(() => {
    const latch = Latch.makeUnsafe()
    let outgoing: Pipe | undefined
    let incoming: Pipe | undefined

    const reader: Socket.Socket["reader"] = Effect.gen(function*() {
      const pipes = yield* open
      outgoing = pipes.outgoing
      incoming = pipes.incoming
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          pipes.incoming.break()
          pipes.outgoing.end()
        })
      )
      latch.openUnsafe()
      return {
        pull: Effect.flatMap(pipes.incoming.pull, (chunks) =>
          chunks === undefined
            ? Effect.fail(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) }))
            : Effect.succeed(chunks as Array.NonEmptyReadonlyArray<Uint8Array>)),
        upgrade: Socket.SocketUpgradeError.unsupported
      }
    })

    const writeAll: Socket.Writer["writeAll"] = (chunks) =>
      latch.whenOpen(Effect.suspend(() => {
        const pipe = outgoing!
        if (pipe.link.drawDrop()) {
          pipe.break()
          incoming!.break()
        }
        // The news that the reader is gone comes back over the other direction.
        if (pipe.isClosed) return incoming!.link.blocked ? Effect.void : Effect.fail(closed)
        for (const chunk of chunks) {
          const bytes = typeof chunk === "string" ? new TextEncoder().encode(chunk) : chunk
          pipe.offer(bytes, bytes.length)
        }
        return Effect.flatMap(
          pipe.awaitRoom(memoryBufferBytesMax),
          () => pipe.isClosed ? Effect.fail(closed) : Effect.void
        )
      }))

    const write: Socket.Writer["write"] = (chunk) =>
      Socket.isCloseEvent(chunk)
        ? Effect.sync(() => {
          incoming?.break()
          outgoing?.end()
        })
        : writeAll([chunk])

    const writer: Socket.Socket["writer"] = Effect.acquireRelease(
      Effect.succeed({ write, writeAll }),
      () => Effect.sync(() => outgoing?.end())
    )
    return Socket.make({ reader, writer })
  })

const closed = new Socket.SocketError({
  reason: new Socket.SocketWriteError({ cause: new Error("the connection was closed") })
})
