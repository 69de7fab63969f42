/**
 * The directory of one member: kept to one process at a time, known to be ours, readable by nobody else. A mistyped path must not mix a member's
 * files with something else, and two processes must not write one log.
 *
 * In it: `LOCK`, `FORMAT` (what this directory is, with its version), `log/`, `state/`, and what the member keeps about itself.
 */
import { Context, Effect, Layer, Option } from "effect"
import * as AtomicFile from "./AtomicFile.ts"
import { DataDirectoryError, fromDisk } from "./DataDirectoryError.ts"
import { Disk, type DiskError } from "./Disk.ts"

export { DataDirectoryError } from "./DataDirectoryError.ts"

/** Version of the layout of the directory. */
export const formatVersion = 1

const lockName = "LOCK"
const formatName = "FORMAT"
/** What may stand in a directory that is not ours yet: our own beginnings, and what a fresh file system has. */
const harmless: ReadonlySet<string> = new Set([lockName, formatName + AtomicFile.temporarySuffix, "lost+found"])

const formatText = `dkv data directory\nversion ${formatVersion}\n`

export class DataDirectory extends Context.Service<DataDirectory, {
  readonly path: string
}>()("@dkv/storage/DataDirectory") {}

const foreign = (path: string, message: string): DataDirectoryError =>
  new DataDirectoryError({ reason: "Foreign", message, path })

/** Whether the directory is ours. None: it holds nothing yet. */
const inspect = Effect.fnUntraced(function*(path: string) {
  const disk = yield* Disk
  const names = yield* disk.list(path).pipe(
    Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeed<ReadonlyArray<string>>([])),
    Effect.mapError(fromDisk)
  )
  if (!names.includes(formatName)) {
    const other = names.find((name) => !harmless.has(name))
    if (other === undefined) return Option.none<number>()
    return yield* foreign(
      path,
      `${path} is not a dkv data directory, it holds ${other}: choose another one, or an empty one`
    )
  }
  const text = new TextDecoder().decode(yield* Effect.mapError(AtomicFile.read(`${path}/${formatName}`, 256), fromDisk))
  const version = /^dkv data directory\nversion (\d{1,9})\n$/.exec(text)?.[1]
  if (version === undefined) {
    return yield* foreign(
      path,
      `${path}/${formatName} does not read like that of a dkv data directory: choose another one, or put the file back from a backup`
    )
  }
  return Option.some(Number(version))
})

/** Whether there is a data directory of any version at `path`. Changes nothing. */
export const exists = Effect.fnUntraced(function*(path: string): Effect.fn.Return<boolean, DiskError, Disk> {
  const disk = yield* Disk
  return yield* Effect.matchEffect(disk.list(path), {
    onSuccess: (names) => Effect.succeed(names.includes(formatName)),
    onFailure: (error) => error.reason === "NotFound" ? Effect.succeed(false) : Effect.fail(error)
  })
})

/** Takes the directory until the scope closes; makes it if it is missing. */
export const make = Effect.fnUntraced(function*(options: { readonly path: string }) {
  const disk = yield* Disk
  const path = options.path.length > 1 ? options.path.replace(/\/+$/, "") : options.path
  // Nothing is written into a directory that is not ours, not even a lock.
  yield* inspect(path)
  yield* Effect.mapError(disk.makeDirectory(path), fromDisk)
  yield* Effect.mapError(disk.lock(`${path}/${lockName}`), fromDisk)
  const version = yield* inspect(path)
  if (Option.isNone(version)) {
    yield* Effect.mapError(AtomicFile.write(`${path}/${formatName}`, new TextEncoder().encode(formatText)), fromDisk)
  } else if (version.value > formatVersion) {
    return yield* foreign(
      path,
      `${path} has format version ${version.value}, this program reads up to ${formatVersion}: start the version that wrote it`
    )
  }
  return DataDirectory.of({ path })
})

export const layer = (options: { readonly path: string }): Layer.Layer<DataDirectory, DataDirectoryError, Disk> =>
  Layer.effect(DataDirectory, make(options))
