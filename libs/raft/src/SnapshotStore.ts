/**
 * Where a volatile state machine keeps its last snapshot: one, whole, as a sequence of opaque chunks. A layer of this service decides where it
 * lies; `@dkv/storage` has two (memory, a file), and `@dkv/testkit` a contract suite for any other.
 *
 * It fails with `StateMachineError`: `Corrupt`, what was stored has changed since; `Foreign`, a newer version or another program wrote it; `Locked`,
 * `Full` and `Io`, as the system says. Never with `Snapshot`: what the chunks mean is not its business.
 */
import { Context } from "effect"
import type { Effect, Option, Scope } from "effect"
import type { StateMachineError } from "./StateMachine.ts"

export interface StoredChunk {
  readonly data: Uint8Array
  /** The position of the chunk behind it. */
  readonly next: number
}

/** Chunks in the order in which they were written. The first one is at position 0; the others where the one before says. */
export interface StoredSnapshot {
  /**
   * The chunk at `position`, as it was written; `None` behind the last one. The same position gives the same chunk for as long as the scope is open, whatever is
   * stored meanwhile.
   */
  readonly read: (position: number) => Effect.Effect<Option.Option<StoredChunk>, StateMachineError>
}

/** A snapshot in the making, beside the one that is stored. What was written can be read back. Closing the scope without `commit` discards it. */
export interface SnapshotDraft extends StoredSnapshot {
  /** Adds a chunk of at most `Limits.snapshotBlockBytesMax` bytes, which is not changed afterwards. One call at a time, none after `commit`. */
  readonly write: (chunk: Uint8Array) => Effect.Effect<void, StateMachineError>
  /**
   * Stores the draft in place of what was stored, durably: a crash at any point leaves the one or the other, and the new one once this has
   * succeeded. After a failure the draft is lost, and which of the two is stored is seen after the next start.
   */
  readonly commit: Effect.Effect<void, StateMachineError>
}

export class SnapshotStore extends Context.Service<SnapshotStore, {
  /** What is stored now; `None` if nothing was ever committed. It stays readable until the scope closes. */
  readonly stored: Effect.Effect<Option.Option<StoredSnapshot>, StateMachineError, Scope.Scope>
  /** Begins a snapshot. Several may be in the making; the last one to be committed counts. */
  readonly draft: Effect.Effect<SnapshotDraft, StateMachineError, Scope.Scope>
}>()("@dkv/raft/SnapshotStore") {}
