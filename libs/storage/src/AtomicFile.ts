/**
 * A small file that is replaced as a whole: written beside, synced, renamed over the old one, directory synced. After a crash it has
 * either its old or its new content.
 */
import { Effect } from "effect"
import { Disk, type DiskError, parentOf } from "./Disk.ts"

/** What a file under construction is called; one that is found on start was abandoned and may be removed. */
export const temporarySuffix = ".tmp"

/**
 * Durably replaces the content of `path`. Fails with what the disk says: the old content is then still there, or, if only the last sync has failed, the new one, which a
 * crash may take back.
 */
export const write = Effect.fnUntraced(function*(path: string, bytes: Uint8Array) {
  const disk = yield* Disk
  const temporary = path + temporarySuffix
  yield* Effect.acquireUseRelease(
    disk.open(temporary, { access: "write", create: "missing" }),
    Effect.fnUntraced(function*(file) {
      yield* file.truncate(0)
      yield* file.write(0, [bytes])
      yield* file.sync
    }),
    (file) => file.close
  )
  yield* disk.rename(temporary, path)
  yield* disk.syncDirectory(parentOf(path))
})

/** The whole content of `path`, or its first `bytesMax + 1` bytes, so that the caller can see that it is too long. */
export const read = Effect.fnUntraced(function*(path: string, bytesMax: number): Effect.fn.Return<
  Uint8Array,
  DiskError,
  Disk
> {
  const disk = yield* Disk
  return yield* Effect.acquireUseRelease(
    disk.open(path, { access: "read" }),
    (file) => Effect.flatMap(file.size, (size) => file.read(0, Math.min(size, bytesMax + 1))),
    (file) => file.close
  )
})
