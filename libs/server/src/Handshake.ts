/** The server's side of the native hello: reads what the client offers, answers, and hands over what follows. */
import { Hello } from "@dkv/protocol"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Socket } from "effect/socket"
import type { Connection } from "./Gateways.ts"
import * as Limits from "./Limits.ts"

export interface Accepted {
  /** Bytes behind the hello first, then the rest of the stream. */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>
  readonly writer: Socket.Writer
}

/** Answers the hello, or fails when the peer broke off, was too slow, or was refused (which it has then been told). */
export const accept = Effect.fnUntraced(function*(
  connection: Connection,
  kind: Hello.Kind
): Effect.fn.Return<Accepted, Socket.SocketError, Scope.Scope> {
  const writer = yield* connection.socket.writer
  const pull = yield* Socket.readerBytes(connection.socket)
  let hello: Uint8Array = new Uint8Array(0)
  const read = Effect.whileLoop({
    while: () => hello.length < Hello.clientHelloBytes,
    body: () => pull,
    step: (chunks) => {
      hello = concat(hello, chunks)
    }
  })
  yield* Effect.raceFirst(
    Effect.timeoutOrElse(read, {
      duration: Limits.handshakeMillis,
      orElse: () => Effect.fail(refused("no hello in time"))
    }),
    Effect.andThen(connection.closing, Effect.fail(refused("shutting down")))
  )
  const verdict = Hello.judge(hello)
  yield* writer.write(Hello.encodeServer(kind, verdict))
  if (verdict._tag === "Refused") return yield* refused(verdict.message)
  let rest: Uint8Array | undefined = hello.length > Hello.clientHelloBytes
    ? hello.subarray(Hello.clientHelloBytes)
    : undefined
  return {
    writer,
    pull: rest === undefined ? pull : Effect.suspend(() => {
      if (rest === undefined) return pull
      const first = rest
      rest = undefined
      return Effect.succeed<NonEmptyReadonlyArray<Uint8Array>>([first])
    })
  }
})

const concat = (a: Uint8Array, chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  let length = a.length
  for (const chunk of chunks) length += chunk.length
  const out = new Uint8Array(length)
  out.set(a)
  let offset = a.length
  for (const chunk of chunks) {
    out.set(chunk, offset)
    offset += chunk.length
  }
  return out
}

const refused = (reason: string): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1002, closeReason: reason }) })
