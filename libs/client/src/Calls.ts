/**
 * All calls of a client that wait for an answer: queued, in a batch on its way, or to be tried again. Knows what may be repeated: a read always; a write always too if
 * it belongs to a session, and else only after an answer that says it was not carried out, or when it was never sent.
 *
 * Mutable; touched by the callers and by the fibers of one client, all on one thread.
 */
import { BatchRequest, Limits as WireLimits, Signal } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import { Effect, Exit } from "effect"
import { Call, lanes } from "./Call.ts"
import type { Lane, Read } from "./Call.ts"
import { ClientError } from "./ClientError.ts"
import * as Limits from "./Limits.ts"
import { RunCount, WriteSession } from "./WriteSession.ts"

/** Calls of one lane, first come first served. */
interface Queue {
  calls: Array<Call>
  /** Those before it have been taken. */
  head: number
}

const operationBytesMax = WireLimits.requestBytesMax - BatchRequest.overheadBytes

export class Calls {
  /** Raised when there is something to send in a lane. Whoever is to send it puts a signal of their own here. */
  readonly filled: Record<Lane, Signal>
  /** Raised when the first call comes: deadlines are to be looked at. */
  readonly started = new Signal()
  /** Raised when a session is needed. */
  readonly sessionWanted = new Signal()
  /** Undefined for a client that sends a write once only. */
  private readonly session: WriteSession | undefined
  private readonly nowUnsafe: () => number
  /** There is more than one member to ask. */
  private readonly hasOthers: boolean
  private readonly queues: Record<Lane, Queue> = {
    write: { calls: [], head: 0 },
    linearizable: { calls: [], head: 0 },
    bounded: { calls: [], head: 0 },
    stale: { calls: [], head: 0 }
  }
  /** Writes that have a number in the session: sent before, and to be sent again. They go first, for it is they that a full session waits for. */
  private readonly repeats: Queue = { calls: [], head: 0 }
  private parked: Array<Call> = []
  private count = 0
  private isClosed = false
  /** The time, read once for all calls of a turn; 0 when it has to be read again. */
  private turn = 0

  constructor(nowUnsafe: () => number, options: { readonly withSession: boolean; readonly hasOthers: boolean }) {
    this.nowUnsafe = nowUnsafe
    this.session = options.withSession ? new WriteSession() : undefined
    this.hasOthers = options.hasOthers
    const nobody = new Signal()
    this.filled = { write: nobody, linearizable: nobody, bounded: nobody, stale: nobody }
  }

  /** Calls whose callers still wait. */
  get size(): number {
    return this.count
  }

  hasQueued(lanes: ReadonlyArray<Lane>): boolean {
    for (const lane of lanes) {
      if (!isEmpty(this.queues[lane]) || (lane === "write" && !isEmpty(this.repeats))) return true
    }
    return false
  }

  /** Whether there is something that may be sent now: writes wait for their session. */
  canSend(lanes: ReadonlyArray<Lane>): boolean {
    for (const lane of lanes) if (this.source(lane) !== undefined) return true
    return false
  }

  /** What the next batch of the lane is taken from; undefined if there is nothing that may be sent now. */
  private source(lane: Lane): Queue | undefined {
    const queue = this.queues[lane]
    if (lane === "write" && this.session !== undefined) {
      if (this.session.id !== undefined && !isEmpty(this.repeats)) return this.repeats
      if (!this.session.hasRoom) return undefined
    }
    return isEmpty(queue) ? undefined : queue
  }

  /** Whether writes wait for a session to be opened. */
  get needsSession(): boolean {
    return this.session !== undefined && this.session.id === undefined && this.hasQueued(["write"])
  }

  sessionOpened(id: Operation.SessionId): void {
    this.session?.open(id)
    // numbers of the session before are worth nothing in this one
    const { queues: { write }, repeats } = this
    write.calls = [...repeats.calls.slice(repeats.head), ...write.calls.slice(write.head)]
    write.head = 0
    clear(repeats)
    this.filled.write.raise()
  }

  /** The stamp of a batch of writes that was taken. */
  stamp(calls: ReadonlyArray<Call>): Operation.Stamp | undefined {
    return this.session?.stamp(calls)
  }

  /** An effect that makes the call and waits for its answer. */
  make<A>(
    operation: Operation.Operation,
    lane: Lane,
    timeoutMillis: number,
    read: Read<A>,
    maxStalenessMillis = 0
  ): Effect.Effect<A, ClientError> {
    return Effect.callback<A, ClientError>((resume) => {
      const refusal = this.refusal(timeoutMillis)
      if (refusal !== undefined) return resume(refusal)
      if (this.count++ === 0) {
        this.turn = 0
        this.started.raise()
      }
      if (this.turn === 0) this.turn = this.nowUnsafe()
      const call = new Call(operation, lane, maxStalenessMillis, timeoutMillis, this.turn + timeoutMillis, read, resume)
      if (call.bytes > operationBytesMax) return this.settle(call, tooLarge)
      this.queues[lane].calls.push(call)
      this.filled[lane].raise()
      if (this.needsSession) this.sessionWanted.raise()
      return Effect.sync(() => this.abandon(call))
    })
  }

  /** The next batch, of calls that can travel together; empty if there is none. Takes from the lane at `first`, or else from the next one that has calls. */
  take(lanes: ReadonlyArray<Lane>, first: number): ReadonlyArray<Call> {
    this.turn = 0
    const taken: Array<Call> = []
    for (let tried = 0; tried < lanes.length && taken.length === 0; tried++) {
      const lane = lanes[(first + tried) % lanes.length]!
      const queue = this.source(lane)
      if (queue !== undefined) this.fill(taken, queue)
    }
    return taken
  }

  private fill(taken: Array<Call>, queue: Queue): void {
    const { calls } = queue
    const runs = new RunCount()
    let bytes = 0
    let position = queue.head
    for (; position < calls.length && taken.length < Limits.batchOperationsMax; position++) {
      const call = calls[position]!
      if (call.state === "done") continue
      if (taken.length > 0 && (call.isAlone || taken[0]!.isAlone || bytes + call.bytes > Limits.batchBytesMax)) break
      if (call.isWrite && this.session !== undefined) {
        if (!this.session.admit(call)) {
          this.fail(call, "Unknown", "its session was closed by the cluster, which had too many")
          continue
        }
        if (!runs.take(call.sequence)) break
      }
      bytes += call.bytes
      call.state = "out"
      taken.push(call)
    }
    if (position === calls.length) clear(queue)
    else queue.head = position
  }

  /** A member's word on a call that is out. Returns true if it says to ask another member. */
  answer(call: Call, result: Operation.Result, now: number): boolean {
    if (call.state === "done") return false
    const refusal = refusalOf(result)
    if (refusal === undefined) {
      this.abandon(call)
      call.succeed(result)
      return false
    }
    const { message, reason } = refusal
    call.lastWord = message
    switch (reason) {
      case "NoLeader":
      case "Stopped":
        this.park(call, now)
        return true
      case "Witness":
        if (this.hasOthers) this.park(call, now)
        else this.fail(call, "Unavailable", message)
        return this.hasOthers
      case "Busy":
      case "Refused":
      case "Lost":
        this.park(call, now)
        return false
      case "AnswerTooLarge":
        if (call.isAlone) this.fail(call, "Invalid", message)
        else {
          call.isAlone = true
          this.park(call, now)
        }
        return false
      case "TooLarge":
        this.fail(call, "Invalid", message)
        return false
      case "Unknown":
        this.doubt(call, message, now)
        return false
      case "Expired":
        if (call.session !== undefined) this.session?.expired(call.session)
        this.park(call, now)
        this.sessionWanted.raise()
        return false
    }
  }

  /** The connection that carried these calls is gone: what may be repeated goes out again, the outcome of the rest is not known. */
  lost(calls: ReadonlyArray<Call>, why: string, now: number): void {
    for (const call of calls) {
      if (call.state === "done") continue
      call.lastWord = why
      this.doubt(call, `the connection was lost with the write on its way (${why})`, now)
    }
  }

  /** Whether the call took effect is not known. */
  private doubt(call: Call, why: string, now: number): void {
    call.isDoubtful = call.isWrite
    if (call.isWrite && call.session === undefined) this.fail(call, "Unknown", why)
    else this.park(call, now)
  }

  /** Fails what is past its deadline, and queues what is to be tried again. `out` are the calls in batches on their way. */
  sweep(now: number, out: Iterable<ReadonlyArray<Call>>): void {
    this.turn = 0
    const waiting: Array<Call> = []
    for (const call of this.parked) {
      if (call.state === "done") continue
      if (call.deadline <= now) this.expire(call)
      else if (call.retryAt > now) waiting.push(call)
      else {
        call.state = "queued"
        const queue = this.session?.has(call) === true ? this.repeats : this.queues[call.lane]
        queue.calls.push(call)
      }
    }
    this.parked = waiting
    this.sweepQueue(this.repeats, now)
    for (const lane of lanes) this.sweepQueue(this.queues[lane], now)
    for (const calls of out) {
      for (const call of calls) if (call.state !== "done" && call.deadline <= now) this.expire(call)
    }
    for (const lane of lanes) if (this.hasQueued([lane])) this.filled[lane].raise()
    if (this.needsSession) this.sessionWanted.raise()
  }

  /** Nobody takes from the queues while no member can be reached, so what is over is dropped here. */
  private sweepQueue(queue: Queue, now: number): void {
    let dead = queue.head
    for (let position = queue.head; position < queue.calls.length; position++) {
      const call = queue.calls[position]!
      if (call.state !== "done" && call.deadline <= now) this.expire(call)
      if (call.state === "done") dead++
    }
    if (dead * 2 < queue.calls.length) return
    queue.calls = queue.calls.filter((call, position) => position >= queue.head && call.state !== "done")
    queue.head = 0
  }

  /** No connection to a member: what waits for one learns why, should its deadline come. */
  unreachable(why: string): void {
    for (const call of this.queued()) call.lastWord = why
  }

  /** Fails everything that waits for a connection: no other endpoint would help. */
  failQueued({ message, reason }: ClientError): void {
    // a snapshot: a caller may call again at once, on this stack
    for (const call of [...this.queued()]) this.fail(call, reason, message)
  }

  /** Nothing is sent any more: what was not sent fails, and so does every further call. */
  close(): void {
    this.isClosed = true
    for (const call of [...this.queued(), ...this.parked]) {
      this.fail(call, "Unavailable", call.isDoubtful ? "the client is closed" : closed)
    }
  }

  private *queued(): Iterable<Call> {
    for (const { calls, head } of [this.repeats, ...lanes.map((lane) => this.queues[lane])]) {
      for (let position = head; position < calls.length; position++) {
        const call = calls[position]!
        if (call.state !== "done") yield call
      }
    }
  }

  private refusal(timeoutMillis: number): Effect.Effect<never, ClientError> | undefined {
    if (this.isClosed) return Effect.fail(new ClientError({ reason: "Unavailable", message: closed }))
    if (this.count >= Limits.callsMax) return Effect.fail(new ClientError({ reason: "Busy", message: busy }))
    return isTimeout(timeoutMillis) ? undefined : Effect.fail(invalidTimeout(timeoutMillis))
  }

  private park(call: Call, now: number): void {
    call.state = "parked"
    call.retryAt = now + Math.min(Limits.retryMinMillis * 2 ** call.refusals, Limits.retryMaxMillis)
    call.refusals++
    this.parked.push(call)
  }

  private expire(call: Call): void {
    const heard = call.lastWord === "" ? "" : ` (last heard: ${call.lastWord})`
    const late = `no answer within ${call.timeoutMillis} ms${heard}`
    if (!call.isWrite) this.fail(call, "Unavailable", `${late}: try again, or look at the cluster`)
    else if (call.state === "out" || call.isDoubtful) this.fail(call, "Unknown", late)
    else this.fail(call, "Unavailable", `${late}; nothing was written: try again, or look at the cluster`)
  }

  private fail(call: Call, reason: ClientError["reason"], message: string): void {
    const error = reason === "Unknown" || call.isDoubtful
      ? new ClientError({
        reason: "Unknown",
        message: `${message}; the write may have been carried out: read before repeating it`
      })
      : new ClientError({ reason, message })
    this.settle(call, Exit.fail(error))
  }

  private settle(call: Call, exit: Exit.Exit<never, ClientError>): void {
    if (call.state === "done") return
    this.abandon(call)
    call.fail(exit)
  }

  /** Nobody waits for it any more: what was not sent yet need not be. */
  private abandon(call: Call): void {
    if (call.state === "done") return
    call.state = "done"
    this.count--
  }
}

const isEmpty = ({ calls, head }: Queue): boolean => head === calls.length

const clear = (queue: Queue): void => {
  queue.calls = []
  queue.head = 0
}

/** What is not the answer yet, and may have to be asked for again. */
const refusalOf = (result: Operation.Result): Operation.Failed | undefined => {
  if (result._tag === "Failed") return result
  return result._tag === "Invalid" && result.reason === "AnswerTooLarge"
    ? { _tag: "Failed", reason: "AnswerTooLarge", message: result.message }
    : undefined
}

const closed = "the client is closed; nothing was written"
const busy = `${Limits.callsMax} calls wait for an answer; nothing was sent, try again later`

const tooLarge = Exit.fail(
  new ClientError({
    reason: "Invalid",
    message: `key and value together are larger than the ${operationBytesMax} bytes that one call may have`
  })
)

export const isTimeout = (millis: number): boolean => millis > 0 && millis <= WireLimits.timeoutMillisMax

export const invalidTimeout = (millis: number): ClientError =>
  new ClientError({
    reason: "Invalid",
    message: `${millis} is no timeout: it must be above 0, and at most ${WireLimits.timeoutMillisMax} ms`
  })
