/** Looks at the first bytes of a connection and puts them back, for whoever will serve it. */
import { Effect } from "effect"
import type { Scope } from "effect"
import { Socket } from "effect/socket"
import type * as Net from "node:net"
import { sniff } from "./Sniff.ts"
import type { Protocol } from "./Sniff.ts"

/** What the connection speaks. It stays paused. */
export const peek = (raw: Net.Socket): Effect.Effect<Protocol | "unknown" | "closed"> =>
  Effect.callback<Protocol | "unknown" | "closed">((resume) => {
    let seen: Buffer | undefined
    const stop = () => {
      raw.off("readable", look)
      raw.off("end", ended)
      raw.off("close", ended)
    }
    const done = (protocol: Protocol | "unknown" | "closed") => {
      stop()
      if (seen !== undefined && !raw.destroyed) raw.unshift(seen)
      resume(Effect.succeed(protocol))
    }
    const ended = () => done("closed")
    const look = () => {
      const chunk: Buffer | null = raw.read()
      if (chunk === null) return
      seen = seen === undefined ? chunk : Buffer.concat([seen, chunk])
      const protocol = sniff(seen)
      if (protocol !== "partial") done(protocol)
    }
    raw.on("readable", look)
    raw.on("end", ended)
    raw.on("close", ended)
    return Effect.sync(stop)
  })

/** The same for a connection within the process: what it speaks, and the connection as it was before. */
export const peekSocket = Effect.fnUntraced(function*(
  socket: Socket.Socket
): Effect.fn.Return<
  { readonly protocol: Protocol | "unknown"; readonly socket: Socket.Socket },
  Socket.SocketError,
  Scope.Scope
> {
  const { pull, upgrade } = yield* socket.reader
  let first: Uint8Array = new Uint8Array(0)
  let protocol = sniff(first)
  while (protocol === "partial") {
    for (const chunk of yield* pull) first = append(first, chunk as Uint8Array)
    protocol = sniff(first)
  }
  let pending: Uint8Array | undefined = first
  const replayed = Effect.suspend(() => {
    if (pending === undefined) return pull
    const chunk = pending
    pending = undefined
    return Effect.succeed([chunk] as const)
  })
  return {
    protocol,
    socket: Socket.make({ reader: Effect.succeed({ pull: replayed, upgrade }), writer: socket.writer })
  }
})

const append = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  if (a.length === 0) return b
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
