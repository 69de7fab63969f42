/**
 * TCP listeners of the client port. One address text can mean several sockets: `localhost` is both loopback addresses, no host is every interface.
 * The only file that accepts connections from Node.
 */
import { Address } from "@dkv/protocol"
import { Effect, Schema } from "effect"
import type { Scope } from "effect"
import * as Net from "node:net"
import * as Limits from "./Limits.ts"

/**
 * The port cannot be opened; the message says what to do.
 *
 * `Taken`: another program listens there. `Denied`: the operating system does not allow it (low ports need rights). `Address`: the text is no address, or no
 * interface of this machine has it. `Io`: anything else.
 */
export class ClientPortError extends Schema.TaggedError<ClientPortError>()("ClientPortError", {
  reason: Schema.Literals(["Taken", "Denied", "Address", "Io"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

interface Host {
  readonly host: string
  /** A machine without this address family goes without it. */
  readonly optional: boolean
  /** Used instead when the address family is missing. */
  readonly fallback?: string
}

const hosts = (host: string): ReadonlyArray<Host> => {
  switch (host) {
    case "localhost":
      return [{ host: "127.0.0.1", optional: true }, { host: "::1", optional: true }]
    case "":
    case "*":
      return [{ host: "::", optional: false, fallback: "0.0.0.0" }]
    default:
      return [{ host, optional: false }]
  }
}

const familyMissing = new Set(["EAFNOSUPPORT", "EADDRNOTAVAIL", "EPROTONOSUPPORT"])

/** Listens on `text` (`host:port`) until the scope closes, and returns the addresses that were bound. With port 0 all of them have the same free port. */
export const listen = Effect.fnUntraced(function*(
  text: string,
  onConnection: (socket: Net.Socket) => void
): Effect.fn.Return<ReadonlyArray<Address.Address>, ClientPortError, Scope.Scope> {
  const address = Address.parse(text)
  if (address === undefined) {
    return yield* new ClientPortError({
      reason: "Address",
      message: `"${text}" is not an address to listen on: write host:port, for example localhost:3000`
    })
  }
  const bound: Array<Address.Address> = []
  let port = address.port
  let skipped: ClientPortError | undefined
  for (const { fallback, host, optional } of hosts(address.host)) {
    const attempt = bind(host, port, onConnection)
    const result = yield* attempt.pipe(Effect.catch((error) => {
      if (!isFamilyMissing(error)) return Effect.fail(error)
      if (fallback !== undefined) return bind(fallback, port, onConnection)
      skipped = error
      return optional ? Effect.undefined : Effect.fail(error)
    }))
    if (result !== undefined) {
      bound.push(result)
      port = result.port
    }
  }
  if (bound.length === 0 && skipped !== undefined) return yield* skipped
  return bound
})

const isFamilyMissing = (error: ClientPortError): boolean => {
  const cause = error.cause
  return typeof cause === "object" && cause !== null && "code" in cause && familyMissing.has(String(cause.code))
}

const bind = (host: string, port: number, onConnection: (socket: Net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server, ClientPortError>((resume) => {
      const server = Net.createServer({
        noDelay: true,
        // a host that is gone without a word would keep its place for ever
        keepAlive: true,
        keepAliveInitialDelay: Limits.keepAliveMillis,
        pauseOnConnect: true
      }, onConnection)
      const fail = (cause: NodeJS.ErrnoException) => resume(Effect.fail(listenError(host, port, cause)))
      server.once("error", fail)
      server.listen({ host, port, exclusive: true, backlog: 1024 }, () => {
        server.off("error", fail)
        // accept errors (no file descriptors left) pass; the listener lives on
        server.on("error", () => {})
        resume(Effect.succeed(server))
      })
    }),
    // open connections belong to the port, which closes them itself
    (server) => Effect.sync(() => server.close())
  ).pipe(Effect.map((server): Address.Address => ({ host, port: (server.address() as Net.AddressInfo).port })))

const listenError = (host: string, port: number, cause: NodeJS.ErrnoException): ClientPortError => {
  const at = Address.format({ host, port })
  switch (cause.code) {
    case "EADDRINUSE":
      return new ClientPortError({
        reason: "Taken",
        message: `client port ${at} is taken by another program: stop it, or choose another port`,
        cause
      })
    case "EACCES":
    case "EPERM":
      return new ClientPortError({
        reason: "Denied",
        message: `not allowed to listen on ${at}: choose a port of 1024 or above`,
        cause
      })
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new ClientPortError({
        reason: "Address",
        message:
          `no interface of this machine has the address ${at}: use localhost, an address of this machine, or only a port`,
        cause
      })
    default:
      return new ClientPortError({ reason: "Io", message: `cannot listen on ${at}: ${cause.message}`, cause })
  }
}
