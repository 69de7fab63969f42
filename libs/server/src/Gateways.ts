/**
 * Who serves which protocol of the client port. A gateway registers itself while its layer is built; the port is opened after all of them, and learns of new
 * protocols without being touched.
 */
import { Context, Effect, Layer } from "effect"
import type { Option, Scope } from "effect"
import type { Socket } from "effect/socket"
import type { Socket as NetSocket } from "node:net"
import type { Protocol } from "./Sniff.ts"

/** An accepted connection whose first bytes are still to be read. */
export interface Connection {
  /** Address of the other end, for logs. */
  readonly remote: string
  readonly socket: Socket.Socket
  /** The same connection as Node has it, for gateways on Node's own servers; none for one within the process. Use one of the two, not both. */
  readonly raw: Option.Option<NetSocket>
  /** Completes when the port shuts down: tell the other end, answer what is outstanding, and return. */
  readonly closing: Effect.Effect<void>
}

/** Runs a connection until it is over; interrupted when the port closes for good. */
export type Handler = (connection: Connection) => Effect.Effect<void, never, Scope.Scope>

export class Gateways extends Context.Service<Gateways, {
  /** Serves `protocol` until the scope closes. Two gateways for one protocol are a mistake in the program and die. */
  readonly register: (protocol: Protocol, handler: Handler) => Effect.Effect<void, never, Scope.Scope>
  readonly find: (protocol: Protocol) => Handler | undefined
}>()("@dkv/server/Gateways") {
  static readonly layer: Layer.Layer<Gateways> = Layer.sync(Gateways, () => {
    const handlers = new Map<Protocol, Handler>()
    return Gateways.of({
      register: (protocol, handler) =>
        Effect.acquireRelease(
          Effect.suspend(() => {
            if (handlers.has(protocol)) return Effect.die(new Error(`two gateways want to serve ${protocol}`))
            handlers.set(protocol, handler)
            return Effect.void
          }),
          () => Effect.sync(() => handlers.delete(protocol))
        ),
      find: (protocol) => handlers.get(protocol)
    })
  })
}
