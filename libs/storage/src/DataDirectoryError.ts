import { Schema } from "effect"
import type { DiskError } from "./Disk.ts"

/**
 * The data directory cannot be used; nothing in it was changed.
 *
 * - `Locked`: another process has it open; the message names it. Stop that one, or choose another directory.
 * - `Foreign`: it holds something else, or was written by a newer version. Choose another directory, or start that version.
 * - `Full`, `Io`: the operating system says so.
 */
export class DataDirectoryError extends Schema.TaggedError<DataDirectoryError>()("DataDirectoryError", {
  reason: Schema.Literals(["Locked", "Foreign", "Full", "Io"]),
  message: Schema.String,
  path: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export const fromDisk = (error: DiskError): DataDirectoryError =>
  new DataDirectoryError({
    reason: error.reason === "Full" || error.reason === "Locked" ? error.reason : "Io",
    message: error.reason === "Locked" ? `${error.message}: end that one, or choose another directory` : error.message,
    path: error.path,
    cause: error
  })
