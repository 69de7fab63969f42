/**
 * The one port for everything that is not a member: the first bytes of a connection tell what it speaks, and the gateway registered for that takes over. Connections
 * that say nothing, or that nobody serves, are closed in bounded time.
 */
import { NodeSocket } from "@effect/platform-node"
import { Loopback } from "@dkv/protocol"
import type { Address } from "@dkv/protocol"
import { Context, Deferred, Effect, Fiber, FiberSet, Layer, Option, Scope } from "effect"
import { Socket } from "effect/socket"
import type * as Net from "node:net"
import { Gateways } from "./Gateways.ts"
import type { Connection } from "./Gateways.ts"
import { hangUp } from "./HangUp.ts"
import * as Limits from "./Limits.ts"
import type { ClientPortError } from "./Listener.ts"
import { listen } from "./Listener.ts"
import { peek, peekSocket } from "./Peek.ts"
import { refusal } from "./Refusal.ts"
import type { Protocol } from "./Sniff.ts"

export class ClientPort extends Context.Service<ClientPort, {
  /** Where the port really listens; empty for a port within the process. */
  readonly addresses: ReadonlyArray<Address.Address>
  /** Open connections, those that still have to say what they speak included. */
  readonly connections: Effect.Effect<number>
}>()("@dkv/server/ClientPort") {}

/**
 * Listens on `address` (`host:port`; `localhost` is both loopback addresses, no host is every interface, port 0 a free port). Provide it with the layers of the
 * gateways, so that it opens after them. When it closes, it stops listening, lets the gateways finish what is outstanding for at most `Limits.drainMillis`,
 * and then closes every connection.
 */
export const layer = (options: { readonly address: string }): Layer.Layer<ClientPort, ClientPortError, Gateways> =>
  Layer.effect(
    ClientPort,
    Effect.gen(function*() {
      const port = yield* makeAcceptor
      // in its own scope, so that the listeners close before the connections are drained
      const addresses = yield* listen(options.address, port.acceptTcp)
      return ClientPort.of({ addresses, connections: port.count })
    })
  )

/** A port within the process, reached through `Loopback` by the name `address`. Serves the native protocol. */
export const layerLoopback = (options: {
  readonly address: string
}): Layer.Layer<ClientPort, never, Gateways | Loopback.Loopback> =>
  Layer.effect(
    ClientPort,
    Effect.gen(function*() {
      const loopback = yield* Loopback.Loopback
      const port = yield* makeAcceptor
      yield* loopback.serve(options.address, port.acceptLoopback)
      return ClientPort.of({ addresses: [], connections: port.count })
    })
  )

const makeAcceptor = Effect.gen(function*() {
  const gateways = yield* Gateways
  const closing = yield* Deferred.make<void>()
  // connections must outlive the signal to close by the time that they need to drain
  const fibers = yield* Effect.acquireRelease(
    Effect.flatMap(
      Scope.make(),
      (scope) => Effect.map(Scope.provide(FiberSet.make(), scope), (set) => ({ scope, set }))
    ),
    ({ scope, set }, exit) =>
      Deferred.succeed(closing, undefined).pipe(
        Effect.andThen(Effect.timeoutOption(FiberSet.awaitEmpty(set), Limits.drainMillis)),
        Effect.andThen(Scope.close(scope, exit))
      )
  )
  const run = yield* FiberSet.runtime(fibers.set)<never>()
  let open = 0
  let handshakes = 0
  let turnedAway = 0

  /** Whoever was turned away was told nothing; a line now and then says so. */
  const reportTurnedAway = Effect.suspend(() => {
    if (turnedAway === 0) return Effect.void
    const count = turnedAway
    turnedAway = 0
    return Effect.logWarning(
      `${count} client connections were closed at once: no more than ${Limits.connectionsMax} may be open, ` +
        `and no more than ${Limits.handshakesMax} may have yet to say what they speak`
    )
  })
  yield* Effect.forkScoped(
    Effect.forever(Effect.andThen(Effect.sleep(Limits.turnedAwayReportMillis), reportTurnedAway))
  )

  const dispatch = (protocol: Protocol, connection: Connection): Effect.Effect<void> => {
    const handler = gateways.find(protocol)
    return handler === undefined ? refuse(connection, protocol) : Effect.scoped(handler(connection))
  }

  /** Nobody is kept waiting for a connection that has not said what it speaks: not for long, and not at all when the port closes. */
  const inTime = <A, E, R>(peeked: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
    Effect.raceFirst(
      Effect.timeoutOption(peeked, Limits.handshakeMillis),
      Effect.as(Deferred.await(closing), Option.none())
    )

  const tcp = Effect.fnUntraced(function*(raw: Net.Socket, remote: string) {
    handshakes++
    const protocol = yield* Effect.ensuring(inTime(peek(raw)), Effect.sync(() => handshakes--))
    if (Option.isNone(protocol) || protocol.value === "closed") return
    const connection: Connection = {
      remote,
      socket: yield* NodeSocket.fromDuplex(Effect.succeed(raw)),
      raw: Option.some(raw),
      closing: Deferred.await(closing)
    }
    yield* protocol.value === "unknown" ? refuse(connection, "unknown") : dispatch(protocol.value, connection)
  })

  const acceptTcp = (raw: Net.Socket): void => {
    // an error without a listener would end the process; each gateway sees it as the end of the connection
    raw.on("error", () => {})
    const isFull = open >= Limits.connectionsMax || handshakes >= Limits.handshakesMax
    if (isFull || Deferred.isDoneUnsafe(closing)) {
      if (isFull) turnedAway++
      raw.destroy()
      return
    }
    open++
    const remote = `${raw.remoteAddress ?? "?"}:${raw.remotePort ?? 0}`
    run(
      Effect.ensuring(
        Effect.andThen(logged(tcp(raw, remote), remote), hangUp(raw)),
        Effect.sync(() => {
          open--
          raw.destroy()
        })
      )
    )
  }

  const acceptLoopback: Loopback.Handler = (socket) => {
    open++
    const connection = Effect.gen(function*() {
      const peeked = yield* inTime(peekSocket(socket))
      if (Option.isNone(peeked)) return
      const connection: Connection = {
        remote: "this process",
        socket: peeked.value.socket,
        raw: Option.none(),
        closing: Deferred.await(closing)
      }
      const { protocol } = peeked.value
      yield* protocol === "unknown" ? refuse(connection, "unknown") : dispatch(protocol, connection)
    })
    const contained = Effect.ensuring(
      logged(Effect.scoped(Effect.ignore(connection)), "this process"),
      Effect.sync(() => {
        open--
      })
    )
    return Effect.flatMap(Effect.sync(() => run(contained)), (fiber) => Effect.asVoid(Fiber.await(fiber)))
  }

  return { acceptTcp, acceptLoopback, count: Effect.sync(() => open) }
})

/** One connection's trouble ends that connection only, and is worth a line for whoever looks. */
const logged = (effect: Effect.Effect<void>, remote: string): Effect.Effect<void> =>
  Effect.catchCause(effect, (cause) => Effect.logDebug(`client connection from ${remote} ended`, cause))

const refuse = (connection: Connection, protocol: Protocol | "unknown"): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* Effect.logDebug(`client connection from ${connection.remote} refused: ${protocol} is not served`)
    const writer = yield* connection.socket.writer
    yield* Effect.asVoid(Socket.readerBytes(connection.socket))
    yield* writer.write(refusal(protocol))
  }).pipe(Effect.scoped, Effect.ignore)
