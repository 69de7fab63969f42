/** One connection for hot operations, from hello to end: gathers the calls of a turn into a frame, keeps several on their way, and hands out the answers. */
import { BatchReply, BatchRequest, Frame, Limits as WireLimits, Signal } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import type { Socket } from "effect/socket"
import type { Call, Lane } from "./Call.ts"
import type { Calls } from "./Calls.ts"
import { ClientError } from "./ClientError.ts"
import { greet } from "./Greeting.ts"
import * as Limits from "./Limits.ts"
import { describe } from "./SocketTrouble.ts"

interface Batch {
  readonly calls: ReadonlyArray<Call>
  readonly bytes: number
  readonly sentAt: number
}

/** Mutable; one per connection. */
export class BatchSession {
  /** Completes when this connection takes no further calls, be it lost or left. */
  readonly left = Deferred.makeUnsafe<void>()
  /** Completes when the member has said whether it leads, or can say no more. */
  readonly told = Deferred.makeUnsafe<void>()
  /** It has answered something: the endpoint is good. */
  hasAnswered = false
  /** The member leads, by its own word. */
  isLeading = false
  /** How often the member has said whether it leads: first after the hello, then whenever it knew of another leader or stepped down. */
  timesTold = 0
  /** Write batches given to the member while it did not lead. */
  detours = 0
  /** The hello is over: it can send. */
  isReady = false
  /** What it takes calls from. To be changed through `serve`. */
  private lanes: ReadonlyArray<Lane> = []
  private turns = 0
  private readonly out = new Map<number, Batch>()
  private readonly calls: Calls
  private readonly nowUnsafe: () => number
  /** Rings for the writing fiber, whatever it waits for. */
  private readonly wake = new Signal()
  private readonly silenced = Deferred.makeUnsafe<never, ClientError>()
  private operationsOut = 0
  private bytesOut = 0
  private nextId = 1
  private isLeaving = false
  private probe: "none" | "wanted" | "sent" = "none"
  /** When the member was last heard, or given something to do after it had nothing. */
  private heardAt: number

  /** Called when it is ready, and when the member has said whether it leads. */
  private readonly changed: () => void

  constructor(calls: Calls, nowUnsafe: () => number, changed: (session: BatchSession) => void) {
    this.calls = calls
    this.nowUnsafe = nowUnsafe
    this.changed = () => changed(this)
    this.heardAt = nowUnsafe()
  }

  /** Takes the calls of these lanes from now on. */
  serve(lanes: ReadonlyArray<Lane>): void {
    this.lanes = lanes
    for (const lane of lanes) this.calls.filled[lane] = this.wake
    this.wake.raise()
  }

  get hasLeft(): boolean {
    return this.isLeaving
  }

  /** Serves calls until the connection is lost, or another member should be asked and all answers are there. */
  readonly run = (socket: Socket.Socket): Effect.Effect<void, ClientError, Scope.Scope> =>
    Effect.gen({ self: this }, function*() {
      const { pull, writer } = yield* greet(socket, "batch")
      this.heardAt = this.nowUnsafe()
      this.isReady = true
      this.changed()
      const decoder = new Frame.Decoder(WireLimits.replyBytesMax)
      let violation: Frame.Violation | undefined
      const onFrame = (frame: Uint8Array) => {
        violation ??= this.receive(frame)
      }
      const read = Effect.whileLoop({
        while: () => violation === undefined,
        body: () => pull,
        step: (chunks) => {
          this.heardAt = this.nowUnsafe()
          this.probe = "none"
          for (const chunk of chunks) violation ??= decoder.push(chunk, onFrame)
        }
      })
      const write = Effect.whileLoop({
        while: () => !this.isOver,
        body: () => Effect.flatMap(this.nextTurn, () => this.send(writer)),
        step: () => {}
      })
      yield* Effect.raceFirst(Effect.raceFirst(read, write), Deferred.await(this.silenced)).pipe(
        Effect.catchTag("SocketError", (error) => unavailable(describe(error)))
      )
      if (violation !== undefined) return yield* unavailable(violation.message)
    })

  /** Whether batches wait for an answer. */
  get isWaiting(): boolean {
    return this.out.size > 0
  }

  /** The calls of batches that wait for an answer. */
  *callsOut(): Iterable<ReadonlyArray<Call>> {
    for (const { calls } of this.out.values()) yield calls
  }

  /** Looks after a member that does not answer. To be called at a steady pace while batches wait. `mayLeave`: there is another one to go to. */
  check(now: number, mayLeave: boolean): void {
    for (const { sentAt } of this.out.values()) {
      // the oldest comes first
      if (mayLeave && now - sentAt > Limits.answerMillis) this.leave()
      break
    }
    const silentMillis = this.out.size === 0 ? 0 : now - this.heardAt
    if (silentMillis > Limits.silenceMillis) {
      const message = `nothing was heard for ${Limits.silenceMillis} ms`
      Deferred.doneUnsafe(this.silenced, Effect.fail(new ClientError({ reason: "Unavailable", message })))
    } else if (silentMillis > Limits.probeMillis && this.probe === "none") {
      this.probe = "wanted"
      this.wake.raise()
    }
  }

  /** Takes no further calls; the connection ends when what is out has been answered. */
  leave(): void {
    if (this.isLeaving) return
    this.isLeaving = true
    Deferred.doneUnsafe(this.left, Effect.void)
    Deferred.doneUnsafe(this.told, Effect.void)
    this.wake.raise()
  }

  private get isOver(): boolean {
    return this.isLeaving && this.out.size === 0
  }

  private get hasRoom(): boolean {
    return this.out.size < Limits.batchesInFlightMax && this.operationsOut < Limits.operationsInFlightMax &&
      this.bytesOut < Limits.bytesInFlightMax
  }

  /** Waits until there is something to send and room for it, and for the end of the turn, so that calls made together travel together. */
  private readonly nextTurn: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isOver || this.probe === "wanted") return Effect.void
    if (!this.isLeaving && this.hasRoom && this.calls.canSend(this.lanes)) return Effect.yieldNow
    return Effect.flatMap(this.wake.wait, () => this.nextTurn)
  })

  private send(writer: Socket.Writer): Effect.Effect<void, Socket.SocketError> {
    const now = this.nowUnsafe()
    if (this.probe === "wanted") {
      this.probe = "sent"
      return writer.write(this.encode([], 0, now, Limits.silenceMillis))
    }
    const calls = this.isLeaving ? [] : this.calls.take(this.lanes, this.turns++)
    if (calls.length === 0) return Effect.void
    if (calls[0]!.isWrite && !this.isLeading) this.detours++
    let bytes = 0
    let deadline = now
    let attemptMillis = Limits.attemptMillis
    for (const call of calls) {
      bytes += call.bytes
      // a member gives up a range that it cannot read in time, and would do so again in the same time
      if (call.isScan) attemptMillis = Math.max(attemptMillis, Limits.attemptMillis * 2 ** call.refusals)
      if (call.deadline > deadline) deadline = call.deadline
    }
    const left = deadline - now
    const patience = left - Math.min(Limits.answerMarginMillis, left / 4)
    const mayRepeat = !calls[0]!.isWrite || calls[0]!.session !== undefined
    return writer.write(
      this.encode(calls, bytes, now, mayRepeat ? Math.min(patience, attemptMillis) : patience)
    )
  }

  private encode(calls: ReadonlyArray<Call>, bytes: number, now: number, timeoutMillis: number): Uint8Array {
    const id = this.nextId
    this.nextId = id === 0xffff_ffff ? 1 : id + 1
    if (this.out.size === 0) this.heardAt = now
    this.out.set(id, { calls, bytes, sentAt: now })
    this.operationsOut += calls.length
    this.bytesOut += bytes
    const operations = new Array<Operation.Operation>(calls.length)
    for (let i = 0; i < calls.length; i++) operations[i] = calls[i]!.operation
    return BatchRequest.encode({
      id,
      consistency: consistencyOf(calls),
      timeoutMillis: Math.max(1, Math.ceil(timeoutMillis)),
      stamp: calls[0]?.isWrite === true ? this.calls.stamp(calls) : undefined,
      operations
    })
  }

  private receive(frame: Uint8Array): Frame.Violation | undefined {
    const reply = BatchReply.decode(frame)
    if (!("_tag" in reply)) return reply
    if (reply._tag === "Notice") return this.heed(reply)
    const batch = this.out.get(reply.id)
    if (batch === undefined || batch.calls.length !== reply.results.length) {
      return { code: "Malformed", message: `the member answered with something that does not fit batch ${reply.id}` }
    }
    const { bytes, calls } = batch
    this.out.delete(reply.id)
    this.operationsOut -= calls.length
    this.bytesOut -= bytes
    this.hasAnswered = true
    let goElsewhere = false
    for (let position = 0; position < calls.length; position++) {
      if (this.calls.answer(calls[position]!, reply.results[position]!, this.heardAt)) goElsewhere = true
    }
    if (goElsewhere) this.leave()
    this.wake.raise()
    return undefined
  }

  private heed({ code, message }: BatchReply.Notice): Frame.Violation | undefined {
    switch (code) {
      case "ShuttingDown":
        this.leave()
        return undefined
      case "Leading":
      case "NotLeading":
        this.isLeading = code === "Leading"
        this.timesTold++
        Deferred.doneUnsafe(this.told, Effect.void)
        this.changed()
        return undefined
      case "Malformed":
      case "Stalled":
      case "TooLarge":
        return { code: "Malformed", message: `the member says: ${message}` }
    }
  }
}

/** What suffices for all calls of a lane. */
const consistencyOf = (calls: ReadonlyArray<Call>): Operation.Consistency => {
  const lane = calls[0]?.lane
  if (lane === "stale" || lane === "linearizable") return lane
  if (lane !== "bounded") return "linearizable"
  let maxStalenessMillis = WireLimits.timeoutMillisMax
  for (const call of calls) maxStalenessMillis = Math.min(maxStalenessMillis, call.maxStalenessMillis)
  return { maxStalenessMillis }
}

const unavailable = (message: string): Effect.Effect<never, ClientError> =>
  Effect.fail(new ClientError({ reason: "Unavailable", message }))
