/**
 * What the log and the data directory ask of a file system: the few operations whose durability is known, and nothing that hides when bytes
 * reach the medium. Layers: `@dkv/storage/node` (the operating system) and `MemoryDisk` (with a model of what a crash may do).
 *
 * Source for what needs a sync: "All File Systems Are Not Created Equal" (Pillai et al., OSDI 2014).
 */
import { Context, Schema } from "effect"
import type { Effect, Scope } from "effect"

/**
 * The operation was refused. `NotFound`, `Exists`: as the name says; nothing changed. `Full`: no space (or quota) left; a write may have been carried
 * out in part. `Locked`: another process holds the lock, `message` names it. `Io`: anything else; after a failed write or sync the
 * content of the file is unknown, and trying again proves nothing, because the system may have dropped the pages.
 */
export class DiskError extends Schema.TaggedError<DiskError>()("DiskError", {
  reason: Schema.Literals(["NotFound", "Exists", "Full", "Locked", "Io"]),
  message: Schema.String,
  path: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export interface OpenOptions {
  readonly access: "read" | "write"
  /** `never` (the default) fails with `NotFound` on a missing file, `new` with `Exists` on a present one. Private: mode 0600. */
  readonly create?: "never" | "missing" | "new"
  /** Whether each `write` is durable when it succeeds. Otherwise `sync` makes it so. */
  readonly durableWrites?: boolean
}

/** An open file. The owner closes it; it must not be used afterwards. */
export interface File {
  readonly path: string
  readonly size: Effect.Effect<number, DiskError>
  /** The bytes `[position, position + length)`; fewer only at the end of the file. */
  readonly read: (position: number, length: number) => Effect.Effect<Uint8Array, DiskError>
  /**
   * Writes the chunks one after another from `position`. Not interruptible: the chunks may be changed again once it is over.
   * One call at a time.
   */
  readonly write: (position: number, chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void, DiskError>
  /** Cuts the file, or lengthens it with zeros. Needs a `sync`. */
  readonly truncate: (length: number) => Effect.Effect<void, DiskError>
  /** Makes content and size durable. Never repeat a failed one. */
  readonly sync: Effect.Effect<void, DiskError>
  readonly close: Effect.Effect<void, DiskError>
}

/** Paths have `/` between their parts. */
export class Disk extends Context.Service<Disk, {
  readonly open: (path: string, options: OpenOptions) => Effect.Effect<File, DiskError>
  /** Of a file, which replaces `to` if that exists; or of a directory, to where nothing is. Durable after `syncDirectory` of both parents. */
  readonly rename: (from: string, to: string) => Effect.Effect<void, DiskError>
  /** Removes a file. Durable after `syncDirectory` of the parent. */
  readonly unlink: (path: string) => Effect.Effect<void, DiskError>
  /** Removes a file, or a directory with all that is in it; nothing happens if it is missing. Durable after `syncDirectory` of the parent. */
  readonly remove: (path: string) => Effect.Effect<void, DiskError>
  /** Names in a directory, in ascending order; `NotFound` if it is missing. */
  readonly list: (directory: string) => Effect.Effect<ReadonlyArray<string>, DiskError>
  /** Makes the directory and its missing parents, mode 0700, durably. Nothing happens when it exists, except that others lose their access to it, if it is ours. */
  readonly makeDirectory: (directory: string) => Effect.Effect<void, DiskError>
  /** Makes the creations, renames and removals in a directory durable. */
  readonly syncDirectory: (directory: string) => Effect.Effect<void, DiskError>
  /**
   * Takes the lock that the file at `path` stands for, until the scope closes or the process ends, however it ends. `Locked` if
   * anyone has it, this process included.
   */
  readonly lock: (path: string) => Effect.Effect<void, DiskError, Scope.Scope>
}>()("@dkv/storage/Disk") {}

/** The directory that a path lies in. */
export const parentOf = (path: string): string => {
  const end = path.lastIndexOf("/")
  return end > 0 ? path.slice(0, end) : end === 0 ? "/" : "."
}
