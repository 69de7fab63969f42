/**
 * An ordered map from bytes to bytes: what a replicated state machine keeps its data in. Keys are compared as unsigned bytes.
 *
 * After a crash it holds a prefix of the batches written since the last `flush`: each batch whole or not at all, and none
 * without all the ones before it; or it opens as `Corrupt`. Batches that are written at the same time may take effect in either order.
 *
 * Keys from `reservedKey` on are for a layer's own use.
 */
import { Context, Schema } from "effect"
import type { Effect, Option, Scope } from "effect"

/**
 * The map cannot be used. `Corrupt`: damage found, rebuild from elsewhere. `Full`: no space left. `Locked`: another process has it open.
 * `Foreign`: the directory is not ours or of another version. `Closed`: used after its scope. `Io`: anything else the operating system says.
 */
export class StorageError extends Schema.TaggedError<StorageError>()("StorageError", {
  reason: Schema.Literals(["Corrupt", "Full", "Locked", "Foreign", "Closed", "Io"]),
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export const reservedKey: Uint8Array = new Uint8Array(8).fill(0xff)

/** One change. `DeleteRange` removes the keys in `[from, to)`. Buffers are owned by the storage from here on: do not change them. */
export type Write =
  | { readonly _tag: "Put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array }
  | { readonly _tag: "DeleteRange"; readonly from: Uint8Array; readonly to: Uint8Array }

export interface ScanOptions {
  /** First key, inclusive. */
  readonly from: Uint8Array
  /** End, exclusive. */
  readonly to: Uint8Array
  readonly reverse?: boolean
  /** At most this many rows; a positive integer. */
  readonly limit: number
  /** Stop once the rows' keys and values exceed this many bytes, but return at least one. */
  readonly bytesMax?: number
}

export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Reading, from the live map or from a snapshot of it. */
export interface Reader {
  readonly get: (key: Uint8Array) => Effect.Effect<Option.Option<Uint8Array>, StorageError>
  /** One answer per key, in the order asked. */
  readonly getMany: (
    keys: ReadonlyArray<Uint8Array>
  ) => Effect.Effect<ReadonlyArray<Uint8Array | undefined>, StorageError>
  /** Rows in key order (or reverse). Ask again from the last key to go on. */
  readonly scan: (options: ScanOptions) => Effect.Effect<ReadonlyArray<Row>, StorageError>
}

/** A replacement of the whole content, built beside it. */
export interface Replacement {
  readonly put: (rows: ReadonlyArray<Row>) => Effect.Effect<void, StorageError>
  /** Makes the rows given so far the whole content, atomically and durably. Open snapshots keep their view. */
  readonly commit: Effect.Effect<void, StorageError>
}

export class Storage extends Context.Service<Storage, Reader & {
  /** Applies all changes in order, atomically. Not synced. Visible to reads that begin after it succeeds. */
  readonly write: (batch: ReadonlyArray<Write>) => Effect.Effect<void, StorageError>
  /** Makes every batch written so far durable. */
  readonly flush: Effect.Effect<void, StorageError>
  /** A consistent view that later writes do not change, until the scope closes. */
  readonly snapshot: Effect.Effect<Reader, StorageError, Scope.Scope>
  /** Starts a replacement; closing the scope without `commit` discards it. */
  readonly replace: Effect.Effect<Replacement, StorageError, Scope.Scope>
  /** Bytes on disk, or an estimate of bytes in memory. */
  readonly sizeBytes: Effect.Effect<number, StorageError>
}>()("@dkv/storage/Storage") {}
