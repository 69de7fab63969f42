/** The status of a member, asked through the client library on its client port. */
import { Client } from "@dkv/client"
import { Context, Effect, Layer, Option, Scope } from "effect"
import type { MemberStatus } from "./Board.ts"
import * as Limits from "./Limits.ts"
import { clientAddress } from "./Plan.ts"
import { StatusProbe } from "./StatusProbe.ts"

/** One client per member, made when it is first asked. */
export const layer: Layer.Layer<StatusProbe> = Layer.effect(
  StatusProbe,
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const clients = new Map<string, Client.Client["Service"]>()
    const clientFor = Effect.fnUntraced(function*(address: string) {
      const known = clients.get(address)
      if (known !== undefined) return known
      const context = yield* Client.layer({ endpoints: [address], timeoutMillis: Limits.statusTimeoutMillis }).pipe(
        Layer.build,
        Effect.provideService(Scope.Scope, scope)
      )
      const client = Context.get(context, Client.Client)
      clients.set(address, client)
      return client
    })
    return StatusProbe.of({
      ask: (member) =>
        clientFor(clientAddress(member)).pipe(
          Effect.flatMap((client) => client.status),
          Effect.map((status): MemberStatus => ({
            role: Option.isSome(status.fenced) ? "fenced" : status.role,
            term: status.term,
            leader: status.leaderName || Option.getOrElse(status.leader, () => ""),
            voters: status.voters
          })),
          // A member that does not answer is what the table is to show, whatever the reason.
          Effect.option
        )
    })
  })
)
