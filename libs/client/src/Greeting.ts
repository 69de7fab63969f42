/** The client's side of the native hello: says what the connection is for, and hands over what follows the server's answer. */
import { Bytes, Hello } from "@dkv/protocol"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Socket } from "effect/socket"
import { ClientError } from "./ClientError.ts"
import * as Limits from "./Limits.ts"
import { describe } from "./SocketTrouble.ts"

export interface Greeted {
  /** Bytes behind the hello first, then the rest of the stream. */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>
  readonly writer: Socket.Writer
}

/** Connects and greets. Fails with `Unavailable` if there is no answer in time, with `Incompatible` if the server refuses. */
export const greet = (
  socket: Socket.Socket,
  kind: Hello.Kind
): Effect.Effect<Greeted, ClientError, Scope.Scope> =>
  Effect.gen(function*() {
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    yield* writer.write(Hello.encodeClient(kind))
    let received: Uint8Array = Bytes.empty
    let answer = Hello.decodeServer(received, kind)
    while (answer === undefined) {
      for (const chunk of yield* pull) received = concat(received, chunk)
      answer = Hello.decodeServer(received, kind)
    }
    if (answer.verdict._tag === "Refused") {
      return yield* new ClientError({ reason: "Incompatible", message: answer.verdict.message })
    }
    return { pull: behind(received.subarray(answer.consumed), pull), writer }
  }).pipe(
    Effect.catchTag("SocketError", (error) => Effect.fail(unavailable(describe(error)))),
    Effect.timeoutOrElse({
      duration: Limits.connectMillis,
      orElse: () => Effect.fail(unavailable(`no answer within ${Limits.connectMillis} ms`))
    })
  )

const unavailable = (message: string): ClientError => new ClientError({ reason: "Unavailable", message })

const behind = (rest: Uint8Array, pull: Greeted["pull"]): Greeted["pull"] => {
  let pending = rest
  return Effect.suspend(() => {
    if (pending.length === 0) return pull
    const first = pending
    pending = Bytes.empty
    return Effect.succeed<NonEmptyReadonlyArray<Uint8Array>>([first])
  })
}

const concat = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}
