/**
 * Frames over one `Socket`. It belongs to a scope, and closing the scope destroys it at once: a graceful end would wait for a
 * peer that may never read again, and what is lost with it Raft sends anew.
 */
import { Effect, Schema } from "effect"
import type { Array, Scope } from "effect"
import * as Socket from "effect/socket/Socket"
import type { Checksum } from "./Checksum.ts"
import * as Frame from "./Frame.ts"
import type { FrameType } from "./Frame.ts"
import { handshakeBytesMax, lingerMillisMax } from "./Limits.ts"

/**
 * A connection ended. `Closed`: the peer, the network or this member closed it. `Protocol`: the peer sent what it must not, and was cut off.
 * `Silent`: the peer was not heard for too long.
 */
export class ConnectionError extends Schema.TaggedError<ConnectionError>()("ConnectionError", {
  reason: Schema.Literals(["Closed", "Protocol", "Silent"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export const protocolError = (message: string): ConnectionError => new ConnectionError({ reason: "Protocol", message })

export interface Connection {
  /** The frame received last, and the limit for the next. Only the fiber that receives may touch it. */
  readonly frames: Frame.FrameReader
  /** Waits for one frame, left in `frames`. */
  readonly receive: Effect.Effect<void, ConnectionError>
  /** Calls `onFrame` for each frame until it answers false, then fails with `Protocol`; `afterChunk` runs after all frames that arrived together, and when not even one has arrived in full. */
  readonly receiveAll: (
    onFrame: (type: number, message: Uint8Array) => boolean,
    afterChunk: Effect.Effect<void, ConnectionError>
  ) => Effect.Effect<never, ConnectionError>
  /** Succeeds once the socket has taken the frames, after waiting for room if need be. */
  readonly sendAll: (frames: ReadonlyArray<Frame.Frame>) => Effect.Effect<void, ConnectionError>
  readonly send: (type: FrameType, chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void, ConnectionError>
}

/** Opens `socket` (which dials, for one that is to be dialled) and makes frames of it. Frames are held to the length of a handshake at first. */
export const open = Effect.fnUntraced(function*(
  socket: Socket.Socket,
  checksum: Checksum
): Effect.fn.Return<Connection, ConnectionError, Scope.Scope> {
  const writer = yield* socket.writer
  const pull = yield* Effect.mapError(Socket.readerBytes(socket), fromSocket)
  yield* Effect.addFinalizer(() => Effect.ignore(writer.write(new Socket.CloseEvent())))
  const frames = new Frame.FrameReader(handshakeBytesMax, checksum)

  let pulled: ReadonlyArray<Uint8Array> = []
  let taken = 0
  const fill = Effect.mapError(pull, fromSocket).pipe(Effect.map((chunks) => {
    pulled = chunks
    taken = 0
  }))
  const nextFrame = (): boolean => {
    while (!frames.next()) {
      if (frames.failure !== undefined || taken === pulled.length) return false
      frames.push(pulled[taken++]!)
    }
    return true
  }
  const failure = (): Effect.Effect<never, ConnectionError> => Effect.fail(protocolError(frames.failure!))

  const receive = Effect.gen(function*() {
    while (!nextFrame()) {
      if (frames.failure !== undefined) return yield* failure()
      yield* fill
    }
  })

  const receiveAll: Connection["receiveAll"] = Effect.fnUntraced(function*(onFrame, afterChunk) {
    while (true) {
      while (nextFrame()) {
        if (!onFrame(frames.type, frames.message)) {
          return yield* protocolError(`sent a frame of type ${frames.type}, which does not belong here`)
        }
      }
      if (frames.failure !== undefined) return yield* failure()
      yield* afterChunk
      yield* fill
    }
  })

  const sendAll = (batch: ReadonlyArray<Frame.Frame>): Effect.Effect<void, ConnectionError> =>
    Effect.mapError(
      writer.writeAll(Frame.encode(batch, checksum) as unknown as Array.NonEmptyArray<Uint8Array>),
      fromSocket
    )

  return {
    frames,
    receive,
    receiveAll,
    sendAll,
    send: (type, chunks) => Effect.suspend(() => sendAll([Frame.make(type, chunks)]))
  }
})

/** Lets the peer read what was sent last: waits until it closes the connection, or for a while. Destroying with unread input would lose it. */
export const linger = (connection: Connection): Effect.Effect<void> =>
  connection.receiveAll(() => true, Effect.void).pipe(
    Effect.ignore,
    Effect.timeoutOption(lingerMillisMax),
    Effect.asVoid
  )

const fromSocket = (error: Socket.SocketError): ConnectionError =>
  new ConnectionError({ reason: "Closed", message: describe(error), cause: error })

const describe = (error: Socket.SocketError): string => {
  const reason = error.reason
  if (reason._tag === "SocketCloseError") return "the connection was closed"
  const cause = "cause" in reason ? reason.cause : undefined
  return cause instanceof Error && cause.message !== "" ? cause.message : reason.message
}
