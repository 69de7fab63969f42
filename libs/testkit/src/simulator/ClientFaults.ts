/** What breaks between clients and members, and of clients. */
import type { FaultKind } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimClient } from "./SimClient.ts"
import type { SimCluster } from "./SimCluster.ts"

export type ClientFaultKind = Extract<FaultKind, `${string}Client`>

/** `later` runs what ends the fault, `millis` from now. False if nothing came of it. */
export const strike = <Services>(
  cluster: SimCluster<Services>,
  client: SimClient,
  kind: ClientFaultKind,
  prng: Prng,
  millis: number,
  later: (task: () => void) => void
): boolean => {
  const { sockets } = cluster
  /** Some or all ways between some or all of both sides. */
  const ways = (): ReadonlyArray<readonly [string, string]> => {
    const share = prng.pick([0.3, 1])
    const clients = prng.chance(0.5) ? [client] : cluster.clients
    const direction = prng.pick(["both", "there", "back"])
    return clients.flatMap(({ name }) =>
      cluster.members.filter(() => prng.chance(share)).flatMap(({ address }) => [
        ...(direction === "back" ? [] : [[name, address] as const]),
        ...(direction === "there" ? [] : [[address, name] as const])
      ])
    )
  }
  switch (kind) {
    case "cutClient": {
      const cuts = ways()
      const wereWhole = cuts.filter(([from, to]) => sockets.cut(from, to))
      later(() => {
        for (const [from, to] of cuts) sockets.heal(from, to)
      })
      return wereWhole.length > 0
    }
    case "clogClient": {
      const clogs = ways()
      for (const [from, to] of clogs) sockets.clog(from, to, millis)
      return clogs.length > 0
    }
    case "resetClient":
      return ways().filter(([from, to]) => sockets.reset(from, to)).length > 0
    case "pauseClient": {
      const isPaused = client.pause()
      later(() => client.resume())
      return isPaused
    }
    case "killClient":
    case "crashClient": {
      const isDown = kind === "killClient" ? client.kill() : client.vanish()
      later(() => client.boot())
      return isDown
    }
    case "closeClient": {
      const { machine } = client
      const isPatient = prng.chance(0.5)
      const again = () => {
        // it may still be at it
        if (isPatient && machine !== undefined && client.machine === machine) return void later(again)
        client.kill()
        client.boot()
      }
      const isAsked = client.close()
      later(again)
      return isAsked
    }
  }
}
