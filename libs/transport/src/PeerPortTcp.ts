/**
 * The peer port over TCP, through Node. Names are resolved at each dial, so a member whose address changed just comes back.
 */
import { crc32c } from "@node-rs/crc32"
import { Transport } from "@dkv/raft"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { Effect, Exit, Layer, Scope } from "effect"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Address from "./Address.ts"
import type { HostPort } from "./Address.ts"
import * as Checksum from "./Checksum.ts"
import { keepAliveMillis, portAttempts } from "./Limits.ts"
import * as PeerPort from "./PeerPort.ts"

/** Native code computes long checksums five times as fast, but each call into it costs as much as 150 bytes do without. */
export const checksum: Checksum.Checksum = Checksum.withNative(
  (crc, bytes) => crc32c(bytes as Buffer, crc),
  192
)

/**
 * Listens on `host` and `port`, and dials over TCP. Host `localhost` means both loopback addresses, an empty one all
 * interfaces; port 0 takes any free port (see `addresses`). Fails with `TransportError` if the port cannot be had: choose
 * another, or stop the program that has it.
 */
export const layer = (
  options: HostPort & Pick<PeerPort.Options, "versions">
): Layer.Layer<PeerPort.PeerPort, Transport.TransportError> =>
  Layer.effect(
    PeerPort.PeerPort,
    Effect.gen(function*() {
      const servers = yield* listen(options)
      return yield* PeerPort.make({
        addresses: servers.map(({ host, port }) => Address.format({ host, port })),
        servers: servers.map(({ server }) => server),
        dial,
        checksum,
        ...(options.versions !== undefined && { versions: options.versions })
      })
    })
  )

export interface Listening extends HostPort {
  readonly server: SocketServer.SocketServer["Service"]
}

const listen = Effect.fnUntraced(function*(
  address: HostPort
): Effect.fn.Return<ReadonlyArray<Listening>, Transport.TransportError, Scope.Scope> {
  if (address.host !== "localhost") return [yield* bind(address)]
  const outer = yield* Effect.scope
  for (let attempt = 1;; attempt++) {
    const scope = yield* Scope.fork(outer)
    const both = yield* Effect.exit(Scope.provide(bindLoopback(address.port), scope))
    if (Exit.isSuccess(both)) return both.value
    yield* Scope.close(scope, both)
    if (address.port !== 0 || attempt === portAttempts) return yield* both
  }
})

/** The second address has to get the port that the first was given; where a machine has no IPv6, the first is all. */
const bindLoopback = Effect.fnUntraced(function*(port: number) {
  const first = yield* bind({ host: "127.0.0.1", port })
  const second = yield* bind({ host: "::1", port: first.port }).pipe(
    Effect.catchIf((error) => isAbsent(error.cause), () => Effect.undefined)
  )
  return second === undefined ? [first] : [first, second]
})

/** A server on one address. */
export const bind = Effect.fnUntraced(function*(
  { host, port }: HostPort
): Effect.fn.Return<Listening, Transport.TransportError, Scope.Scope> {
  const server = yield* NodeSocketServer.make({
    ...(host !== "" && { host }),
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMillis
  }).pipe(Effect.mapError((error) => cannotListen({ host, port }, error.reason.cause)))
  return { host, port: server.address._tag === "UnixPathAddress" ? port : server.address.port, server }
})

/** A socket to `address`, which its reader dials. */
export const dial = (address: string): Effect.Effect<Socket.Socket, PeerPort.DialError> => {
  const target = Address.parse(address)
  return target === undefined || target.port === 0
    ? Effect.fail(
      new PeerPort.DialError({
        reason: "Unreachable",
        refusal: undefined,
        message: `"${address}" is no address: write host:port`
      })
    )
    : NodeSocket.makeNet({
      host: target.host === "" ? "localhost" : target.host,
      port: target.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMillis
    })
}

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

const isAbsent = (cause: unknown): boolean => ["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(String(codeOf(cause)))

const cannotListen = (address: HostPort, cause: unknown): Transport.TransportError => {
  const where = Address.format(address)
  const code = codeOf(cause)
  const message = code === "EADDRINUSE"
    ? `Peer port ${where} is taken: stop the program that uses it, or choose another port`
    : code === "EACCES"
    ? `Peer port ${where} needs privileges that this user lacks: choose a port above 1023`
    : code === "EADDRNOTAVAIL" || code === "ENOTFOUND"
    ? `Peer address ${where} is none of this machine's: listen on one that is, or on all with ":${address.port}"`
    : `Cannot listen on peer address ${where}: ${cause instanceof Error ? cause.message : String(cause)}`
  return new Transport.TransportError({ message, cause })
}
