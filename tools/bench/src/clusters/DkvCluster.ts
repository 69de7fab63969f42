/** Three dkv processes, started as a person would start them by hand, with their data in `directory`. */
import { Client } from "@dkv/client"
import type { ClientError } from "@dkv/client"
import { Effect, Option, Schedule } from "effect"
import { fileURLToPath } from "node:url"
import { BenchError } from "../BenchError.ts"
import { startMillis, statusMillis } from "../Limits.ts"
import * as Ports from "../Ports.ts"
import * as Cluster from "./Cluster.ts"

const program = fileURLToPath(new URL("../../../../apps/node/bin/dkv.mjs", import.meta.url))

/** One member of a cluster whose processes come and go. */
export interface Seat {
  readonly name: string
  /** `host:port` for clients. */
  readonly endpoint: string
  /** Starts the member's process in the present scope, with the data it had before. */
  readonly start: ReturnType<typeof Cluster.spawn>
}

/** The places of three members; nothing runs yet. */
export const seats = Effect.fnUntraced(function*(directory: string) {
  const clients = yield* Ports.freeAddresses(3)
  const peers = yield* Ports.freeAddresses(3)
  const names = clients.map((_, index) => `dkv-${index}`)
  const cluster = names.map((name, index) => `${name}=${peers[index]}`).join(",")
  const advertised = names.map((name, index) => `${name}=${clients[index]}`).join(",")
  return names.map((name, index): Seat => ({
    name,
    endpoint: clients[index]!,
    start: Cluster.spawn({
      name,
      command: process.execPath,
      args: [
        program,
        `--name=${name}`,
        `--initial-cluster=${cluster}`,
        "--initial-cluster-state=new",
        `--advertise-nodes=${advertised}`,
        `--data-dir=${directory}/${name}`,
        `--listen-peer-address=${peers[index]}`,
        `--listen-client-address=${clients[index]}`,
        "--log-level=warn"
      ],
      logFile: `${directory}/${name}.log`
    })
  }))
})

const unready = (message: string, cause?: unknown): BenchError =>
  new BenchError({ message: `the dkv cluster is not ready: ${message}`, cause })

/** Runs `use` with a client of its own for one member. */
const asking = <A>(seat: Seat, use: (client: Client.Client["Service"]) => Effect.Effect<A, ClientError>) =>
  Effect.flatMap(Client.Client, use).pipe(
    Effect.provide(Client.layer({ endpoints: [seat.endpoint] })),
    Effect.mapError((error) => unready(`${seat.name}: ${error.message}`, error))
  )

/** Where the leader is, by its place among `all`, once every one of them names the same. */
export const awaitLeader = (all: ReadonlyArray<Seat>): Effect.Effect<number, BenchError> =>
  Effect.gen(function*() {
    const statuses = yield* Effect.forEach(all, (seat) =>
      Ports.listening(seat.endpoint).pipe(
        Effect.andThen(asking(seat, (client) => client.status)),
        Effect.timeoutOrElse({ duration: statusMillis, orElse: () => Effect.fail(unready(`${seat.name} is silent`)) })
      ), { concurrency: "unbounded" })
    const leader = statuses.findIndex((status) => status.role === "Leader")
    const agreed = leader >= 0 && statuses.every((status) =>
      Option.getOrUndefined(status.leader) === statuses[leader]!.id && status.voters === all.length
    )
    return agreed ? leader : yield* unready("there is no leader that all know")
  }).pipe(
    Effect.retry(Schedule.spaced("50 millis").pipe(Schedule.upTo({ duration: startMillis })))
  )

export const start = Effect.fnUntraced(function*(directory: string) {
  const all = yield* seats(directory)
  const members = yield* Effect.forEach(all, (seat) => seat.start)
  const leader = yield* awaitLeader(all).pipe(
    Effect.raceFirst(Effect.raceAllFirst(members.map((member) => member.exited)))
  )
  const order = all.map((_, index) => index).sort((a, b) => Number(b === leader) - Number(a === leader))
  return {
    system: "dkv",
    endpoints: order.map((index) => all[index]!.endpoint),
    members: order.map((index) => members[index]!),
    revision: Option.some(revisionOf(all[leader]!))
  } satisfies Cluster.Cluster
})

/** The store's revision, read through one of the members. */
const revisionOf = (seat: Seat): Effect.Effect<number, BenchError> =>
  Effect.map(asking(seat, (client) => client.range({ limit: 1 })), (result) => result.revision)
