import { Client } from "@dkv/client"
import { Dkv, MemoryParts } from "@dkv/member"
import { Loopback } from "@dkv/protocol"
import { MemoryNetwork } from "@dkv/transport"
import { Effect, Layer, Option } from "effect"

const addresses = { peerAddress: "alone:2380", clientAddress: "alone:3000" }
const member = Dkv.layer({
  name: "alone",
  version: "1.0.0",
  initialCluster: [{ name: "alone", peerAddress: "alone:2380" }],
  initialClusterState: "new",
  forceNewCluster: false,
  ...addresses
}, MemoryParts.make(addresses)).pipe(
  Layer.provide([MemoryNetwork.MemoryNetwork.layer, Loopback.Loopback.layer])
)

export const example = Effect.gen(function*() {
  const client = yield* Client.Client
  yield* client.put("greeting", "hello")
  const found = yield* client.get("greeting")
  return Option.map(found, ({ value }) => new TextDecoder().decode(value))
}).pipe(Effect.provide(member))
