/**
 * Calls per second of one client, by number of concurrent callers, and the CPU time that a call costs the client's process.
 * `node libs/server/benchmark/Serve.ts` in one shell, then `node libs/client/benchmark/Throughput.ts [host:port] [seconds]` in another.
 */
import { Effect } from "effect"
import { Client } from "../src/index.ts"

const endpoint = process.argv[2] ?? "127.0.0.1:3900"
const seconds = Number(process.argv[3] ?? 3)
const value = new Uint8Array(256).fill(120)
const keys = Array.from({ length: 10_000 }, (_, i) => String(i).padStart(16, "0"))

const measure = Effect.fnUntraced(function*(kind: "put" | "get", callers: number, seconds: number) {
  const client = yield* Client.Client
  let calls = 0
  const started = performance.now()
  const end = started + seconds * 1000
  const cpu = process.cpuUsage()
  const caller = Effect.whileLoop({
    while: () => performance.now() < end,
    body: () => {
      const key = keys[calls++ % keys.length]!
      return kind === "put" ? client.put(key, value) : client.get(key)
    },
    step: () => {}
  })
  yield* Effect.all(Array.from({ length: callers }, () => caller), { concurrency: "unbounded", discard: true })
  const elapsed = (performance.now() - started) / 1000
  const used = process.cpuUsage(cpu)
  const micros = ((used.user + used.system) / calls).toFixed(2)
  return `${kind} ${String(callers).padStart(5)} callers ${
    String(Math.round(calls / elapsed)).padStart(8)
  }/s  ${micros} us of CPU each`
})

const program = Effect.gen(function*() {
  yield* measure("put", 1000, 1)
  for (const kind of ["put", "get"] as const) {
    for (const callers of [1, 100, 1000]) console.log(yield* measure(kind, callers, seconds))
  }
})
await Effect.runPromise(Effect.provide(program, Client.layer({ endpoints: [endpoint], exactlyOnce: false })))
