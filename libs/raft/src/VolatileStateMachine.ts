/**
 * A state machine whose state is in memory only. `layer` makes a `StateMachine` of it: raft's bookkeeping stays in memory beside the state, a flush
 * writes both into a `SnapshotStore`, and a start begins with the last snapshot and applies the log behind it again. So the log is shortened only up to what is
 * in a snapshot, and nothing that was acknowledged depends on the memory.
 *
 * Source: Raft paper §7; dissertation §5.1, "Snapshotting memory-based state machines".
 */
import { Context, Effect, Exit, Fiber, Layer, Option, Scope, Semaphore, Stream } from "effect"
import { Reader, Writer } from "./codec/Bytes.ts"
import * as Codec from "./codec/SnapshotCodec.ts"
import type { Entry } from "./Entry.ts"
import { SnapshotStore } from "./SnapshotStore.ts"
import type { RecoveredMeta, SnapshotReader, SnapshotWriter } from "./StateMachine.ts"
import { StateMachine, StateMachineError } from "./StateMachine.ts"
import { VolatileMeta } from "./VolatileMeta.ts"
import * as VolatileSnapshot from "./VolatileSnapshot.ts"

export class VolatileStateMachine extends Context.Service<VolatileStateMachine, {
  /**
   * Applies commands in order and returns one result each. Must be deterministic, and answers what it cannot carry out, as `StateMachine.apply`. If it
   * does not succeed, the state counts as lost and the member stops.
   */
  readonly apply: (commands: ReadonlyArray<Entry>) => Effect.Effect<ReadonlyArray<Uint8Array>, StateMachineError>

  /**
   * A picture of the state as of now: chunks of the state machine's own making, for `restore`. They are read after `capture` is over, while commands are
   * applied, which must not show in them: copy what changes (a `Map` by `[...map]`), and encode as they are read. A chunk has at most 64 MiB; some kilobytes are
   * best. What is acquired in the scope is held until they are read.
   */
  readonly capture: Effect.Effect<Stream.Stream<Uint8Array, StateMachineError>, StateMachineError, Scope.Scope>

  /**
   * Replaces the state by that of the chunks, which come as they were captured, in order and with the same cuts. Without any chunk the state is as in the
   * beginning. Chunks that make no sense: fail with reason `Snapshot`, and leave the state as it was.
   */
  readonly restore: (chunks: Stream.Stream<Uint8Array, StateMachineError>) => Effect.Effect<void, StateMachineError>
}>()("@dkv/raft/VolatileStateMachine") {}

const make = Effect.gen(function*() {
  const machine = yield* VolatileStateMachine
  const store = yield* SnapshotStore
  /** Held while the state changes or is captured. */
  const still = yield* Semaphore.make(1)
  /** Held while the stored snapshot is replaced: never by one that is older, for the log may be shortened up to it. */
  const storing = yield* Semaphore.make(1)
  let meta = new VolatileMeta(yield* Effect.scoped(restoreStored(machine, store)))
  let appliedBatches = 0
  let storedBatches = 0
  /** False while the state changes, and for good if that was cut off or failed: such a state must not get into a snapshot. */
  let isWhole = true

  /** Runs `change` on a whole state, which counts as whole again only once `done` was told its result. */
  const changing = <A, B>(change: Effect.Effect<A, StateMachineError>, done: (value: A) => B) =>
    still.withPermit(Effect.suspend(() => {
      if (!isWhole) return Effect.fail(lost)
      isWhole = false
      return Effect.map(change, (value) => {
        isWhole = true
        return done(value)
      })
    }))

  const capture = still.withPermit(Effect.suspend(() => {
    if (!isWhole) return Effect.fail(lost)
    return Effect.map(machine.capture, (state) => ({ state, meta: meta.copy(), batches: appliedBatches }))
  }))

  const flush = storing.withPermit(Effect.suspend(() => {
    if (appliedBatches === storedBatches) return Effect.void
    return Effect.scoped(Effect.gen(function*() {
      const picture = yield* capture
      const draft = yield* store.draft
      yield* VolatileSnapshot.write(draft, picture.meta, picture.state)
      yield* draft.commit
      storedBatches = picture.batches
    }))
  }))

  /**
   * The chunks of a snapshot must be there again whenever they are asked for, so they are written once, into a draft of its own that is never committed: a
   * flush may have stored a newer one meanwhile. Nobody waits for the writing but the first reader, and what was captured is let go of behind it.
   */
  const snapshot = Effect.gen(function*() {
    const captured = yield* Scope.fork(yield* Effect.scope)
    const picture = yield* Scope.provide(capture, captured)
    const draft = yield* store.draft
    const writing = yield* VolatileSnapshot.write(draft, picture.meta, picture.state).pipe(
      Effect.ensuring(Scope.close(captured, Exit.void)),
      Effect.forkScoped
    )
    return {
      read: Effect.fnUntraced(function*(cursor) {
        yield* Fiber.join(writing)
        const chunk = yield* draft.read(cursor.length === 0 ? 0 : new Reader(cursor).uint64())
        if (Option.isNone(chunk)) return yield* VolatileSnapshot.refused("the cursor points behind the snapshot")
        const { data, next } = chunk.value
        return { data, next: Codec.isLast(data) ? Option.none() : Option.some(new Writer(8).uint64(next).finish()) }
      })
    } satisfies SnapshotReader
  })

  const install = Effect.gen(function*() {
    const draft = yield* store.draft
    const check = new VolatileSnapshot.Check()
    /** The state first: one that it does not take must not be stored, or the member would not start again. */
    const replace = (received: RecoveredMeta) =>
      changing(
        machine.restore(VolatileSnapshot.stateOf(draft)).pipe(
          Effect.tapError(({ reason }) => Effect.sync(() => void (isWhole = reason === "Snapshot"))),
          Effect.andThen(draft.commit)
        ),
        () => {
          meta = new VolatileMeta(received)
          storedBatches = ++appliedBatches
        }
      )
    return {
      write: (chunk) =>
        Effect.suspend(() => {
          const refusal = check.take(chunk)
          return refusal === undefined ? draft.write(chunk) : Effect.fail(VolatileSnapshot.refused(refusal))
        }),
      commit: Effect.suspend(() => {
        const received = check.finish()
        if (typeof received === "string") return Effect.fail(VolatileSnapshot.refused(received))
        return storing.withPermit(replace(received))
      })
    } satisfies SnapshotWriter
  })

  /** Spares the next start to apply the log again. Whatever goes wrong, the log has everything. */
  yield* Effect.addFinalizer(() =>
    isWhole ? Effect.catchCause(flush, (cause) => Effect.logWarning("no snapshot on closing", cause)) : Effect.void
  )

  return StateMachine.of({
    recover: Effect.sync(() => meta.copy()),
    apply: (commands, changes) =>
      changing(commands.length === 0 ? Effect.succeed([]) : machine.apply(commands), (results) => {
        meta.keep(changes, results)
        appliedBatches++
        return results
      }),
    flush,
    snapshot,
    install
  })
})

const lost = new StateMachineError({
  reason: "Io",
  message:
    "The state in memory is lost: a change of it failed or was cut off. Start the member again; it goes on from its last snapshot."
})

/** Begins with what is stored, all of which is looked at before the state machine sees any of it. */
const restoreStored = Effect.fnUntraced(
  function*(machine: VolatileStateMachine["Service"], store: SnapshotStore["Service"]) {
    const stored = yield* store.stored
    if (Option.isNone(stored)) {
      yield* machine.restore(Stream.empty)
      return { head: Option.none(), records: [] } satisfies RecoveredMeta
    }
    const meta = yield* VolatileSnapshot.verify(stored.value)
    yield* machine.restore(VolatileSnapshot.stateOf(stored.value))
    return meta
  },
  Effect.mapError((error) => {
    const { cause, message, reason } = error
    if (reason !== "Corrupt" && reason !== "Foreign" && reason !== "Snapshot") return error
    const ifForeign = reason === "Corrupt" ? "" : "Start the version that wrote it. Otherwise: "
    return new StateMachineError({
      reason: reason === "Snapshot" ? "Foreign" : reason,
      message: `The stored snapshot cannot be used: ${message}. ${ifForeign}` +
        "Remove this member's data directory and start it again; the others rebuild it.",
      cause
    })
  })
)

/** Makes a volatile state machine one that raft can use. Fails where the stored snapshot cannot be used; the message says what to do. */
export const layer: Layer.Layer<StateMachine, StateMachineError, VolatileStateMachine | SnapshotStore> = Layer.effect(
  StateMachine,
  make
)
