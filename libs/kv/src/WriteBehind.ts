/**
 * The batches on their way from memory to storage, in order. A batch counts as applied, and is visible to reads, once it is appended here; its write
 * follows soon, at most one write at a time, and all that queued up meanwhile go together. That is safe because the log is the truth and the
 * storage keeps a prefix of what it was given. A write that fails ends it all: nothing but a restart from what is stored may go on.
 */
import { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { Deferred, Effect, Exit, Latch, Option, type Scope } from "effect"
import * as Limits from "./Limits.ts"
import * as Published from "./Published.ts"
import { fromStorage } from "./StoreFailure.ts"
import * as Upkeep from "./Upkeep.ts"

type Failure = StateMachine.StateMachineError

export class WriteBehind {
  /** The last batch that is in the storage; those behind it are on their way. */
  confirmed: Published.Batch = Published.begin()
  /** Why nothing may go on. */
  failure: Failure | undefined
  /** Bytes of the batches that are on their way. */
  pendingBytes = 0

  /** Reads under way that may still look at the batches behind a node that was confirmed since. */
  private readers = 0
  private readonly storage: Storage.Storage["Service"]
  private readonly scope: Scope.Scope
  private readonly lingerMillis: number
  private last = this.confirmed
  private writing = false
  /** Open while somebody waits for the storage, or so much is on its way that waiting for more gains nothing. */
  private readonly hurry = Latch.makeUnsafe(false)

  /** Writing goes on until everything is written, also while `scope` closes. */
  constructor(storage: Storage.Storage["Service"], scope: Scope.Scope, lingerMillis: number = Limits.lingerMillis) {
    this.storage = storage
    this.scope = scope
    this.lingerMillis = lingerMillis
  }

  /** Succeeds when every batch appended before the call is in the storage. */
  readonly settled: Effect.Effect<void, Failure> = Effect.suspend(() => {
    if (this.failure !== undefined) return Effect.fail(this.failure)
    if (this.confirmed === this.last) return Effect.void
    this.last.written ??= Deferred.makeUnsafe()
    this.hurry.openUnsafe()
    return Deferred.await(this.last.written)
  })

  /** Runs a read that takes `confirmed` and then looks at the batches behind it. */
  reading<A, E>(read: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      this.readers++
      return Effect.ensuring(read, Effect.sync(() => this.readers--))
    })
  }

  /** Makes the batch visible and sees to its write. Not to be interrupted. */
  append(batch: Published.Batch): Effect.Effect<void> {
    this.last.next = batch
    this.last = batch
    this.pendingBytes += batch.bytes
    if (this.pendingBytes >= Limits.lingerBytes) this.hurry.openUnsafe()
    if (this.writing) return Effect.void
    this.writing = true
    return Effect.asVoid(
      Effect.forkIn(this.writeAll, this.scope, { startImmediately: true, uninterruptible: true })
    )
  }

  /** Begins anew, with nothing on its way. */
  reset(): void {
    this.last = this.confirmed = Published.begin()
  }

  /** Waits for more to write, but not when the scope closes. */
  private readonly linger: Effect.Effect<void> = Effect.suspend(() =>
    this.lingerMillis === 0 ? Effect.void : Effect.andThen(
      Effect.exit(Effect.interruptible(Effect.raceFirst(this.hurry.await, Effect.sleep(this.lingerMillis)))),
      this.hurry.close
    )
  )

  private readonly writeAll: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (this.confirmed !== this.last && this.failure === undefined) {
      yield* this.linger
      const from = this.confirmed
      const to = this.last
      const exit = yield* Effect.exit(fromStorage(this.storage.write(writesBetween(from, to))))
      if (Exit.isSuccess(exit)) this.confirm(from, to)
      else this.fail(from, exit)
    }
    this.writing = false
  })

  private confirm(from: Published.Batch, to: Published.Batch): void {
    this.confirmed = to
    for (let batch = from; batch !== to;) {
      const next: Published.Batch = batch.next!
      // A dead node that is old would keep all behind it, young and dead too, until the next full collection.
      if (this.readers === 0) batch.next = undefined
      batch = next
      batch.writes = []
      batch.upkeep = undefined
      this.pendingBytes -= batch.bytes
      if (batch.written !== undefined) Deferred.doneUnsafe(batch.written, Effect.void)
    }
  }

  private fail(from: Published.Batch, exit: Exit.Failure<void, Failure>): void {
    const failure = Option.getOrElse(
      Exit.findErrorOption(exit),
      () =>
        new StateMachine.StateMachineError({
          reason: "Io",
          message: "a write to the storage ended without an answer",
          cause: exit.cause
        })
    )
    this.failure = failure
    for (let batch = from.next; batch !== undefined; batch = batch.next) {
      if (batch.written !== undefined) Deferred.doneUnsafe(batch.written, Effect.fail(failure))
    }
  }
}

const writesBetween = (from: Published.Batch, to: Published.Batch): ReadonlyArray<Storage.Write> => {
  const writes: Array<Storage.Write> = []
  const upkeep: Array<Upkeep.Upkeep> = []
  for (let batch = from.next!;; batch = batch.next!) {
    for (const write of batch.writes) writes.push(write)
    if (batch.upkeep !== undefined) upkeep.push(batch.upkeep)
    if (batch === to) break
  }
  for (const write of Upkeep.writesOf(upkeep)) writes.push(write)
  return writes
}
