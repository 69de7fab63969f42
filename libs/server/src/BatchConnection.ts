/**
 * One batch connection. Everything that one read brought is decoded at once; all its writes become one group of the key-value service, its linearizable reads
 * one, its stale reads one. What is complete by the time the writer gets its turn goes out in one system call.
 *
 * Owns its counters and its outbox; touched only from its own fibers and from completions of its groups, all on one thread.
 */
import type { Kv } from "@dkv/kv"
import { BatchReply, BatchRequest, Frame, Limits as WireLimits, Signal } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import type { RaftError } from "@dkv/raft"
import { Cause, Effect, Exit, Fiber } from "effect"
import type { Context, Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Socket } from "effect/socket"
import * as Limits from "./Limits.ts"

/** A batch that is being worked on. */
interface Pending {
  readonly id: number
  readonly operations: ReadonlyArray<Operation.Operation>
  readonly bytes: number
  readonly writes: number
  readonly results: Array<Operation.Result>
  /** Groups that still owe it results. */
  groups: number
}

interface Group {
  readonly batches: Array<Pending>
  timeoutMillis: number
}

export class BatchConnection {
  private readonly kv: Kv.Kv["Service"]
  private readonly context: Context.Context<never>
  private readonly scope: Scope.Scope
  private readonly decoder = new Frame.Decoder(WireLimits.requestBytesMax)
  private outbox: Array<Uint8Array> = []
  private outboxOperations = 0
  private readonly outboxFilled = new Signal()
  private readonly room = new Signal()
  private violation: Frame.Violation | undefined
  private inflightOperations = 0
  private inflightBytes = 0
  private isClosing = false
  private isWriting = false
  /** Counts that only grow, for whoever watches over progress. */
  private framesRead = 0
  private writesDone = 0
  private seen = { framesRead: 0, writesDone: 0, idleChecks: 0 }

  constructor(kv: Kv.Kv["Service"], context: Context.Context<never>, scope: Scope.Scope) {
    this.kv = kv
    this.context = context
    this.scope = scope
  }

  /** Serves until the other end is gone or breaks the protocol. Started once. */
  run(
    pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>,
    writer: Socket.Writer
  ): Effect.Effect<void, Socket.SocketError> {
    const hasRoom = () =>
      this.inflightOperations < Limits.inflightOperationsMax && this.inflightBytes < Limits.inflightBytesMax
    const untilRoom: Effect.Effect<void> = Effect.suspend(() =>
      hasRoom() ? Effect.void : Effect.andThen(this.room.wait, untilRoom)
    )
    const read = Effect.whileLoop({
      while: () => this.violation === undefined,
      body: () => hasRoom() ? pull : Effect.andThen(untilRoom, pull),
      step: (chunks) => this.receive(chunks)
    })
    const write = Effect.whileLoop({
      while: () => true,
      body: () => Effect.andThen(this.outboxFilled.wait, Effect.andThen(Effect.yieldNow, this.flush(writer))),
      step: () => {}
    })
    const farewell = Effect.suspend(() => {
      const violation = this.violation
      return violation === undefined
        ? Effect.void
        : Effect.asVoid(writer.write(BatchReply.encodeNotice(violation.code, violation.message)))
    })
    return Effect.andThen(Effect.raceFirst(read, write), farewell)
  }

  /** From now on new batches are answered with `Stopped`, and the client is asked to leave. */
  close(): void {
    this.isClosing = true
    this.outbox.push(BatchReply.encodeNotice("ShuttingDown", "this member is shutting down: go on with another one"))
    this.outboxFilled.raise()
  }

  /** To be called at a steady pace: whether nothing has moved for too many calls although something should. */
  isStalled(): boolean {
    const { seen } = this
    const waits = this.decoder.isMidFrame || this.isWriting
    const moved = seen.framesRead !== this.framesRead || seen.writesDone !== this.writesDone
    this.seen = {
      framesRead: this.framesRead,
      writesDone: this.writesDone,
      idleChecks: waits && !moved ? seen.idleChecks + 1 : 0
    }
    return this.seen.idleChecks >= Limits.stallChecksMax
  }

  private receive(chunks: ReadonlyArray<Uint8Array>): void {
    const writes: Group = { batches: [], timeoutMillis: 0 }
    const linearizable: Group = { batches: [], timeoutMillis: 0 }
    const stale: Group = { batches: [], timeoutMillis: 0 }
    const onFrame = (frame: Uint8Array) => {
      if (this.violation !== undefined) return
      this.framesRead++
      const batch = BatchRequest.decode(frame)
      if ("code" in batch) {
        this.violation = batch
        return
      }
      this.admit(batch, frame.length, writes, batch.consistency === "stale" ? stale : linearizable)
    }
    for (let i = 0; i < chunks.length && this.violation === undefined; i++) {
      this.violation = this.decoder.push(chunks[i]!, onFrame) ?? this.violation
    }
    if (writes.batches.length > 0) this.startWrites(writes)
    if (linearizable.batches.length > 0) this.startReads(linearizable, "linearizable")
    if (stale.batches.length > 0) this.startReads(stale, "stale")
  }

  private admit(batch: BatchRequest.Batch, bytes: number, writes: Group, reads: Group): void {
    const operations = batch.operations
    this.inflightOperations += operations.length
    this.inflightBytes += bytes
    let writeCount = 0
    for (let i = 0; i < operations.length; i++) if (operations[i]!._tag !== "Range") writeCount++
    const readCount = operations.length - writeCount
    const groups = (writeCount > 0 ? 1 : 0) + (readCount > 0 ? 1 : 0)
    const pending: Pending = { id: batch.id, operations, bytes, writes: writeCount, results: [], groups }
    if (this.isClosing || groups === 0) {
      const results = operations.length === 0 ? pending.results : new Array<Operation.Result>(operations.length)
      this.reply(pending, results.fill(stopped))
      this.outboxFilled.raise()
      return
    }
    if (writeCount > 0) join(writes, pending, batch.timeoutMillis)
    if (readCount > 0) join(reads, pending, batch.timeoutMillis)
  }

  private startWrites(group: Group): void {
    const ops: Array<Operation.Write> = []
    for (const { operations } of group.batches) {
      for (let i = 0; i < operations.length; i++) {
        const operation = operations[i]!
        if (operation._tag !== "Range") ops.push(operation)
      }
    }
    this.start(group, true, ops.length, this.kv.write(ops, { timeoutMillis: group.timeoutMillis }))
  }

  private startReads(group: Group, consistency: Operation.Consistency): void {
    const ops: Array<Operation.Range> = []
    let scans = 0
    for (const { operations } of group.batches) {
      for (let i = 0; i < operations.length; i++) {
        const operation = operations[i]!
        if (operation._tag !== "Range") continue
        ops.push(operation)
        if (operation.end.length > 0) scans++
      }
    }
    const options = { consistency, timeoutMillis: group.timeoutMillis }
    const effect = scans <= Limits.scansPerReadMax
      ? this.kv.read(ops, options)
      : Effect.map(
        Effect.forEach(slices(ops, Limits.scansPerReadMax), (slice) => this.kv.read(slice, options)),
        (results) => results.flat()
      )
    this.start(group, false, ops.length, effect)
  }

  private start(
    group: Group,
    isWrite: boolean,
    count: number,
    effect: Effect.Effect<ReadonlyArray<Operation.Result>, RaftError>
  ): void {
    const fiber = Effect.runForkWith(this.context)(effect)
    fiber.addObserver((exit) => this.complete(group, isWrite, count, exit))
    Fiber.runIn(fiber, this.scope)
  }

  private complete(
    group: Group,
    isWrite: boolean,
    count: number,
    exit: Exit.Exit<ReadonlyArray<Operation.Result>, RaftError>
  ): void {
    const results = Exit.isSuccess(exit) && exit.value.length === count
      ? exit.value
      : new Array<Operation.Result>(count).fill(failure(exit))
    let at = 0
    for (const pending of group.batches) {
      const own = isWrite ? pending.writes : pending.operations.length - pending.writes
      if (own === pending.operations.length) {
        this.reply(pending, own === count ? results : results.slice(at, at + own))
      } else {
        this.scatter(pending, isWrite, results, at)
      }
      at += own
    }
    this.outboxFilled.raise()
  }

  /** Puts the results of one kind into the places of their operations, in a batch that has both kinds. */
  private scatter(pending: Pending, isWrite: boolean, results: ReadonlyArray<Operation.Result>, from: number): void {
    let at = from
    for (let i = 0; i < pending.operations.length; i++) {
      if ((pending.operations[i]!._tag !== "Range") === isWrite) pending.results[i] = results[at++]!
    }
    if (--pending.groups === 0) this.reply(pending, pending.results)
  }

  private reply(pending: Pending, results: ReadonlyArray<Operation.Result>): void {
    const bytes = BatchReply.encode(pending.id, results)
    this.inflightBytes += bytes.length - pending.bytes
    this.outboxOperations += pending.operations.length
    this.outbox.push(bytes)
  }

  private flush(writer: Socket.Writer): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (this.outbox.length === 0) return Effect.void
      const frames = this.outbox as unknown as NonEmptyReadonlyArray<Uint8Array>
      const operations = this.outboxOperations
      this.outbox = []
      this.outboxOperations = 0
      this.isWriting = true
      return Effect.flatMap(writer.writeAll(frames), () => {
        this.isWriting = false
        this.writesDone++
        for (const frame of frames) this.inflightBytes -= frame.length
        this.inflightOperations -= operations
        this.room.raise()
        return this.flush(writer)
      })
    })
  }
}

const join = (group: Group, pending: Pending, timeoutMillis: number): void => {
  group.batches.push(pending)
  if (timeoutMillis > group.timeoutMillis) group.timeoutMillis = timeoutMillis
}

const stopped: Operation.Failed = {
  _tag: "Failed",
  reason: "Stopped",
  message: "this member is shutting down and has not carried this out: go on with another one"
}

/** A defect, an interruption or a wrong count says nothing about whether the group was appended. */
const failure = (exit: Exit.Exit<unknown, RaftError>): Operation.Failed => {
  if (Exit.isFailure(exit)) {
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    if (error !== undefined) return { _tag: "Failed", reason: error.reason, message: error.message }
  }
  return { _tag: "Failed", reason: "Unknown", message: "this member broke off while it worked on this" }
}

const slices = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> => {
  const out: Array<ReadonlyArray<A>> = []
  for (let i = 0; i < all.length; i += size) out.push(all.slice(i, i + size))
  return out
}
