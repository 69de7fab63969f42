/** Calls about members and leadership: Effect RPC, on a connection that lives as long as the call and goes to the first endpoint that answers. */
import { Admin, RpcWire } from "@dkv/protocol"
import { Effect, Layer, Random } from "effect"
import { RpcClient, RpcMessage } from "effect/rpc"
import type { RpcClientError } from "effect/rpc"
import { Socket } from "effect/socket"
import { invalidTimeout, isTimeout } from "./Calls.ts"
import { ClientError } from "./ClientError.ts"
import { Connector } from "./Connector.ts"
import { greet } from "./Greeting.ts"
import * as Limits from "./Limits.ts"
import { describe } from "./SocketTrouble.ts"

type AdminClient = RpcClient.FromGroup<typeof Admin.group, RpcClientError.RpcClientError>

/** The call, given how long the member may take. */
export type Use<A> = (
  client: AdminClient,
  timeoutMillis: number
) => Effect.Effect<A, Admin.AdminError | RpcClientError.RpcClientError>

export interface Request<A> {
  /** Something may be different afterwards: without an answer the outcome is unknown. */
  readonly isChange: boolean
  readonly timeoutMillis: number
  readonly use: Use<A>
}

/**
 * Tries the endpoints in turn until one answers, each with its share of the time. What may have taken effect is not tried elsewhere. Fails when no endpoint can be reached, and at the deadline when
 * all that can be reached ask for patience.
 */
export const call = Effect.fnUntraced(function*<A>(
  endpoints: ReadonlyArray<string>,
  request: Request<A>,
  nowUnsafe: () => number
): Effect.fn.Return<A, ClientError, Connector> {
  if (!isTimeout(request.timeoutMillis)) return yield* invalidTimeout(request.timeoutMillis)
  const deadline = nowUnsafe() + request.timeoutMillis
  let waitMillis = Limits.retryMinMillis
  let failures: ReadonlyArray<ClientError> = []
  while (true) {
    const round: Array<ClientError> = []
    let isWorthWaiting = false
    for (let position = 0; position < endpoints.length; position++) {
      const leftMillis = deadline - nowUnsafe()
      if (leftMillis <= 0) break
      // without an answer to a change nobody else is asked
      const share = request.isChange ? leftMillis : leftMillis / (endpoints.length - position)
      const patience = Math.min(leftMillis, Math.max(share, Limits.attemptMillis))
      const outcome = yield* Effect.result(callAt(endpoints[position]!, request, patience))
      if (outcome._tag === "Success") return outcome.success
      const failure = outcome.failure
      if (failure.reason !== "Unavailable" && failure.reason !== "Incompatible") return yield* failure
      round.push(failure)
      if (failure.detail !== undefined) isWorthWaiting = true
    }
    if (round.length > 0) failures = round
    const leftMillis = deadline - nowUnsafe()
    if (!isWorthWaiting || leftMillis <= waitMillis) return yield* summary(failures)
    yield* Effect.sleep(Math.ceil(waitMillis * (0.5 + 0.5 * (yield* Random.next))))
    waitMillis = Math.min(waitMillis * 2, Limits.retryMaxMillis)
  }
})

/** Calls the member at `endpoint`. A change that was sent and not answered is `Unknown`. */
const callAt = <A>(
  endpoint: string,
  { isChange, use }: Request<A>,
  leftMillis: number
): Effect.Effect<A, ClientError, Connector> => {
  let isSent = false
  const failed = (why: string): ClientError =>
    isChange && isSent
      ? new ClientError({
        reason: "Unknown",
        message: `${endpoint}: ${why}: the change may have been made, list the members before repeating it`
      })
      : new ClientError({ reason: "Unavailable", message: `${endpoint}: ${why}` })
  return Effect.gen(function*() {
    const connector = yield* Connector
    const { pull, writer } = yield* Effect.mapError(
      Effect.flatMap(connector.connect(endpoint), (socket) => greet(socket, "rpc")),
      ({ message, reason }) => new ClientError({ reason, message: `${endpoint}: ${message}` })
    )
    const socket = Socket.make({
      reader: Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported }),
      writer: Effect.succeed(writer)
    })
    const protocol = RpcClient.layerProtocolSocket({ retryTransientErrors: false }).pipe(
      Layer.provide([Layer.succeed(Socket.Socket, socket), RpcWire.layerSerialization])
    )
    const context = yield* Layer.build(protocol)
    const client = yield* RpcClient.make(Admin.group, { disableTracing: true, generateRequestId }).pipe(
      Effect.provideContext(context)
    )
    isSent = true
    const patience = leftMillis - Math.min(Limits.answerMarginMillis, leftMillis / 4)
    return yield* use(client, Math.max(1, Math.floor(patience)))
  }).pipe(
    Effect.scoped,
    Effect.catchTag(
      "RpcClientError",
      ({ message, reason }) => Effect.fail(failed(isSocketTrouble(reason) ? describe({ reason }) : message))
    ),
    Effect.catchTag("AdminError", (error) => Effect.fail(translate(error))),
    // a request that cannot be written is a defect to Effect's client
    Effect.catchDefect((defect) => {
      if (Socket.isSocketError(defect)) return Effect.fail(failed(describe(defect)))
      if (!isUnknownCall(defect)) return Effect.die(defect)
      const message = `${endpoint}: this member is too old to know of this: upgrade it, or ask another`
      return Effect.fail(new ClientError({ reason: "Incompatible", message }))
    }),
    Effect.timeoutOrElse({
      duration: leftMillis,
      orElse: () => Effect.fail(failed(`no answer within ${Math.ceil(leftMillis)} ms`))
    })
  )
}

/** A connection carries one call. Effect's own ids count over the whole process, and so make the bytes of a call depend on what was called before. */
const generateRequestId = () => RpcMessage.RequestId(0)

/** What Effect's server says of a call that is not in its group. */
const isUnknownCall = (defect: unknown): boolean =>
  (defect instanceof Error ? defect.message : String(defect)).startsWith("Unknown request tag")

const isSocketTrouble = (reason: { readonly _tag: string }): reason is Socket.SocketErrorReason =>
  reason._tag.startsWith("Socket")

/** `detail` says that it was the member that spoke. */
const translate = ({ message, reason }: Admin.AdminError): ClientError => {
  switch (reason) {
    case "Unknown":
    case "Invalid":
      return new ClientError({ reason, message, detail: reason })
    case "NoLeader":
    case "Busy":
    case "Refused":
    case "Stopped":
    case "Lost":
      return new ClientError({ reason: "Unavailable", message, detail: reason })
    default:
      return new ClientError({ reason: "Refused", message, detail: reason })
  }
}

/** What each endpoint said, as one error. */
const summary = (failures: ReadonlyArray<ClientError>): ClientError => {
  const spoken = failures.find(({ detail }) => detail !== undefined)
  const isIncompatible = failures.every(({ reason }) => reason === "Incompatible")
  const message = [...new Set(failures.map(({ message }) => message))].join("; ")
  return new ClientError({
    reason: isIncompatible ? "Incompatible" : "Unavailable",
    message,
    ...(spoken?.detail !== undefined && { detail: spoken.detail })
  })
}
