/** What RocksDB says, as a `StorageError`. The binding gives an errno where it knows one, and RocksDB's own words otherwise. */
import type { DiskError } from "./Disk.ts"
import { StorageError } from "./Storage.ts"

const describe = (cause: unknown): { readonly code: string; readonly message: string } => {
  // A batch that was not applied carries the reason as its cause, a bulk read one error per key.
  const inner = cause instanceof AggregateError
    ? cause.errors.find((error) => error)
    : cause instanceof Error
    ? cause.cause
    : undefined
  const error = (inner ?? cause) as { readonly code?: unknown; readonly message?: unknown }
  return { code: String(error?.code ?? ""), message: String(error?.message ?? error) }
}

const reasonOf = (code: string, message: string): StorageError["reason"] => {
  if (code === "ENOSPC" || code === "EDQUOT" || /no space left|quota exceeded/i.test(message)) return "Full"
  if (/lock hold|while lock file/i.test(message)) return "Locked"
  if (/session is closed|is destroyed/i.test(message)) return "Closed"
  if (/corrupt|(checksum|crc) mismatch|bad (block|record|magic)|truncated|does not exist|no such file/i.test(message)) {
    return "Corrupt"
  }
  return "Io"
}

/** For failures of an operation on the database in `directory`. */
export const fromNative = (directory: string) => (cause: unknown): StorageError => {
  const { code, message } = describe(cause)
  const reason = reasonOf(code, message)
  const advice = reason === "Full" ? ": free some space there, and start again" : ""
  return new StorageError({ reason, message: `${directory}: ${message}${advice}`, cause })
}

/** For failures of the files around the database. */
export const fromDisk = (error: DiskError): StorageError =>
  new StorageError({
    reason: error.reason === "Full" || error.reason === "Locked" ? error.reason : "Io",
    message: error.message,
    cause: error
  })
