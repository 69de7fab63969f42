/**
 * The peer port: where a member is reached by the others, and how it reaches them. It opens and accepts connections, does the
 * handshake that all kinds of connection share, and hands them on by kind: raft and bulk lanes to `PeerTransport`, single
 * questions to `Control`, which therefore works before the member knows who it is.
 *
 * Everything here stands on Effect's `Socket` and `SocketServer`; a layer only says which ones.
 */
import { Context, Deferred, Effect, Exit, Schema } from "effect"
import type { Scope } from "effect"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import type { Checksum } from "./Checksum.ts"
import * as Connection from "./Connection.ts"
import { ConnectionError } from "./Connection.ts"
import * as Handshake from "./Handshake.ts"
import type { Hello, Kind, Refused, Versions } from "./Handshake.ts"
import { handshakeMillisMax, unauthenticatedMax } from "./Limits.ts"
import * as LogLimit from "./LogLimit.ts"

/**
 * No connection came about, and nothing was sent. `Unreachable`: nobody answered in time. `Refused`: the other side said why not
 * (`refusal` is undefined if it gave a reason that this version does not know). `NotAPeer`: what answered does not speak this protocol.
 */
export class DialError extends Schema.TaggedError<DialError>()("DialError", {
  reason: Schema.Literals(["Unreachable", "Refused", "NotAPeer"]),
  refusal: Schema.UndefinedOr(Schema.String),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

/** One kind of service on the port. */
export interface Acceptor {
  /** Decides, without waiting, whether a connection is welcome. */
  readonly admit: (hello: Hello) => Refused | undefined
  /** Has the connection until it returns or fails; then it is destroyed. The peer has been told that it is welcome. */
  readonly run: (hello: Hello, connection: Connection.Connection) => Effect.Effect<void, ConnectionError>
}

export class PeerPort extends Context.Service<PeerPort, {
  /** Where this port listens. */
  readonly addresses: ReadonlyArray<string>
  /** Opens a connection and does the handshake. Closing the scope destroys it. */
  readonly dial: (
    address: string,
    hello: Omit<Hello, "versions">
  ) => Effect.Effect<Connection.Connection, DialError, Scope.Scope>
  /** Takes the incoming connections of these kinds until the scope closes; before and after, they are refused as `NotReady`. */
  readonly accept: (kinds: ReadonlyArray<Kind>, acceptor: Acceptor) => Effect.Effect<void, never, Scope.Scope>
}>()("@dkv/transport/PeerPort") {}

export interface Options {
  readonly addresses: ReadonlyArray<string>
  /** Their connections all come in at this port; they run until the scope of `make` closes. */
  readonly servers: ReadonlyArray<SocketServer.SocketServer["Service"]>
  /** A socket to `address`; its reader dials. */
  readonly dial: (address: string) => Effect.Effect<Socket.Socket, DialError>
  readonly checksum: Checksum
  /** Protocol versions to speak, for tests; by default what this program can. */
  readonly versions?: Versions
}

export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<PeerPort["Service"], never, Scope.Scope> {
  const versions = options.versions ?? Handshake.versions
  const log = yield* LogLimit.make
  const acceptors = new Map<Kind, Acceptor>()
  const strangers = new Set<Deferred.Deferred<never, ConnectionError>>()

  const refuse = Effect.fnUntraced(function*(connection: Connection.Connection, hello: Hello, refused: Refused) {
    if (refused.reason !== "NotReady") {
      yield* log(`Refused a ${hello.kind} connection from ${hello.from}: ${refused.reason}, ${refused.message}`)
    }
    const code = Handshake.Refusal[refused.reason]
    yield* Handshake.sendAnswer(connection, { code, versions, version: 0, message: refused.message })
    yield* Connection.linger(connection)
  })

  /** Undefined if the peer was refused. */
  const welcome = Effect.fnUntraced(function*(socket: Socket.Socket) {
    const connection = yield* Connection.open(socket, options.checksum)
    const hello = yield* Handshake.receiveHello(connection)
    const version = Handshake.chooseVersion(versions, hello.versions)
    const acceptor = acceptors.get(hello.kind)
    const refused = typeof version !== "number" ? version : acceptor === undefined ? notReady : acceptor.admit(hello)
    if (typeof version !== "number" || acceptor === undefined || refused !== undefined) {
      yield* refuse(connection, hello, refused ?? notReady)
      return undefined
    }
    yield* Handshake.sendAnswer(connection, { code: 0, versions, version, message: "" })
    return { acceptor, connection, hello }
  })

  const onConnection = Effect.fnUntraced(function*(socket: Socket.Socket) {
    const evicted = Deferred.makeUnsafe<never, ConnectionError>()
    strangers.add(evicted)
    const [oldest] = strangers
    if (strangers.size > unauthenticatedMax && oldest !== undefined) {
      strangers.delete(oldest)
      Deferred.doneUnsafe(oldest, Exit.fail(tooMany))
    }
    const welcomed = yield* welcome(socket).pipe(
      Effect.timeoutOrElse({ duration: handshakeMillisMax, orElse: () => Effect.fail(tooSlow) }),
      Effect.raceFirst(Deferred.await(evicted)),
      Effect.ensuring(Effect.sync(() => strangers.delete(evicted))),
      Effect.tapError((error) =>
        error.reason === "Closed" ? Effect.void : log(`Cut off a connection on the peer port: it ${error.message}`)
      ),
      Effect.orElseSucceed(() => undefined)
    )
    if (welcomed === undefined) return
    const { acceptor, connection, hello } = welcomed
    yield* acceptor.run(hello, connection).pipe(
      Effect.catch((error) =>
        error.reason === "Closed"
          ? Effect.void
          : log(`Cut off the ${hello.kind} connection of ${hello.from}: it ${error.message}`)
      )
    )
  }, Effect.scoped)

  for (const server of options.servers) {
    yield* Effect.forkScoped(
      Effect.catch(server.run(onConnection), (error) => Effect.logError("The peer port has stopped listening", error))
    )
  }

  const dial: PeerPort["Service"]["dial"] = Effect.fnUntraced(function*(address, hello) {
    const answer = Effect.gen(function*() {
      const socket = yield* options.dial(address)
      const connection = yield* Connection.open(socket, options.checksum)
      return { answer: yield* Handshake.greet(connection, { ...hello, versions }), connection }
    })
    const dialled = yield* answer.pipe(
      Effect.catchTag("ConnectionError", (error) =>
        Effect.fail(
          new DialError({
            reason: error.reason === "Protocol" ? "NotAPeer" : "Unreachable",
            refusal: undefined,
            message: `${address}: ${error.reason === "Protocol" ? "what listens there " : ""}${error.message}`,
            cause: error
          })
        )),
      Effect.timeoutOrElse({
        duration: handshakeMillisMax,
        orElse: () =>
          Effect.fail(
            new DialError({
              reason: "Unreachable",
              refusal: undefined,
              message: `${address}: no answer within ${handshakeMillisMax} ms`
            })
          )
      })
    )
    const { code, message } = dialled.answer
    if (code !== 0) {
      const refusal = Handshake.refusalOf(code)
      return yield* new DialError({
        reason: "Refused",
        refusal,
        message: `${address}: refused as ${refusal ?? `code ${code}`}, ${message}`
      })
    }
    return dialled.connection
  })

  return PeerPort.of({
    addresses: options.addresses,
    dial,
    accept: (kinds, acceptor) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          for (const kind of kinds) acceptors.set(kind, acceptor)
        }),
        () =>
          Effect.sync(() => {
            for (const kind of kinds) if (acceptors.get(kind) === acceptor) acceptors.delete(kind)
          })
      )
  })
})

const notReady: Refused = { reason: "NotReady", message: "nothing serves this kind of connection now" }

const tooSlow = new ConnectionError({
  reason: "Silent",
  message: `did not finish its handshake within ${handshakeMillisMax} ms`
})

const tooMany = new ConnectionError({
  reason: "Silent",
  message: `was the oldest of more than ${unauthenticatedMax} without a handshake`
})
