/**
 * Single questions and answers between members on the peer port, before (or without) the two knowing each other's ids: discovery at bootstrap,
 * and a member that asks to join. Everything else between members goes through `Transport`. Each call has a connection of its own.
 */
import { Context, Deferred, Effect, Layer, Schema } from "effect"
import type { Scope } from "effect"
import * as Connection from "./Connection.ts"
import type { ConnectionError } from "./Connection.ts"
import { FrameType } from "./Frame.ts"
import { unknownId } from "./Handshake.ts"
import { controlBytesMax, controlConnectionsMax, controlMillisMax } from "./Limits.ts"
import { PeerPort } from "./PeerPort.ts"
import type { DialError } from "./PeerPort.ts"

/**
 * The peer did not answer. `Unreachable`: nothing was sent, and it may answer later (nobody listens there, or it does not serve requests yet).
 * `Failed`: the connection broke or the deadline passed after sending. `Refused`: it answered that it speaks another protocol.
 */
export class ControlError extends Schema.TaggedError<ControlError>()("ControlError", {
  reason: Schema.Literals(["Unreachable", "Failed", "Refused"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export class Control extends Context.Service<Control, {
  /** Sends one request to the peer port at `address` (`host:port`) and waits for the answer, for at most `timeoutMillis`. */
  readonly call: (
    address: string,
    request: Uint8Array,
    timeoutMillis: number
  ) => Effect.Effect<Uint8Array, ControlError>

  /** Answers requests until the scope closes; requests that come earlier are refused. */
  readonly serve: (
    handler: (request: Uint8Array) => Effect.Effect<Uint8Array>
  ) => Effect.Effect<void, never, Scope.Scope>
}>()("@dkv/transport/Control") {
  static readonly layer: Layer.Layer<Control, never, PeerPort> = Layer.effect(
    Control,
    Effect.map(PeerPort, (port) => Control.of({ call: call(port), serve: serve(port) }))
  )
}

const call = (port: PeerPort["Service"]): Control["Service"]["call"] => (address, request, timeoutMillis) =>
  Effect.suspend(() => {
    if (request.length > controlBytesMax) {
      return Effect.fail(
        new ControlError({
          reason: "Unreachable",
          message: `a request of ${request.length} bytes was not sent: ${controlBytesMax} are allowed`
        })
      )
    }
    let sent = false
    return exchange(port, address, request, () => sent = true).pipe(
      Effect.scoped,
      Effect.timeoutOrElse({
        duration: timeoutMillis,
        orElse: () =>
          Effect.fail(
            new ControlError({
              reason: sent ? "Failed" : "Unreachable",
              message: `${address}: no answer within ${timeoutMillis} ms`
            })
          )
      })
    )
  })

const exchange = Effect.fnUntraced(function*(
  port: PeerPort["Service"],
  address: string,
  request: Uint8Array,
  onSend: () => void
) {
  const connection = yield* Effect.mapError(port.dial(address, hello), fromDial)
  connection.frames.bytesMax = controlBytesMax
  onSend()
  yield* connection.send(FrameType.Request, [request]).pipe(
    Effect.andThen(connection.receive),
    Effect.mapError((cause) => new ControlError({ reason: "Failed", message: `${address}: ${cause.message}`, cause }))
  )
  if (connection.frames.type !== FrameType.Response) {
    return yield* new ControlError({ reason: "Failed", message: `${address}: answered with something else` })
  }
  return connection.frames.message
})

const serve = (port: PeerPort["Service"]): Control["Service"]["serve"] =>
  Effect.fnUntraced(function*(handler) {
    let open = 0
    const closed = yield* Deferred.make<void>()
    yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))

    const respond = Effect.fnUntraced(
      function*(connection: Connection.Connection): Effect.fn.Return<void, ConnectionError> {
        connection.frames.bytesMax = controlBytesMax
        yield* connection.receive
        if (connection.frames.type !== FrameType.Request) return yield* Connection.protocolError("sent no request")
        const response = yield* handler(connection.frames.message)
        yield* connection.send(FrameType.Response, [response])
        yield* Connection.linger(connection)
      }
    )

    yield* port.accept(["control"], {
      admit: () =>
        open < controlConnectionsMax
          ? undefined
          : { reason: "Busy", message: `${controlConnectionsMax} requests are being answered` },
      run: (_, connection) =>
        Effect.suspend(() => {
          open++
          return respond(connection)
        }).pipe(
          Effect.timeoutOption(controlMillisMax),
          Effect.asVoid,
          Effect.raceFirst(Deferred.await(closed)),
          Effect.ensuring(Effect.sync(() => open--))
        )
    })
  })

const hello = { kind: "control", clusterId: unknownId, from: unknownId, to: unknownId } as const

const fromDial = (error: DialError): ControlError =>
  new ControlError({
    reason: error.reason === "NotAPeer" || error.refusal?.startsWith("Version") === true ? "Refused" : "Unreachable",
    message: error.message,
    cause: error
  })
