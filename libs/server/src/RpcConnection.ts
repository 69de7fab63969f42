/**
 * One connection for rare calls, between its socket and Effect's RPC server. Hands over a few calls at once, and reads on when they are answered and the answers are
 * taken. A call does not wait for its answer to be sent: of those that run at once in the member, none is held up by a client that does not read.
 *
 * Mutable; touched only from its own fibers and from those of its calls, all on one thread.
 */
import { Signal } from "@dkv/protocol"
import { Effect } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { RpcMessage, RpcSerialization } from "effect/rpc"
import { Socket } from "effect/socket"
import * as Limits from "./Limits.ts"

type Frame = Uint8Array | string

export class RpcConnection {
  private readonly parser: RpcSerialization.Parser
  /** Ids of calls that have no answer yet. */
  private readonly running = new Set<string | number>()
  private outbox: Array<Frame> = []
  private writing = 0
  private readonly filled = new Signal()
  private readonly room = new Signal()
  /** Reads and writes that were done; only grows, for whoever watches over progress. */
  private moves = 0
  private seen = { moves: 0, idleChecks: 0 }

  constructor(parser: RpcSerialization.Parser) {
    this.parser = parser
  }

  /** Serves until the other end is gone, or sends what is no call that can be answered. `take` starts a call, and does not wait for it. Started once. */
  run(
    pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>,
    writer: Socket.Writer,
    take: (message: RpcMessage.FromClientEncoded) => Effect.Effect<void>
  ): Effect.Effect<void, Socket.SocketError> {
    const untilRoom: Effect.Effect<void> = Effect.suspend(() =>
      this.running.size + this.outbox.length + this.writing < Limits.rpcCallsMax
        ? Effect.void
        : Effect.andThen(this.room.wait, untilRoom)
    )
    const hand = (message: RpcMessage.FromClientEncoded) =>
      Effect.andThen(
        untilRoom,
        Effect.suspend(() => {
          if (message._tag !== "Request") return take(message)
          // nothing says when these are over
          if (message.isNotification === true || message.discard === true) return Effect.fail(noAnswerWanted)
          this.running.add(message.id)
          return take(message)
        })
      )
    const receive = (chunks: NonEmptyReadonlyArray<Uint8Array>) => {
      this.moves++
      return Effect.forEach(chunks, (chunk) =>
        // what comes of the wire's parser has this shape
        Effect.forEach(this.parser.decode(chunk) as ReadonlyArray<RpcMessage.FromClientEncoded>, hand, {
          discard: true
        }), { discard: true })
    }
    const write = Effect.suspend(() => {
      const frames = this.outbox
      this.outbox = []
      this.writing = frames.length
      return isNonEmpty(frames) ? writer.writeAll(frames) : Effect.void
    })
    const written = Effect.sync(() => {
      this.writing = 0
      this.moves++
      this.room.raise()
    })
    return Effect.raceFirst(
      Effect.forever(Effect.flatMap(pull, receive)),
      Effect.forever(Effect.andThen(this.filled.wait, Effect.andThen(write, written)))
    )
  }

  /** Puts a message of the server where it is sent from. Throws if it cannot be encoded. */
  send(message: RpcMessage.FromServerEncoded): void {
    const frame = this.parser.encode(message)
    if (message._tag === "Exit") this.running.delete(message.requestId)
    if (frame !== undefined) this.outbox.push(frame)
    this.filled.raise()
  }

  /** To be called at a steady pace: whether nothing has moved for too many calls although it is the other end's turn. */
  isStalled(): boolean {
    const { moves, seen } = this
    const waits = this.writing > 0 || this.running.size === 0
    this.seen = { moves, idleChecks: waits && seen.moves === moves ? seen.idleChecks + 1 : 0 }
    return this.seen.idleChecks >= Limits.stallChecksMax
  }
}

const isNonEmpty = (frames: ReadonlyArray<Frame>): frames is NonEmptyReadonlyArray<Frame> => frames.length > 0

const noAnswerWanted = new Socket.SocketError({
  reason: new Socket.SocketCloseError({ code: 1008, closeReason: "a call that wants no answer" })
})
