/**
 * What is replicated. Raft hands over committed commands in log order, together with its own bookkeeping, and
 * the state machine stores both in one atomic batch: after a crash the state and the applied index always agree.
 */
import { Context, Schema } from "effect"
import type { Effect, Option, Scope } from "effect"
import type { LogIndex, Term } from "./core/Entry.ts"
import type { Entry } from "./Entry.ts"

/**
 * The state machine cannot go on. Stop the member: a state that is not known to be whole must not answer.
 *
 * `Corrupt`, `Full`, `Locked`, `Foreign` and `Io` as in `LogStoreError`; `Snapshot`: a snapshot was refused (damaged, or of a foreign format),
 * the state is unchanged.
 */
export class StateMachineError extends Schema.TaggedError<StateMachineError>()("StateMachineError", {
  reason: Schema.Literals(["Corrupt", "Full", "Locked", "Foreign", "Io", "Snapshot"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

/** A change of one of raft's records. */
export interface RecordChange {
  readonly key: Uint8Array
  /** Encoded when it is first asked for; `undefined` deletes the record. */
  readonly value: Uint8Array | undefined
}

/**
 * Raft's own state that belongs to an applied index. Opaque to the state machine: it keeps `head` (replacing the former one), and a small
 * ordered map of `records`, and hands both back on start and inside snapshots.
 *
 * Nothing of it is encoded before it is asked for: a state machine that writes several batches at once needs the last of each alone.
 */
export interface RaftMeta {
  readonly head: Uint8Array
  /** What changes in the records, the answers to client sessions among it. To be asked once, with the results of the commands. */
  readonly changes: (results: ReadonlyArray<Uint8Array>) => ReadonlyArray<RecordChange>
}

/** What was found on start. */
export interface RecoveredMeta {
  readonly head: Option.Option<Uint8Array>
  readonly records: ReadonlyArray<readonly [key: Uint8Array, value: Uint8Array]>
}

/**
 * A consistent picture of the state, read chunk by chunk. The same `cursor` always gives the same chunk for as long as the scope
 * is open, so a broken transfer is resumed where it stopped. The first cursor is empty.
 */
export interface SnapshotReader {
  readonly read: (cursor: Uint8Array) => Effect.Effect<{
    readonly data: Uint8Array
    /** Where the next chunk begins; `None` after the last one. */
    readonly next: Option.Option<Uint8Array>
  }, StateMachineError>
}

/** Receives a snapshot beside the present state, which stays in use until `commit`. Closing the scope without it discards what came. */
export interface SnapshotWriter {
  readonly write: (chunk: Uint8Array) => Effect.Effect<void, StateMachineError>
  /** Replaces the state atomically and durably. */
  readonly commit: Effect.Effect<void, StateMachineError>
}

export class StateMachine extends Context.Service<StateMachine, {
  /** Raft's bookkeeping as of the last applied batch. Read again after a snapshot was installed. */
  readonly recover: Effect.Effect<RecoveredMeta, StateMachineError>

  /**
   * Applies commands in order and stores `meta` with them, atomically. Returns one result per command. Must be deterministic: the same commands give
   * the same state and results on every member. A command that cannot be carried out is answered by a result that says so, never by a failure.
   * `commands` may be empty. Need not be synced: the log is the truth.
   */
  readonly apply: (
    commands: ReadonlyArray<Entry>,
    meta: RaftMeta
  ) => Effect.Effect<ReadonlyArray<Uint8Array>, StateMachineError>

  /**
   * What a command takes of a batch, from 0 to 1: a batch ends before the command with which these would come to more than 1. For commands that make `apply` hold much in memory, of
   * which thousands must not be applied at once. The command is in `data` from `start` on, and may be any bytes; it goes by them alone. Every command is asked about, so be quick.
   * Without it, a batch ends by the number and the bytes of its entries alone (`Limits.applyEntriesMax`, `Limits.applyBytesMax`).
   */
  readonly batchShare?: (data: Uint8Array, start: number) => number

  /**
   * Makes everything applied so far durable; the log may then be truncated up to the index that was applied when the call began.
   */
  readonly flush: Effect.Effect<void, StateMachineError>

  /** A picture of the state as of the last applied batch, kept until the scope closes. */
  readonly snapshot: Effect.Effect<SnapshotReader, StateMachineError, Scope.Scope>

  /** Starts to receive a snapshot, which has the raft bookkeeping in it. No `apply` runs meanwhile. */
  readonly install: Effect.Effect<SnapshotWriter, StateMachineError, Scope.Scope>
}>()("@dkv/raft/StateMachine") {}

/** Position up to which a state machine has applied the log. */
export interface Applied {
  readonly index: LogIndex
  readonly term: Term
}
