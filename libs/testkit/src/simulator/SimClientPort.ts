/** The client port of a simulated member: the real one and its gateways for the native protocol, over simulated sockets. */
import type { Kv } from "@dkv/kv"
import type { Loopback } from "@dkv/protocol"
import type { RaftNode } from "@dkv/raft"
import { BatchGateway, ClientPort, Gateways, Leadership, MemberInfo, RpcGateway } from "@dkv/server"
import { Effect, Layer, Option } from "effect"

/** Opens when everything below is there. */
export const layer = (
  options: { readonly name: string; readonly address: string },
  sockets: Layer.Layer<Loopback.Loopback>
): Layer.Layer<ClientPort.ClientPort, never, Kv.Kv | RaftNode.RaftNode> => {
  const info = Layer.succeed(MemberInfo.MemberInfo, {
    name: options.name,
    version: "simulated",
    clientAddress: options.address,
    peerAddress: options.address,
    fenced: Effect.succeed(Option.none())
  })
  const gateways = Layer.mergeAll(BatchGateway.layer, RpcGateway.layer).pipe(
    Layer.provide([info, Leadership.layer]),
    Layer.provideMerge(Gateways.Gateways.layer)
  )
  return ClientPort.layerLoopback({ address: options.address }).pipe(Layer.provide([gateways, sockets]))
}
