/** What breaks between clients and members, and of clients. */
import type { FaultKind } from "./Options.ts"
import type { Prng } from "./Prng.ts"
import type { SimClient } from "./SimClient.ts"
import type { SimCluster } from "./SimCluster.ts"

export type ClientFaultKind = Extract<FaultKind, `${string}Client`>

/** `later` runs what ends the fault, `millis` from now. */
export const strike = <Services>(
  cluster: SimCluster<Services>,
  client: SimClient,
  kind: ClientFaultKind,
  prng: Prng,
  millis: number,
  later: (task: () => void) => void
): void => {
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
      for (const [from, to] of cuts) sockets.cut(from, to)
      later(() => {
        for (const [from, to] of cuts) sockets.heal(from, to)
      })
      return
    }
    case "clogClient":
      for (const [from, to] of ways()) sockets.clog(from, to, millis)
      return
    case "resetClient":
      for (const [from, to] of ways()) sockets.reset(from, to)
      return
    case "pauseClient":
      client.pause()
      later(() => client.resume())
      return
    case "killClient":
    case "crashClient":
      if (kind === "killClient") client.kill()
      else client.vanish()
      later(() => client.boot())
      return
    case "closeClient": {
      const { machine } = client
      const isPatient = prng.chance(0.5)
      const again = () => {
        // it may still be at it
        if (isPatient && machine !== undefined && client.machine === machine) return void later(again)
        client.kill()
        client.boot()
      }
      client.close()
      later(again)
      return
    }
  }
}
