/** The most memory that a member ever has resident over a million puts on ten thousand keys, while one peer is down for half of them. */
import { Effect, Exit, Scope } from "effect"
import { BenchError } from "../BenchError.ts"
import type { MemberProcess } from "../clusters/Cluster.ts"
import { temporaryDirectory } from "../clusters/Cluster.ts"
import * as DkvCluster from "../clusters/DkvCluster.ts"
import { memoryCallers, memoryPuts } from "../Limits.ts"
import * as Generator from "../load/Generator.ts"
import type { Options } from "../Options.ts"
import * as Processes from "../Processes.ts"
import { Progress } from "../Progress.ts"
import type { Row, Series } from "../Report.ts"
import * as Statistics from "../Statistics.ts"
import * as Table from "../Table.ts"

const quarters = 4

export const run = Effect.fnUntraced(
  function*(options: Options) {
    const progress = yield* Progress
    const directory = yield* temporaryDirectory(options.dataDirectory, "memory")
    const seats = yield* DkvCluster.seats(directory)
    const parent = yield* Effect.scope
    const occupy = Effect.fnUntraced(function*(seat: DkvCluster.Seat) {
      const scope = yield* Scope.fork(parent)
      const member: MemberProcess = yield* Scope.provide(seat.start, scope)
      return { member, scope }
    })
    const running = yield* Effect.forEach(seats, occupy)
    const peaks = seats.map(() => 0)
    const look = (): void => {
      for (const [index, { member }] of running.entries()) {
        const { peakRssBytes } = Processes.usage(member.pid)
        if (peakRssBytes > peaks[index]!) peaks[index] = peakRssBytes
      }
    }

    const leader = yield* DkvCluster.awaitLeader(seats)
    const absent = (leader + 1) % seats.length
    const present = seats.filter((_, index) => index !== absent)
    const generator = yield* Generator.start(
      {
        system: "dkv",
        endpoints: present.map((seat) => seat.endpoint),
        dkvClients: options.dkvClients,
        etcdClient: "raw"
      },
      `${directory}/generator.log`
    )
    for (let quarter = 0; quarter < quarters; quarter++) {
      if (quarter === 1) {
        look()
        process.kill(running[absent]!.member.pid, "SIGKILL")
        yield* Scope.close(running[absent]!.scope, Exit.void)
      }
      if (quarter === 3) running[absent] = yield* occupy(seats[absent]!)
      yield* generator.puts(memoryPuts / quarters, memoryCallers)
      look()
      yield* progress.say(
        `${memoryPuts / quarters * (quarter + 1)} puts, ${seats[absent]!.name} ${
          quarter === 1 || quarter === 2 ? "down" : "up"
        }; peaks so far ${peaks.map(Table.mebibytes).join(", ")}`
      )
    }
    yield* DkvCluster.awaitLeader(seats)
    look()
    const series = seats.map((seat, index): Series => ({
      name: `${seat.name}${index === leader ? ", leader at first" : index === absent ? ", down for half of them" : ""}`,
      unit: "MiB",
      figure: Statistics.spread([peaks[index]! === 0 ? null : peaks[index]! / 1024 / 1024])
    }))
    return { _tag: "Series", row: `peak memory over ${memoryPuts} puts`, series } satisfies Row
  },
  Effect.scoped,
  Effect.mapError((cause) => cause instanceof BenchError ? cause : new BenchError({ message: String(cause), cause }))
)
