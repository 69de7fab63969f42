/**
 * The Raft log on stable storage: entries, term and vote. A layer of this service decides where they lie;
 * `@dkv/storage` has two (memory, segment files), and `@dkv/testkit` a contract suite for any other.
 */
import { Context, Schema } from "effect"
import type { Effect } from "effect"
import type { LogIndex, Term } from "./core/Entry.ts"
import type { HardState } from "./core/HardState.ts"
import type { Entry } from "./Entry.ts"

/**
 * The log cannot be read or written. Nothing the caller does to this `LogStore` can repair it: stop the member.
 *
 * - `Corrupt`: bytes that were once synced have changed (`file` and `offset` say where). Rebuild the member from the others.
 * - `Full`: no space left; the failed write is not in the log. Free some and start again.
 * - `Locked`: another process has the directory open. Stop that one.
 * - `Foreign`: the directory belongs to another format version or program.
 * - `Io`: the operating system refused. After a failed sync nothing more may be written.
 */
export class LogStoreError extends Schema.TaggedError<LogStoreError>()("LogStoreError", {
  reason: Schema.Literals(["Corrupt", "Full", "Locked", "Foreign", "Io"]),
  message: Schema.String,
  file: Schema.optional(Schema.String),
  offset: Schema.optional(Schema.Number),
  cause: Schema.optional(Schema.Defect())
}) {}

/**
 * One change of the log. Changes take effect in the order given.
 *
 * - `Append`: contiguous entries, at least one. Where the first index is not behind the last one of the log,
 *   everything from that index on is replaced (conflict repair, Raft paper §5.3).
 * - `HardState`: the term and vote from now on.
 * - `Reset`: the log becomes empty and goes on after (`index`, `term`), because the state machine was replaced by a snapshot.
 */
export type LogWrite =
  | { readonly _tag: "Append"; readonly entries: ReadonlyArray<Entry> }
  | { readonly _tag: "HardState"; readonly hardState: HardState }
  | { readonly _tag: "Reset"; readonly index: LogIndex; readonly term: Term }

/** What was found on start. */
export interface Recovered {
  readonly hardState: HardState
  /** The position just before the first entry that is present; (0, 0) for a log that was never compacted. */
  readonly previousIndex: LogIndex
  readonly previousTerm: Term
  /** Index of the last entry, or `previousIndex` if there is none. */
  readonly lastIndex: LogIndex
  /** For each term in the log, the first index of it that is present; ascending. */
  readonly termRuns: ReadonlyArray<{ readonly index: LogIndex; readonly term: Term }>
  /** All entries of kind `Configuration` that are present, ascending. */
  readonly configurations: ReadonlyArray<Entry>
}

export class LogStore extends Context.Service<LogStore, {
  /** What the log held when this layer was built. */
  readonly recovered: Recovered

  /**
   * Makes the changes durable, in order: when it succeeds they survive a crash of machine and process. Only one call may be under way.
   * A failure leaves the log in an unknown state: never call again.
   */
  readonly write: (writes: ReadonlyArray<LogWrite>) => Effect.Effect<void, LogStoreError>

  /**
   * Entries `from` to at most `to`, both inclusive; stops early once the payloads exceed `bytesMax`, but returns at least one.
   * Empty when `from` has been compacted or is beyond the end. May run beside `write` and sees only what was durable.
   */
  readonly read: (from: LogIndex, to: LogIndex, bytesMax: number) => Effect.Effect<ReadonlyArray<Entry>, LogStoreError>

  /**
   * Allows the entries up to and including `index` to be dropped. An implementation may keep more (whole segments);
   * it returns the position before the first entry that is still readable.
   */
  readonly compact: (index: LogIndex) => Effect.Effect<
    { readonly previousIndex: LogIndex; readonly previousTerm: Term },
    LogStoreError
  >

  /** Bytes that the log occupies. */
  readonly sizeBytes: Effect.Effect<number>
}>()("@dkv/raft/LogStore") {}
