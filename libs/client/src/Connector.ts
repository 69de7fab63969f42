/** How the client reaches an endpoint: over TCP, or within the process. Everything above is the same bytes. */
import { Address, Loopback } from "@dkv/protocol"
import { NodeSocket } from "@effect/platform-node"
import { Context, Effect, Layer } from "effect"
import type { Socket } from "effect/socket"
import { ClientError } from "./ClientError.ts"

export class Connector extends Context.Service<Connector, {
  /** A socket that connects when its reader is acquired. Fails with `Invalid` when the endpoint makes no sense. */
  readonly connect: (endpoint: string) => Effect.Effect<Socket.Socket, ClientError>
}>()("@dkv/client/Connector") {
  /** Endpoints are `host:port`; a name is resolved each time. */
  static readonly layerTcp: Layer.Layer<Connector> = Layer.succeed(Connector)({
    connect: (endpoint) => {
      const address = Address.parse(endpoint)
      return address === undefined || address.port === 0
        ? Effect.fail(
          new ClientError({ reason: "Invalid", message: `"${endpoint}" is not an endpoint: write host:port` })
        )
        : NodeSocket.makeNet({
          host: address.host === "" ? "localhost" : address.host,
          port: address.port,
          noDelay: true,
          keepAlive: true,
          autoSelectFamily: true
        })
    }
  })

  /** Endpoints are the names that ports within this process listen on. */
  static readonly layerLoopback: Layer.Layer<Connector, never, Loopback.Loopback> = Layer.effect(
    Connector,
    Effect.map(
      Loopback.Loopback,
      (loopback) => Connector.of({ connect: (endpoint) => Effect.sync(() => loopback.connect(endpoint)) })
    )
  )
}
