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
import * as Limits from "./Limits.ts"
import type { ClientPortError } from "./Listener.ts"
import { listen } from "./Listener.ts"
import { refusal } from "./Refusal.ts"
import { sniff } from "./Sniff.ts"
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

  const dispatch = (protocol: Protocol, connection: Connection): Effect.Effect<void> => {
    const handler = gateways.find(protocol)
    return handler === undefined ? refuse(connection, protocol) : Effect.scoped(handler(connection))
  }

  const tcp = Effect.fnUntraced(function*(raw: Net.Socket, remote: string) {
    handshakes++
    const protocol = yield* Effect.ensuring(
      Effect.timeoutOption(sniffRaw(raw), Limits.handshakeMillis),
      Effect.sync(() => handshakes--)
    )
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
    if (open >= Limits.connectionsMax || handshakes >= Limits.handshakesMax || Deferred.isDoneUnsafe(closing)) {
      raw.destroy()
      return
    }
    open++
    const remote = `${raw.remoteAddress ?? "?"}:${raw.remotePort ?? 0}`
    run(
      Effect.ensuring(
        logged(tcp(raw, remote), remote),
        Effect.sync(() => {
          open--
          // after what was written has been sent, but not waiting for a peer that does not read
          raw.destroySoon()
        })
      )
    )
  }

  const acceptLoopback: Loopback.Handler = (socket) => {
    open++
    const connection = Effect.gen(function*() {
      const { pull, upgrade } = yield* socket.reader
      let first: Uint8Array = new Uint8Array(0)
      let protocol = sniff(first)
      while (protocol === "partial") {
        for (const chunk of yield* pull) first = append(first, chunk as Uint8Array)
        protocol = sniff(first)
      }
      let pending: Uint8Array | undefined = first
      const replayed = Effect.suspend(() => {
        if (pending === undefined) return pull
        const chunk = pending
        pending = undefined
        return Effect.succeed([chunk] as const)
      })
      const connection: Connection = {
        remote: "this process",
        socket: Socket.make({ reader: Effect.succeed({ pull: replayed, upgrade }), writer: socket.writer }),
        raw: Option.none(),
        closing: Deferred.await(closing)
      }
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

const append = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  if (a.length === 0) return b
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

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

/** Peeks at the first bytes and puts them back. */
const sniffRaw = (raw: Net.Socket) =>
  Effect.callback<Protocol | "unknown" | "closed">((resume) => {
    let seen: Buffer | undefined
    const stop = () => {
      raw.off("readable", look)
      raw.off("end", ended)
      raw.off("close", ended)
    }
    const done = (protocol: Protocol | "unknown" | "closed") => {
      stop()
      if (seen !== undefined && !raw.destroyed) raw.unshift(seen)
      resume(Effect.succeed(protocol))
    }
    const ended = () => done("closed")
    const look = () => {
      const chunk: Buffer | null = raw.read()
      if (chunk === null) return
      seen = seen === undefined ? chunk : Buffer.concat([seen, chunk])
      const protocol = sniff(seen)
      if (protocol !== "partial") done(protocol)
    }
    raw.on("readable", look)
    raw.on("end", ended)
    raw.on("close", ended)
    return Effect.sync(stop)
  })
