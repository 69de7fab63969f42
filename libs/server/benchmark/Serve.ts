/**
 * A client port over a map instead of a cluster, as the other end of `libs/client/benchmark/Throughput.ts`: what the port itself costs.
 * `node libs/server/benchmark/Serve.ts [host:port]`; each second with traffic it prints operations, groups and its own CPU time per operation.
 */
import { Kv } from "@dkv/kv"
import { Effect, Layer } from "effect"
import { BatchGateway, ClientPort, Gateways } from "../src/index.ts"

let operations = 0
let groups = 0
let revision = 0
const map = new Map<string, Kv.KeyValue>()
const textOf = (key: Uint8Array) => Buffer.from(key.buffer, key.byteOffset, key.byteLength).latin1Slice()

const kv = Kv.Kv.of({
  write: (ops) =>
    Effect.sync(() => {
      operations += ops.length
      groups++
      return ops.map((op): Kv.WriteResult => {
        revision++
        if (op._tag === "Put") {
          map.set(textOf(op.key), {
            key: op.key.slice(),
            value: op.value.slice(),
            createRevision: revision,
            modRevision: revision,
            version: 1,
            lease: 0
          })
        }
        return { _tag: "Put", revision }
      })
    }),
  read: (ops) =>
    Effect.sync(() => {
      operations += ops.length
      groups++
      return ops.map(({ key }): Kv.RangeResult => {
        const found = map.get(textOf(key))
        return { _tag: "Range", revision, kvs: found === undefined ? [] : [found], more: false }
      })
    })
})

const port = Effect.gen(function*() {
  const { addresses } = yield* ClientPort.ClientPort
  console.log(`listening on ${addresses.map(({ host, port }) => `${host}:${port}`).join(", ")}`)
  let cpu = process.cpuUsage()
  while (true) {
    yield* Effect.sleep("1 second")
    const used = process.cpuUsage(cpu)
    cpu = process.cpuUsage()
    if (operations === 0) continue
    const micros = ((used.user + used.system) / operations).toFixed(2)
    console.log(`${operations} operations, ${(operations / groups).toFixed(1)} in a group, ${micros} us of CPU each`)
    operations = groups = 0
  }
})

const layer = ClientPort.layer({ address: process.argv[2] ?? "127.0.0.1:3900" }).pipe(
  Layer.provide(BatchGateway.layer),
  Layer.provide(Gateways.Gateways.layer),
  Layer.provide(Layer.succeed(Kv.Kv, kv))
)
await Effect.runPromise(Effect.provide(port, layer))
