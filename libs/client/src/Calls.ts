/**
 * Calls that wait for an answer: queued, in a batch on its way, or to be tried again. Knows what may be repeated: a read always, a write only after an answer that
 * says it was not carried out, or when it was never sent.
 *
 * Mutable; touched by the callers and by the fibers of one client, all on one thread.
 */
import { BatchRequest, Signal } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import { Effect } from "effect"
import { ClientError } from "./ClientError.ts"
import * as Limits from "./Limits.ts"

export interface Call {
  readonly operation: Operation.Operation
  readonly consistency: Operation.Consistency
  readonly isWrite: boolean
  readonly deadline: number
  readonly bytes: number
  readonly resume: (effect: Effect.Effect<Operation.Result, ClientError>) => void
  /** In a batch that was sent. */
  isOut: boolean
  /** Its answer was too large together with others: it goes in a batch of its own. */
  isAlone: boolean
  isDone: boolean
  retryAt: number
  /** What the last member that turned it away said. */
  lastWord: string
}

export class Calls {
  /** Raised when there is something to send. */
  readonly filled = new Signal()
  /** Raised when the first call comes: deadlines are to be looked at. */
  readonly started = new Signal()
  private count = 0
  /** Ready to be sent: those that need the leader's word, and those that do not. */
  private readonly queues: Record<Operation.Consistency, Array<Call>> = { linearizable: [], stale: [] }
  private parked: Array<Call> = []

  get size(): number {
    return this.count
  }

  get hasQueued(): boolean {
    return this.queues.linearizable.length > 0 || this.queues.stale.length > 0
  }

  /** An effect that makes the call and waits for its result. */
  make(
    operation: Operation.Operation,
    consistency: Operation.Consistency,
    deadlineOf: () => number
  ): Effect.Effect<Operation.Result, ClientError> {
    return Effect.callback((resume) => {
      if (this.count >= Limits.callsMax) {
        return resume(
          Effect.fail(
            new ClientError({ reason: "Busy", message: "too many calls wait for an answer; try again later" })
          )
        )
      }
      const call: Call = {
        operation,
        consistency,
        isWrite: operation._tag !== "Range",
        deadline: deadlineOf(),
        bytes: BatchRequest.operationBytes(operation),
        resume,
        isOut: false,
        isAlone: false,
        isDone: false,
        retryAt: 0,
        lastWord: ""
      }
      if (this.count++ === 0) this.started.raise()
      this.queues[consistency].push(call)
      this.filled.raise()
      // nobody waits any more: what was not sent yet need not be
      return Effect.sync(() => this.finish(call))
    })
  }

  /** The next batch, of calls that can travel together; empty if there is none. */
  take(): ReadonlyArray<Call> {
    const queue = this.queues.linearizable.length > 0 ? this.queues.linearizable : this.queues.stale
    const taken: Array<Call> = []
    let bytes = 0
    let position = 0
    for (; position < queue.length && taken.length < Limits.batchOperationsMax; position++) {
      const call = queue[position]!
      if (call.isDone) continue
      if (taken.length > 0 && (call.isAlone || taken[0]!.isAlone || bytes + call.bytes > Limits.batchBytesMax)) break
      bytes += call.bytes
      call.isOut = true
      taken.push(call)
    }
    queue.splice(0, position)
    return taken
  }

  /** The server's word on a call. Returns true if it says to ask another member. */
  answer(call: Call, result: Operation.Result, now: number): boolean {
    if (call.isDone) return false
    const failed = result._tag === "Failed" || (result._tag === "Invalid" && result.reason === "AnswerTooLarge")
    if (!failed || (result.reason === "AnswerTooLarge" && call.isAlone)) {
      this.succeed(call, result)
      return false
    }
    call.isOut = false
    call.lastWord = result.message
    switch (result.reason) {
      case "NoLeader":
      case "Stopped":
        this.park(call, now)
        return true
      case "AnswerTooLarge":
        call.isAlone = true
        this.park(call, now)
        return false
      case "Busy":
      case "Refused":
      case "Lost":
        this.park(call, now)
        return false
      case "TooLarge":
        this.fail(call, "Invalid", result.message)
        return false
      case "Unknown":
        if (call.isWrite) this.fail(call, "Unknown", result.message)
        else this.park(call, now)
        return false
      default:
        return false
    }
  }

  /** The connection is gone: reads go out again, the outcome of writes is not known. */
  lost(calls: ReadonlyArray<Call>, why: string, now: number): void {
    for (const call of calls) {
      if (call.isDone) continue
      call.isOut = false
      call.lastWord = why
      if (call.isWrite) {
        this.fail(
          call,
          "Unknown",
          `the connection was lost with the write on its way (${why}): read before repeating it`
        )
      } else this.park(call, now)
    }
  }

  /** Fails what is past its deadline, and queues what is to be tried again. `out` are the calls in batches on their way. */
  sweep(now: number, out: Iterable<ReadonlyArray<Call>>): void {
    const waiting: Array<Call> = []
    for (const call of this.parked) {
      if (call.isDone) continue
      if (call.deadline <= now) this.expire(call)
      else if (call.retryAt <= now) this.queues[call.consistency].push(call)
      else waiting.push(call)
    }
    this.parked = waiting
    for (const queue of [this.queues.linearizable, this.queues.stale]) {
      for (const call of queue) if (!call.isDone && call.deadline <= now) this.expire(call)
    }
    for (const calls of out) {
      for (const call of calls) if (!call.isDone && call.deadline <= now) this.expire(call)
    }
    if (this.hasQueued) this.filled.raise()
  }

  /** No endpoint could be reached: what has waited learns why, should its deadline come. */
  unreachable(why: string): void {
    for (const call of this.queues.linearizable) call.lastWord = why
    for (const call of this.queues.stale) call.lastWord = why
  }

  /** Everything that waits for a connection fails: no other endpoint would help. */
  failQueued(error: ClientError): void {
    for (const queue of [this.queues.linearizable, this.queues.stale]) {
      for (const call of queue.splice(0)) this.fail(call, error.reason, error.message)
    }
  }

  private park(call: Call, now: number): void {
    call.retryAt = now + Limits.retryMillis
    this.parked.push(call)
  }

  private expire(call: Call): void {
    const last = call.lastWord === "" ? "" : ` (last heard: ${call.lastWord})`
    if (call.isOut && call.isWrite) {
      this.fail(call, "Unknown", `no answer in time, with the write on its way${last}: read before repeating it`)
    } else this.fail(call, "Unavailable", `no answer in time${last}; nothing was written`)
  }

  private succeed(call: Call, result: Operation.Result): void {
    this.finish(call)
    call.resume(Effect.succeed(result))
  }

  private fail(call: Call, reason: ClientError["reason"], message: string): void {
    if (call.isDone) return
    this.finish(call)
    call.resume(Effect.fail(new ClientError({ reason, message })))
  }

  private finish(call: Call): void {
    if (call.isDone) return
    call.isDone = true
    this.count--
  }
}
