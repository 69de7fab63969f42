/** Three members of etcd with its default settings, started anew in `directory`. */
import { Effect, Option, Schedule, Schema } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { BenchError, Missing } from "../BenchError.ts"
import { startMillis } from "../Limits.ts"
import * as Ports from "../Ports.ts"
import * as Cluster from "./Cluster.ts"

/** The version of the etcd on the PATH, or `Missing`. */
export const version = Effect.gen(function*() {
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const output = yield* spawner.string(ChildProcess.make("etcd", ["--version"]))
  return /etcd Version: (\S+)/.exec(output)?.[1] ?? output.trim()
}).pipe(
  Effect.mapError(() => new Missing({ message: "no etcd on the PATH; on Debian: apt-get install etcd-server" }))
)

const Status = Schema.Struct({
  header: Schema.Struct({ member_id: Schema.String, revision: Schema.FiniteFromString }),
  leader: Schema.optional(Schema.String)
})

const statusOf = Effect.fnUntraced(function*(endpoint: string) {
  const client = yield* HttpClient.HttpClient
  return yield* HttpClientRequest.post(`http://${endpoint}/v3/maintenance/status`).pipe(
    HttpClientRequest.bodyText("{}"),
    client.execute,
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Status)),
    Effect.mapError((cause) => new BenchError({ message: `etcd at ${endpoint} does not answer`, cause }))
  )
}, Effect.provide(FetchHttpClient.layer))

/** Whether the member at `endpoint` leads; fails while there is no leader. */
const leads = Effect.fnUntraced(function*(endpoint: string) {
  const status = yield* statusOf(endpoint)
  if (status.leader === undefined) return yield* new BenchError({ message: `etcd at ${endpoint} has no leader` })
  return status.leader === status.header.member_id
})

export const start = Effect.fnUntraced(function*(directory: string) {
  const clients = yield* Ports.freeAddresses(3)
  const peers = yield* Ports.freeAddresses(3)
  const names = clients.map((_, index) => `etcd-${index}`)
  const members = yield* Effect.forEach(names, (name, index) =>
    Cluster.spawn({
      name,
      command: "etcd",
      args: [
        `--name=${name}`,
        `--data-dir=${directory}/${name}`,
        `--listen-client-urls=http://${clients[index]}`,
        `--advertise-client-urls=http://${clients[index]}`,
        `--listen-peer-urls=http://${peers[index]}`,
        `--initial-advertise-peer-urls=http://${peers[index]}`,
        `--initial-cluster=${names.map((other, at) => `${other}=http://${peers[at]}`).join(",")}`,
        "--initial-cluster-state=new",
        "--initial-cluster-token=dkv-bench",
        "--logger=zap",
        "--log-level=error"
      ],
      logFile: `${directory}/${name}.log`
    }))
  const leading = yield* Effect.forEach(clients, leads).pipe(
    Effect.retry(Schedule.spaced("50 millis").pipe(Schedule.upTo({ duration: startMillis }))),
    Effect.raceFirst(Effect.raceAllFirst(members.map((member) => member.exited)))
  )
  const order = clients.map((_, index) => index).sort((a, b) => Number(leading[b]) - Number(leading[a]))
  return {
    system: "etcd",
    endpoints: order.map((index) => clients[index]!),
    members: order.map((index) => members[index]!),
    revision: Option.some(Effect.map(statusOf(clients[order[0]!]!), (status) => status.header.revision))
  } satisfies Cluster.Cluster
})
