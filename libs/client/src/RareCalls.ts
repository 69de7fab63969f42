/** Calls about members and leadership: Effect RPC, on a connection that lives as long as the call and goes to the first endpoint that answers. */
import { Admin, RpcWire } from "@dkv/protocol"
import { Effect, Layer } from "effect"
import type { RpcClientError } from "effect/rpc"
import { RpcClient } from "effect/rpc"
import { Socket } from "effect/socket"
import { ClientError } from "./ClientError.ts"
import { Connector } from "./Connector.ts"
import { greeted } from "./Greeting.ts"
import * as Limits from "./Limits.ts"

type AdminClient = RpcClient.FromGroup<typeof Admin.group, RpcClientError.RpcClientError>

/** Calls the member at `endpoint`. A call that was sent and not answered is `Unknown` if it changes anything. */
const callAt = <A>(
  endpoint: string,
  isChange: boolean,
  timeoutMillis: number,
  use: (client: AdminClient) => Effect.Effect<A, Admin.AdminError | RpcClientError.RpcClientError>
): Effect.Effect<A, ClientError, Connector> =>
  Effect.gen(function*() {
    const connector = yield* Connector
    const socket = yield* connector.connect(endpoint)
    const protocol = RpcClient.layerProtocolSocket({ retryTransientErrors: false }).pipe(
      Layer.provide([Layer.succeed(Socket.Socket, greeted(socket, "rpc")), RpcWire.layerSerialization])
    )
    const context = yield* Layer.build(protocol)
    const client = yield* RpcClient.make(Admin.group, { disableTracing: true }).pipe(Effect.provideContext(context))
    const unreachable = (why: string) => new ClientError({ reason: "Unavailable", message: `${endpoint}: ${why}` })
    const lost = (why: string) =>
      new ClientError(
        isChange
          ? {
            reason: "Unknown",
            message: `${endpoint}: ${why}: the change may have been made; list the members before repeating it`
          }
          : { reason: "Unavailable", message: `${endpoint}: ${why}` }
      )
    return yield* use(client).pipe(
      Effect.catchTag(
        "RpcClientError",
        (error) =>
          Effect.fail(
            error.reason._tag === "SocketOpenError" ? unreachable(openFailure(error.reason)) : lost(error.message)
          )
      ),
      Effect.catchTag("AdminError", (error) => Effect.fail(translate(error))),
      Effect.timeoutOrElse({ duration: timeoutMillis, orElse: () => Effect.fail(lost("no answer in time")) })
    )
  }).pipe(Effect.scoped)

/** Why the connection could not be opened; a refused hello says more than the socket does. */
const openFailure = (reason: { readonly message: string; readonly cause?: unknown }): string =>
  reason.cause instanceof Error ? reason.cause.message : reason.message

const translate = (error: Admin.AdminError): ClientError => {
  switch (error.reason) {
    case "Unknown":
      return new ClientError({ reason: "Unknown", message: error.message, detail: error.reason })
    case "Invalid":
      return new ClientError({ reason: "Invalid", message: error.message, detail: error.reason })
    case "NoLeader":
    case "Busy":
    case "Stopped":
    case "Lost":
      return new ClientError({ reason: "Unavailable", message: error.message, detail: error.reason })
    default:
      return new ClientError({ reason: "Refused", message: error.message, detail: error.reason })
  }
}

/** Tries the endpoints in turn, starting with `first`, until one answers. What may have taken effect is not tried elsewhere. */
export const call = Effect.fnUntraced(function*<A>(
  endpoints: ReadonlyArray<string>,
  first: string,
  isChange: boolean,
  timeoutMillis: number,
  use: (client: AdminClient) => Effect.Effect<A, Admin.AdminError | RpcClientError.RpcClientError>
): Effect.fn.Return<A, ClientError, Connector> {
  const order = [first, ...endpoints.filter((endpoint) => endpoint !== first)]
  let last: ClientError | undefined
  for (const endpoint of order) {
    const outcome = yield* Effect.result(callAt(endpoint, isChange, timeoutMillis, use))
    if (outcome._tag === "Success") return outcome.success
    last = outcome.failure
    if (last.reason !== "Unavailable") return yield* last
  }
  return yield* last ?? new ClientError({ reason: "Invalid", message: "no endpoint was given" })
})

/** How long the client waits beyond what it asks the server for, so that the server's own word comes first. */
export const graceMillis = Limits.connectMillis
