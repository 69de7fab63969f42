/**
 * The hot operations and their results as values, as they cross the client port. They have the shapes of the key-value service, so that a gateway passes
 * them through untouched.
 */
import type { Option } from "effect"

/** A key with its value and history numbers. Revisions count the changes of the whole store, from 1. */
export interface KeyValue {
  readonly key: Uint8Array
  readonly value: Uint8Array
  /** Revision at which the key came into being (again, after a delete). */
  readonly createRevision: number
  /** Revision of the last change. */
  readonly modRevision: number
  /** Number of changes since creation, from 1. */
  readonly version: number
  /** Lease that the key is attached to; 0 for none. */
  readonly lease: number
}

/** A key as a failed comparison found it. */
export interface FoundKey extends Omit<KeyValue, "value"> {
  /** None if it is longer than 1 KiB: read the key. */
  readonly value: Option.Option<Uint8Array>
}

/**
 * - `linearizable`: everything acknowledged before the call is seen.
 * - `stale`: whatever the member that is asked has applied, however long ago it was cut off.
 * - `maxStalenessMillis`: everything acknowledged so long before the call, or earlier, is seen; an integer of 1 or more.
 */
export type Consistency = "linearizable" | "stale" | { readonly maxStalenessMillis: number }

/** The log entry that opened a client session, and its term. */
export interface SessionId {
  readonly index: number
  readonly term: number
}

/** `count` writes, numbered from `sequence` on. */
export interface Run {
  readonly sequence: number
  readonly count: number
}

/** Whose writes a batch has: each takes effect at most once, however often it comes with its number. */
export interface Stamp {
  readonly session: SessionId
  /** The client has the answers to everything below, or wants them no more. */
  readonly lowestUnanswered: number
  /** A number for each write of the batch, in order. */
  readonly runs: ReadonlyArray<Run>
}

/**
 * - `Put` creates or overwrites.
 * - `Delete` removes the keys in `[key, end)`, or just `key` when `end` is empty.
 * - `CompareAndSwap` puts only if the key's mod revision equals `expected` (0: only if there is no such key).
 * - `CompareAndDelete` deletes the one key under the same condition.
 */
export type Write =
  | { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array; readonly end: Uint8Array }
  | { readonly _tag: "CompareAndSwap"; readonly key: Uint8Array; readonly value: Uint8Array; readonly expected: number }
  | { readonly _tag: "CompareAndDelete"; readonly key: Uint8Array; readonly expected: number }

/** Reads keys in `[key, end)` in order, or just `key` when `end` is empty; at most `limit`, 0 for as many as one answer may hold. */
export interface Range {
  readonly _tag: "Range"
  readonly key: Uint8Array
  readonly end: Uint8Array
  readonly limit: number
  readonly reverse: boolean
}

export type Operation = Write | Range

/** Kinds of `Invalid`; the position is the number on the wire, so only append. */
export const invalidReasons = [
  "KeyEmpty",
  "KeyTooLarge",
  "ValueTooLarge",
  "LimitInvalid",
  "RevisionInvalid",
  "RangeTooLarge",
  "AnswerTooLarge",
  "Unsupported"
] as const
export type InvalidReason = (typeof invalidReasons)[number]

/**
 * Kinds of `Failed`; the position is the number on the wire, so only append. All but `AnswerTooLarge` are raft's and mean the same here:
 * after `NoLeader`, `Busy`, `Refused`, `Lost` and `Stopped` a write certainly does not take effect and may be repeated; after `TooLarge` it must be made
 * smaller; after `Unknown` it may or may not take effect; after `Expired` this attempt has none, since its session is gone. After `Witness` nothing can be read
 * here: ask another member. `AnswerTooLarge`: nothing was changed; ask again in a smaller batch.
 */
export const failureReasons = [
  "NoLeader",
  "Busy",
  "Refused",
  "Lost",
  "TooLarge",
  "Unknown",
  "Stopped",
  "AnswerTooLarge",
  "Expired",
  "Witness"
] as const
export type FailureReason = (typeof failureReasons)[number]

export interface PutResult {
  readonly _tag: "Put"
  /** The store's revision after the operation. */
  readonly revision: number
}

export interface DeleteResult {
  readonly _tag: "Delete"
  readonly revision: number
  readonly deleted: number
}

export interface ComparedResult {
  readonly _tag: "Compared"
  readonly revision: number
  readonly succeeded: boolean
  /** What stood there instead, if the comparison failed. */
  readonly current: Option.Option<FoundKey>
}

export interface RangeResult {
  readonly _tag: "Range"
  readonly revision: number
  readonly kvs: ReadonlyArray<KeyValue>
  /** There are more keys in the range than were returned: ask again from behind the last one. */
  readonly more: boolean
}

/** The operation was refused before it reached the log; the others of its batch are not affected. */
export interface Invalid {
  readonly _tag: "Invalid"
  readonly reason: InvalidReason
  readonly message: string
}

/** The operation was not carried out, or it is not known whether it was; see `failureReasons`. */
export interface Failed {
  readonly _tag: "Failed"
  readonly reason: FailureReason
  readonly message: string
}

export type Result = PutResult | DeleteResult | ComparedResult | RangeResult | Invalid | Failed
