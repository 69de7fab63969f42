/**
 * One batch connection. Everything that one read brought is decoded at once; its writes become one group of the key-value service, its linearizable reads one, its
 * stale reads one, as far as a group may grow. What is complete by the time the writer gets its turn goes out in one system call.
 *
 * Owns its counters and its outbox; touched only from its own fibers and from completions of its groups, all on one thread.
 */
import type { Kv } from "@dkv/kv"
import { BatchReply, BatchRequest, Bytes, Frame, Limits as WireLimits, Signal } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import { RaftError } from "@dkv/raft"
import { Cause, Clock, Context, Effect, Exit, Fiber, Latch } from "effect"
import type { Scope } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Socket } from "effect/socket"
import { Group, kindOf } from "./BatchGroup.ts"
import type { Kind, Pending, ReadKind } from "./BatchGroup.ts"
import { Account } from "./Intake.ts"
import type { Intake } from "./Intake.ts"
import * as Limits from "./Limits.ts"

type Frames = NonEmptyReadonlyArray<Uint8Array>

export class BatchConnection {
  private readonly kv: Kv.Kv["Service"]
  private readonly intake: Intake
  private readonly account = new Account()
  private readonly context: Context.Context<never>
  private readonly scope: Scope.Scope
  private readonly decoder = new Frame.Decoder(WireLimits.requestBytesMax)
  /** Groups that what is being read joins; started when all of it has been read. */
  private readonly gathering: Record<Kind, Group | undefined> = {
    write: undefined,
    linearizable: undefined,
    bounded: undefined,
    stale: undefined
  }
  private outbox: Array<Uint8Array> = []
  private outboxOperations = 0
  private readonly outboxFilled = new Signal()
  private readonly idled = new Signal()
  private violation: Frame.Violation | undefined
  private inflightOperations = 0
  private inflightBytes = 0
  /** The part of `inflightBytes` that waits for the other end to read. */
  private unsentBytes = 0
  /** Set aside for answers of reads under way. */
  private allowedBytes = 0
  /** Of a frame that has been written in part. */
  private rest: Uint8Array = Bytes.empty
  private isNotified = false
  /** The next bytes of the other end are awaited; else it waits here for room, and cannot go on with its frame. */
  private isRead = false
  private readonly sent = Latch.makeUnsafe(true)
  private isClosing = false
  private isWriting = false
  private isOver = false
  /** Counts that only grow, for whoever watches over progress. */
  private framesRead = 0
  private writesDone = 0
  private seen = { framesRead: 0, writesDone: 0, idleChecks: 0 }

  constructor(kv: Kv.Kv["Service"], intake: Intake, context: Context.Context<never>, scope: Scope.Scope) {
    this.kv = kv
    this.intake = intake
    this.context = context
    this.scope = scope
  }

  /** Serves until the other end is gone or breaks the protocol. Started once. */
  run(
    pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>,
    writer: Socket.Writer
  ): Effect.Effect<void, Socket.SocketError> {
    const untilRoom: Effect.Effect<void> = Effect.suspend(() => {
      if (this.decidesToRead()) return Effect.void
      if (this.hasRoom) this.intake.enqueue(this.account)
      return Effect.andThen(this.account.room.wait, untilRoom)
    })
    const read = Effect.whileLoop({
      while: () => this.violation === undefined,
      body: () => this.decidesToRead() ? pull : Effect.andThen(untilRoom, pull),
      step: (chunks) => this.receive(chunks)
    })
    const write = Effect.whileLoop({
      while: () => true,
      body: () => Effect.andThen(this.outboxFilled.wait, Effect.andThen(Effect.yieldNow, this.flush(writer))),
      step: () => {}
    })
    const farewell = Effect.suspend(() => {
      const violation = this.violation
      return violation === undefined ? Effect.void : this.notify(writer, violation.code, violation.message)
    })
    return Effect.andThen(Effect.raceFirst(read, write), farewell)
  }

  /** From now on new batches are answered with `Stopped`, and the client is asked to leave. */
  close(): void {
    this.isClosing = true
    this.tell("ShuttingDown", "this member is shutting down: go on with another one")
  }

  /** Tells whether this member leads. */
  leads(isLeading: boolean): void {
    this.tell(isLeading ? "Leading" : "NotLeading", "")
  }

  private tell(code: BatchReply.Notice["code"], message: string): void {
    this.outbox.push(BatchReply.encodeNotice(code, message))
    this.outboxFilled.raise()
  }

  /** Waits until nothing is outstanding and everything has been sent. To be used after `close`, by one fiber. */
  readonly idle: Effect.Effect<void> = Effect.suspend(() =>
    this.inflightOperations === 0 && this.outbox.length === 0 && !this.isWriting && !this.decoder.isMidFrame
      ? Effect.void
      : Effect.andThen(this.idled.wait, this.idle)
  )

  /** Gives back what it holds. Nothing arrives or leaves any more. */
  end(): void {
    this.isOver = true
    this.intake.forget(this.account)
  }

  /** To be called at a steady pace: whether nothing has moved for too many calls although something should. */
  isStalled(): boolean {
    const { seen } = this
    const waits = this.isWriting || (this.decoder.isMidFrame && this.isRead)
    const moved = seen.framesRead !== this.framesRead || seen.writesDone !== this.writesDone
    this.seen = {
      framesRead: this.framesRead,
      writesDone: this.writesDone,
      idleChecks: waits && !moved ? seen.idleChecks + 1 : 0
    }
    return this.seen.idleChecks >= Limits.stallChecksMax
  }

  private get hasRoom(): boolean {
    return this.inflightOperations < Limits.inflightOperationsMax && this.inflightBytes < Limits.inflightBytesMax
  }

  private decidesToRead(): boolean {
    return this.isRead = this.hasRoom && this.intake.mayRead(this.account)
  }

  private receive(chunks: ReadonlyArray<Uint8Array>): void {
    for (let i = 0; i < chunks.length && this.violation === undefined; i++) {
      this.violation = this.decoder.push(chunks[i]!, this.onFrame) ?? this.violation
    }
    this.startGathered("write")
    this.startGathered("linearizable")
    this.startGathered("bounded")
    this.startGathered("stale")
    this.tally()
  }

  private readonly onFrame = (frame: Uint8Array): void => {
    if (this.violation !== undefined) return
    this.framesRead++
    const batch = BatchRequest.decode(frame)
    if ("code" in batch) this.violation = batch
    else this.admit(batch, frame.length)
  }

  private admit(batch: BatchRequest.Batch, frameBytes: number): void {
    const operations = batch.operations
    let writes = 0
    let hasScans = false
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i]!
      if (operation._tag !== "Range") writes++
      else if (operation.end.length > 0) hasScans = true
    }
    const reads = operations.length - writes
    const bytes = frameBytes + operations.length * Limits.operationOverheadBytes
    const groups = (writes > 0 ? 1 : 0) + (reads > 0 ? 1 : 0)
    const { consistency, id, stamp } = batch
    const pending: Pending = { id, operations, consistency, stamp, bytes, writes, results: [], groups }
    this.inflightOperations += operations.length
    this.inflightBytes += bytes
    if (this.isClosing || groups === 0) {
      const results = operations.length === 0 ? pending.results : new Array<Operation.Result>(operations.length)
      this.reply(pending, results.fill(stopped))
      this.outboxFilled.raise()
      return
    }
    if (writes > 0) this.gather("write", pending, writes, batch.timeoutMillis)
    if (reads === 0) return
    const group = this.gather(kindOf(consistency), pending, reads, batch.timeoutMillis)
    if (hasScans) group.isHeavy = true
  }

  private gather(kind: Kind, pending: Pending, count: number, timeoutMillis: number): Group {
    if (this.gathering[kind]?.fits(pending, count) === false) this.startGathered(kind)
    const group = this.gathering[kind] ??= new Group(kind)
    group.join(pending, count, timeoutMillis)
    return group
  }

  private startGathered(kind: Kind): void {
    const group = this.gathering[kind]
    if (group === undefined) return
    this.gathering[kind] = undefined
    this.start(group)
  }

  private start(group: Group): void {
    const { kind } = group
    const effect: Effect.Effect<ReadonlyArray<Operation.Result>, RaftError> = kind === "write"
      ? this.propose(group)
      : group.isHeavy
      ? this.inTurn(kind, group)
      : this.atOnce(group)
    const fiber = Effect.runForkWith(this.context)(effect)
    fiber.addObserver((exit) => this.complete(group, exit))
    Fiber.runIn(fiber, this.scope)
  }

  private propose({ stamp, timeoutMillis, writes }: Group): Effect.Effect<ReadonlyArray<Operation.Result>, RaftError> {
    return this.kv.write(writes, { timeoutMillis, ...stamp === undefined ? {} : { session: stamp } })
  }

  /** Carries out a read of keys, as far as there is room for its answer now. */
  private atOnce(group: Group): Effect.Effect<ReadonlyArray<Operation.Result>, RaftError> {
    const { consistency, ranges, timeoutMillis } = group
    const answerBytesMax = group.allowance = this.intake.allowance
    this.allowedBytes += answerBytesMax
    return this.kv.read(ranges, { consistency, timeoutMillis, answerBytesMax })
  }

  /** Carries out a read whose answer may be large when there is room for that, here and in the member; if there is none in the group's time, it says so. */
  private inTurn(kind: ReadKind, group: Group): Effect.Effect<ReadonlyArray<Operation.Result>, RaftError> {
    const clock = Context.get(this.context, Clock.Clock)
    const nowMillis = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const askedAt = nowMillis()
    let isWaiting = true
    const untilSent: Effect.Effect<void> = Effect.suspend(() =>
      this.unsentBytes < Limits.inflightBytesMax ? Effect.void : Effect.andThen(this.sent.await, untilSent)
    )
    const read = Effect.suspend(() => {
      isWaiting = false
      const waitedMillis = Math.floor(nowMillis() - askedAt)
      const { consistency, ranges, timeoutMillis } = group
      return this.kv.read(ranges, { consistency, timeoutMillis: Math.max(0, timeoutMillis - waitedMillis) })
    })
    const late = Effect.andThen(
      Effect.sleep(group.timeoutMillis),
      Effect.suspend(() => isWaiting ? Effect.fail(noRoom) : Effect.never)
    )
    const turn = this.intake.scans[kind].withPermits(1)(Effect.andThen(this.intake.untilTaken, read))
    return Effect.raceFirst(Effect.andThen(untilSent, turn), late)
  }

  private complete(group: Group, exit: Exit.Exit<ReadonlyArray<Operation.Result>, RaftError>): void {
    const count = group.operations
    this.allowedBytes -= group.allowance
    const results = Exit.isSuccess(exit) && exit.value.length === count
      ? exit.value
      : new Array<Operation.Result>(count).fill(failure(exit))
    const again = group.settle(results, this.reply)
    this.tally()
    this.outboxFilled.raise()
    if (again !== undefined && !this.isOver) this.start(again)
  }

  private readonly reply = (pending: Pending, results: ReadonlyArray<Operation.Result>): void => {
    const bytes = BatchReply.encode(pending.id, results)
    this.inflightBytes += bytes.length - pending.bytes
    this.unsentBytes += bytes.length
    if (this.unsentBytes >= Limits.inflightBytesMax) this.sent.closeUnsafe()
    this.outboxOperations += pending.operations.length
    this.outbox.push(bytes)
  }

  private flush(writer: Socket.Writer): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (this.outbox.length === 0) {
        if (this.isClosing) this.idled.raise()
        return Effect.void
      }
      const frames = this.outbox as unknown as Frames
      const operations = this.outboxOperations
      const bytes = this.unsentBytes
      this.outbox = []
      this.outboxOperations = 0
      this.isWriting = true
      return Effect.flatMap(this.write(writer, frames), () => {
        this.isWriting = false
        this.inflightBytes -= bytes
        this.inflightOperations -= operations
        this.unsentBytes -= bytes
        if (this.unsentBytes < Limits.inflightBytesMax) this.sent.openUnsafe()
        this.tally()
        this.intake.answered(this.account)
        this.account.room.raise()
        return this.flush(writer)
      })
    })
  }

  /** In pieces, so that a client that takes its time with a long reply is seen to read. */
  private write(writer: Socket.Writer, frames: Frames): Effect.Effect<void, Socket.SocketError> {
    if (this.isNotified) return Effect.never
    let bytes = 0
    for (const frame of frames) bytes += frame.length
    if (bytes <= Limits.writeBytesMax) return Effect.map(writer.writeAll(frames), () => void this.writesDone++)
    return Effect.forEach(piecesOf(frames), ({ chunks, rest }) =>
      Effect.suspend(() => {
        if (this.isNotified) return Effect.never
        this.rest = rest
        return Effect.map(writer.writeAll(chunks), () => void this.writesDone++)
      }), { discard: true })
  }

  /** Tells the other end why its connection ends, behind what it was being told. One that does not read its replies will not read this either. */
  notify(
    writer: Socket.Writer,
    code: BatchReply.Notice["code"],
    message: string
  ): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      this.isNotified = true
      const notice = BatchReply.encodeNotice(code, message)
      const last: Frames = this.rest.length === 0 ? [notice] : [this.rest, notice]
      return Effect.asVoid(Effect.timeoutOption(writer.writeAll(last), Limits.lingerMillis))
    })
  }

  private tally(): void {
    if (this.isOver) return
    this.intake.owe(this.account, this.unsentBytes)
    this.intake.hold(this.account, this.inflightBytes + this.allowedBytes + this.decoder.heldBytes)
  }
}

interface Piece {
  readonly chunks: Frames
  /** What is still to come of the frame that the last chunk belongs to. */
  readonly rest: Uint8Array
}

const piecesOf = (frames: Frames): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = []
  let chunks: Array<Uint8Array> = []
  let room = Limits.writeBytesMax
  const close = (rest: Uint8Array) => {
    pieces.push({ chunks: chunks as unknown as Frames, rest })
    chunks = []
    room = Limits.writeBytesMax
  }
  for (const frame of frames) {
    if (room === 0) close(Bytes.empty)
    let rest = frame
    while (rest.length > room) {
      chunks.push(rest.subarray(0, room))
      rest = rest.subarray(room)
      close(rest)
    }
    chunks.push(rest)
    room -= rest.length
  }
  close(Bytes.empty)
  return pieces
}

const stopped: Operation.Failed = {
  _tag: "Failed",
  reason: "Stopped",
  message: "this member is shutting down and has not carried this out: go on with another one"
}

const noRoom = new RaftError({
  reason: "Busy",
  message: "this member has too many large reads to carry out; nothing was read, try again later"
})

/** A defect, an interruption or a wrong count says nothing about whether the group was appended. */
const failure = (exit: Exit.Exit<unknown, RaftError>): Operation.Failed => {
  if (Exit.isFailure(exit)) {
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    if (error !== undefined) return { _tag: "Failed", reason: error.reason, message: error.message }
  }
  return { _tag: "Failed", reason: "Unknown", message: "this member broke off while it worked on this" }
}
