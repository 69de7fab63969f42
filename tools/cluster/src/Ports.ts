/** Whether the ports of the plan are free, asked before anything is started. */
import { Context, Effect, Layer } from "effect"
import * as Net from "node:net"
import { ClusterError } from "./Plan.ts"
import type { Plan } from "./Plan.ts"

export class Ports extends Context.Service<Ports, {
  /** Undefined if the port is free on both loopback addresses, else the reason in the system's words. */
  readonly problem: (port: number) => Effect.Effect<string | undefined>
}>()("@dkv/cluster/Ports") {
  static readonly layerNode: Layer.Layer<Ports> = Layer.succeed(
    Ports,
    Ports.of({
      problem: Effect.fnUntraced(function*(port: number) {
        return (yield* tryListen("127.0.0.1", port)) ?? (yield* tryListen("::1", port))
      })
    })
  )
}

const tryListen = (host: string, port: number): Effect.Effect<string | undefined> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", (error: NodeJS.ErrnoException) =>
      // A machine without IPv6 has no such address to take.
      resume(
        Effect.succeed(
          error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT" ? undefined : error.code ?? error.message
        )
      ))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resume(Effect.succeed(undefined))))
  })

/** Fails with the first port that cannot be used and the flag that moves it; the peer ports of a cluster that was founded stay where they are. */
export const check = Effect.fnUntraced(function*(plan: Plan, isFounded: boolean) {
  const ports = yield* Ports
  for (const member of plan.members) {
    for (const [flag, port] of [["--client-port", member.clientPort], ["--peer-port", member.peerPort]] as const) {
      const problem = yield* ports.problem(port)
      if (problem === undefined) continue
      const why = problem === "EADDRINUSE"
        ? "is taken by another program"
        : problem === "EACCES"
        ? "needs rights that you do not have"
        : `cannot be used (${problem})`
      const remedy = flag === "--peer-port" && isFounded
        ? `the members in ${plan.options.dataDir} know each other by their peer ports: end that program, or choose another directory with --data-dir`
        : `end that program, or start on other ports, for example \`npm start -- ${flag} ${port + 1000}\``
      return yield* new ClusterError({ message: `port ${port} ${why}: ${remedy}` })
    }
  }
})
