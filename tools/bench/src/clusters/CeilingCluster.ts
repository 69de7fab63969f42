/** The ceiling: a leader and two followers, started anew in `directory`. */
import { Effect, Option } from "effect"
import { fileURLToPath } from "node:url"
import * as Ports from "../Ports.ts"
import * as Cluster from "./Cluster.ts"

const program = fileURLToPath(new URL("../ceiling/member.ts", import.meta.url))

export const start = Effect.fnUntraced(function*(directory: string) {
  const addresses = yield* Ports.freeAddresses(3)
  const spawn = Effect.fnUntraced(function*(name: string, address: string, followers: ReadonlyArray<string>) {
    const member = yield* Cluster.spawn({
      name,
      command: process.execPath,
      args: [program, `${directory}/${name}`, Ports.portOf(address), ...followers.map(Ports.portOf)],
      logFile: `${directory}/${name}.log`
    })
    yield* Ports.listening(address).pipe(Effect.raceFirst(member.exited))
    return member
  })
  const followers = addresses.slice(1)
  const others = yield* Effect.forEach(followers, (address, index) => spawn(`ceiling-${index + 1}`, address, []), {
    concurrency: "unbounded"
  })
  const leader = yield* spawn("ceiling-0", addresses[0]!, followers)
  return {
    system: "ceiling",
    endpoints: addresses,
    members: [leader, ...others],
    revision: Option.none()
  } satisfies Cluster.Cluster
})
