/** One connection for hot operations, from hello to end: gathers the calls of a turn into a frame, keeps several on their way, and hands out the answers. */
import { BatchReply, BatchRequest, Frame, Limits as WireLimits, Signal } from "@dkv/protocol"
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Socket } from "effect/socket"
import type { Call, Calls } from "./Calls.ts"
import { ClientError } from "./ClientError.ts"
import { greet } from "./Greeting.ts"
import * as Limits from "./Limits.ts"

/** Mutable; one per connection. */
export class BatchSession {
  /** Batches on their way, by id. */
  readonly out = new Map<number, ReadonlyArray<Call>>()
  /** When the server was last heard, or given something to do after it had nothing. */
  heardAt: number
  /** It has answered something: the endpoint is good. */
  hasAnswered = false
  private readonly calls: Calls
  private readonly nowUnsafe: () => number
  private readonly room = new Signal()
  private readonly drained = new Signal()
  private nextId = 1
  private isLeaving = false

  constructor(calls: Calls, nowUnsafe: () => number) {
    this.calls = calls
    this.nowUnsafe = nowUnsafe
    this.heardAt = nowUnsafe()
  }

  /** Serves calls until the connection is lost, or another member should be asked. */
  readonly run = (socket: Socket.Socket): Effect.Effect<void, ClientError, Scope.Scope> =>
    Effect.gen({ self: this }, function*() {
      const { pull, writer } = yield* greet(socket, "batch")
      this.heardAt = this.nowUnsafe()
      const decoder = new Frame.Decoder(WireLimits.replyBytesMax)
      let violation: Frame.Violation | undefined
      const read = Effect.whileLoop({
        while: () => violation === undefined,
        body: () => pull,
        step: (chunks) => {
          this.heardAt = this.nowUnsafe()
          for (const chunk of chunks) {
            violation ??= decoder.push(chunk, (frame) => void (violation ??= this.receive(frame)))
          }
        }
      })
      const write = Effect.whileLoop({
        while: () => !this.isLeaving,
        body: () => Effect.andThen(this.nextTurn, Effect.suspend(() => this.send(writer))),
        step: () => {}
      })
      const leave = Effect.andThen(write, Effect.suspend(() => this.untilDrained))
      yield* Effect.raceFirst(read, leave).pipe(
        Effect.catchTag("SocketError", (error) => unavailable(error.message))
      )
      if (violation !== undefined) return yield* unavailable(violation.message)
    })

  /** Waits until there are calls and room for a batch, and for the end of the turn, so that calls made together travel together. */
  private readonly nextTurn: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isLeaving) return Effect.void
    if (this.out.size >= Limits.batchesInFlightMax) return Effect.andThen(this.room.wait, this.nextTurn)
    if (!this.calls.hasQueued) return Effect.andThen(this.calls.filled.wait, this.nextTurn)
    return Effect.yieldNow
  })

  private readonly untilDrained: Effect.Effect<void> = Effect.suspend(() =>
    this.out.size === 0 ? Effect.void : Effect.andThen(this.drained.wait, this.untilDrained)
  )

  private send(writer: Socket.Writer): Effect.Effect<void, Socket.SocketError> {
    if (this.isLeaving) return Effect.void
    const calls = this.calls.take()
    if (calls.length === 0) return Effect.void
    const now = this.nowUnsafe()
    let deadline = now
    for (const call of calls) deadline = Math.max(deadline, call.deadline)
    if (this.out.size === 0) this.heardAt = now
    const id = this.nextId
    this.nextId = id === 0xffff_ffff ? 1 : id + 1
    this.out.set(id, calls)
    return writer.write(BatchRequest.encode({
      id,
      consistency: calls[0]!.consistency,
      timeoutMillis: Math.max(1, Math.ceil(deadline - now)),
      operations: calls.map((call) => call.operation)
    }))
  }

  private receive(frame: Uint8Array): Frame.Violation | undefined {
    const reply = BatchReply.decode(frame)
    if ("code" in reply) {
      if (!("_tag" in reply) || reply.code !== "ShuttingDown") return { code: "Malformed", message: reply.message }
      this.leave()
      return undefined
    }
    const calls = this.out.get(reply.id)
    if (calls === undefined || calls.length !== reply.results.length) {
      return { code: "Malformed", message: `an answer to batch ${reply.id} that does not fit it` }
    }
    this.out.delete(reply.id)
    this.hasAnswered = true
    let goElsewhere = false
    for (let position = 0; position < calls.length; position++) {
      if (this.calls.answer(calls[position]!, reply.results[position]!, this.heardAt)) goElsewhere = true
    }
    if (goElsewhere) this.leave()
    this.room.raise()
    if (this.out.size === 0) this.drained.raise()
    return undefined
  }

  /** Sends nothing more; the connection ends when what is out has been answered. */
  private leave(): void {
    if (this.isLeaving) return
    this.isLeaving = true
    this.calls.filled.raise()
    this.room.raise()
  }
}

const unavailable = (message: string): Effect.Effect<never, ClientError> =>
  Effect.fail(new ClientError({ reason: "Unavailable", message }))
