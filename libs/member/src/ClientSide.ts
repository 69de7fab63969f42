/** Everything of a member that clients see: the gateways, the port that they share, and the client within the process. */
import { Client } from "@dkv/client"
import type { Kv } from "@dkv/kv"
import { Loopback } from "@dkv/protocol"
import type { RaftNode } from "@dkv/raft"
import { BatchGateway, ClientPort, Gateways, HttpGateway, Leadership, MemberInfo, RpcGateway } from "@dkv/server"
import type { Control } from "@dkv/transport"
import { Effect, Layer, Option } from "effect"
import * as Admitting from "./Admitting.ts"
import type { Options, Self } from "./Self.ts"

/** Opens the client port once every gateway has registered. The client goes through the same gateways, in memory. */
export const layer = <E, R>(
  options: Options & { readonly version: string },
  self: Self,
  clientPort: Layer.Layer<never, E, R | Gateways.Gateways>
): Layer.Layer<Client.Client, E, Exclude<R, Gateways.Gateways> | Kv.Kv | RaftNode.RaftNode | Control.Control> => {
  const info = Layer.succeed(MemberInfo.MemberInfo, {
    name: options.name,
    version: options.version,
    clientAddress: options.clientAddress,
    peerAddress: options.peerAddress,
    fenced: Effect.sync(() => Option.fromUndefinedOr(self.fenced()))
  })
  const gateways = Layer.mergeAll(BatchGateway.layer, HttpGateway.layer, RpcGateway.layer).pipe(
    Layer.provide([info, Leadership.layer, Admitting.layer(self)]),
    Layer.provideMerge(Gateways.Gateways.layer)
  )
  return Layer.provide(Layer.mergeAll(clientPort, client), gateways)
}

const name = "this member"

/** A private switchboard for each member, so that several in one program do not answer for each other. */
const client: Layer.Layer<Client.Client, never, Gateways.Gateways> = Layer.unwrap(
  Effect.sync(() =>
    Layer.orDie(Client.layerLoopback({ endpoints: [name] })).pipe(
      Layer.provide(
        Layer.effectDiscard(ClientPort.ClientPort).pipe(Layer.provide(ClientPort.layerLoopback({ address: name })))
      ),
      Layer.provide(Layer.succeed(Loopback.Loopback, Loopback.make()))
    )
  )
)
