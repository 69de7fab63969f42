/** The client's side of the native hello: says what the connection is for, and hands over what follows the server's answer. */
import { Hello } from "@dkv/protocol"
import { Effect, Latch } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Socket } from "effect/socket"
import { ClientError } from "./ClientError.ts"
import * as Limits from "./Limits.ts"

export interface Greeted {
  /** Bytes behind the hello first, then the rest of the stream. */
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>
  readonly writer: Socket.Writer
}

/** Connects and greets. Fails with `Unavailable` if there is no answer in time, with `Incompatible` if the server refuses. */
export const greet = Effect.fnUntraced(function*(
  socket: Socket.Socket,
  kind: Hello.Kind
): Effect.fn.Return<Greeted, ClientError, Scope.Scope> {
  const greeting = Effect.gen(function*() {
    const pull = yield* Socket.readerBytes(socket)
    const writer = yield* socket.writer
    yield* writer.write(Hello.encodeClient(kind))
    let received: Uint8Array = new Uint8Array(0)
    let answer = Hello.decodeServer(received, kind)
    while (answer === undefined) {
      for (const chunk of yield* pull) received = concat(received, chunk)
      answer = Hello.decodeServer(received, kind)
    }
    if (answer.verdict._tag === "Refused") {
      return yield* new ClientError({ reason: "Incompatible", message: answer.verdict.message })
    }
    return { pull: behind(received.subarray(answer.consumed), pull), writer }
  })
  return yield* greeting.pipe(
    Effect.catchTag(
      "SocketError",
      (error) => Effect.fail(new ClientError({ reason: "Unavailable", message: error.message }))
    ),
    Effect.timeoutOrElse({
      duration: Limits.connectMillis,
      orElse: () =>
        Effect.fail(
          new ClientError({ reason: "Unavailable", message: `no answer within ${Limits.connectMillis} ms` })
        )
    })
  )
})

/** A socket that has been greeted by the time anyone reads or writes, for protocols that want a socket of their own. */
export const greeted = (socket: Socket.Socket, kind: Hello.Kind): Socket.Socket => {
  const failed = (error: ClientError) =>
    new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause: error }) })
  const open = Latch.makeUnsafe(false)
  let current: Socket.Writer | undefined
  const whenGreeted = (write: (writer: Socket.Writer) => Effect.Effect<void, Socket.SocketError>) =>
    Effect.andThen(open.await, Effect.suspend(() => current === undefined ? Effect.void : write(current)))
  return Socket.make({
    reader: Effect.gen(function*() {
      const { pull, writer } = yield* Effect.mapError(greet(socket, kind), failed)
      current = writer
      open.openUnsafe()
      yield* Effect.addFinalizer(() => Effect.sync(() => open.closeUnsafe()))
      return { pull, upgrade: Socket.SocketUpgradeError.unsupported }
    }),
    writer: Effect.succeed({
      write: (chunk) => whenGreeted((writer) => writer.write(chunk)),
      writeAll: (chunks) => whenGreeted((writer) => writer.writeAll(chunks))
    })
  })
}

const behind = (
  rest: Uint8Array,
  pull: Greeted["pull"]
): Greeted["pull"] => {
  let pending = rest
  return Effect.suspend(() => {
    if (pending.length === 0) return pull
    const first = pending
    pending = new Uint8Array(0)
    return Effect.succeed<NonEmptyReadonlyArray<Uint8Array>>([first])
  })
}

const concat = (a: Uint8Array, b: Uint8Array): Uint8Array => {
  const joined = new Uint8Array(a.length + b.length)
  joined.set(a)
  joined.set(b, a.length)
  return joined
}
