import { Client } from "@dkv/client"
import { Effect } from "effect"

const program = Effect.gen(function*() {
  const client = yield* Client.Client
  const { revision } = yield* client.put("greeting", "hello")
  yield* client.compareAndSwap("greeting", revision, "hello again")
  const { kvs } = yield* client.range({ prefix: "gre" })
  return kvs.map(({ value, version }) => `${new TextDecoder().decode(value)}, version ${version}`)
}).pipe(Effect.provide(Client.layer({ endpoints: ["127.0.0.1:3000", "127.0.0.1:3001"] })))

console.log((await Effect.runPromise(program)).join()) // => hello again, version 2
