import { Client } from "@dkv/client"
import { Kv } from "@dkv/kv"
import { Address } from "@dkv/protocol"
import { BatchGateway, ClientPort, Gateways } from "@dkv/server"
import { Effect, Layer } from "effect"

// Whatever answers as Kv does can be served; in a member that is Kv.layer, over raft.
const kv = Layer.succeed(Kv.Kv, {
  write: (operations) => Effect.succeed(operations.map(({ key }) => ({ _tag: "Put", revision: key.length }))),
  read: () => Effect.never
})
const port = ClientPort.layer({ address: "127.0.0.1:0" }).pipe(
  Layer.provide(Layer.provide(BatchGateway.layer, kv)),
  Layer.provide(Gateways.Gateways.layer)
)

const program = Effect.gen(function*() {
  const { addresses } = yield* ClientPort.ClientPort
  const put = Effect.flatMap(Client.Client, (client) => client.put("greeting", "hello"))
  return yield* Effect.provide(put, Client.layer({ endpoints: addresses.map(Address.format), exactlyOnce: false }))
}).pipe(Effect.provide(port))

console.log((await Effect.runPromise(program)).revision) // => 8
