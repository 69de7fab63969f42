/**
 * `Disk` over the operating system. All calls run on libuv's thread pool, off the event loop.
 *
 * Where the system has it, a durable write is a single call on a file opened with O_DSYNC: one hop to the thread pool instead of two, and never
 * slower than write and fdatasync (README, "Costs"). Elsewhere it is those two; on macOS libuv makes the second F_FULLFSYNC.
 */
/// <reference path="./fs-native-extensions.d.ts" />
import { Effect, Layer } from "effect"
import { tryLock } from "fs-native-extensions"
import * as Fs from "node:fs"
import * as Process from "node:process"
import { Disk, DiskError, type File, type OpenOptions, parentOf } from "./Disk.ts"

const directoryMode = 0o700
const fileMode = 0o600
const othersMask = 0o077
const hasDsync = Process.platform === "linux"
const canSyncDirectories = Process.platform !== "win32"

const reasonOf = (code: string | undefined): DiskError["reason"] => {
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return "NotFound"
    case "EEXIST":
      return "Exists"
    case "ENOSPC":
    case "EDQUOT":
    case "EFBIG":
      return "Full"
    default:
      return "Io"
  }
}

/** What helps, where that is known. */
const adviceOf = (code: string | undefined): string => {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return ": free some space there, and start again"
    case "EACCES":
    case "EPERM":
      return ": let the user that this process runs as read and write there"
    case "EROFS":
      return ": make the file system writable"
    case "EMFILE":
    case "ENFILE":
      return ": raise the limit of open files (ulimit -n)"
    case "EBUSY":
    case "EXDEV":
      return ": everything in a data directory has to be on the one file system that the directory itself is on"
    default:
      return ""
  }
}

const toError = (operation: string, path: string) => (cause: NodeJS.ErrnoException): DiskError => {
  const message = `${operation} ${path}: ${cause.message}${adviceOf(cause.code)}`
  return new DiskError({ reason: reasonOf(cause.code), message, path, cause })
}

type Callback<A> = (error: NodeJS.ErrnoException | null, value: A) => void

const call = <A>(
  operation: string,
  path: string,
  start: (callback: Callback<A>) => void
): Effect.Effect<A, DiskError> =>
  Effect.callback<A, DiskError>((resume) => {
    start((error, value) => resume(error ? Effect.fail(toError(operation, path)(error)) : Effect.succeed(value)))
  })

const callVoid = (
  operation: string,
  path: string,
  start: (callback: (error: NodeJS.ErrnoException | null) => void) => void
): Effect.Effect<void, DiskError> =>
  call<void>(operation, path, (callback) => start((error) => callback(error, undefined)))

const readFully = (fd: number, position: number, length: number, callback: Callback<Uint8Array>): void => {
  const target = new Uint8Array(length)
  const step = (done: number): void =>
    Fs.read(fd, target, done, length - done, position + done, (error, bytes) => {
      if (error) callback(error, target)
      else if (bytes === 0 || done + bytes === length) callback(null, target.subarray(0, done + bytes))
      else step(done + bytes)
    })
  if (length === 0) callback(null, target)
  else step(0)
}

const writeFully = (
  fd: number,
  position: number,
  chunks: ReadonlyArray<Uint8Array>,
  callback: (error: NodeJS.ErrnoException | null) => void
): void =>
  Fs.writev(fd, chunks, position, (error, bytes) => {
    if (error) return callback(error)
    const rest = behind(chunks, bytes)
    if (rest.length === 0) return callback(null)
    if (bytes > 0) return writeFully(fd, position + bytes, rest, callback)
    callback(Object.assign(new Error("the system wrote nothing and gave no reason"), { code: "EIO" }))
  })

const behind = (chunks: ReadonlyArray<Uint8Array>, bytes: number): ReadonlyArray<Uint8Array> => {
  let skip = bytes
  for (let at = 0; at < chunks.length; at++) {
    const length = chunks[at]!.length
    if (skip < length) return [chunks[at]!.subarray(skip), ...chunks.slice(at + 1)]
    skip -= length
  }
  return []
}

const makeFile = (path: string, fd: number, syncEachWrite: boolean): File => {
  // What changes a file is not interrupted: its number may belong to another file by the time that the system comes to it.
  const sync = Effect.uninterruptible(callVoid("sync", path, (callback) => Fs.fsync(fd, callback)))
  return {
    path,
    size: Effect.map(call<Fs.Stats>("stat", path, (callback) => Fs.fstat(fd, callback)), (stats) => stats.size),
    read: (position, length) => call("read", path, (callback) => readFully(fd, position, length, callback)),
    write: (position, chunks) =>
      Effect.uninterruptible(callVoid("write", path, (callback) =>
        writeFully(fd, position, chunks, (error) => {
          if (error || !syncEachWrite) callback(error)
          else Fs.fdatasync(fd, callback)
        }))),
    truncate: (length) =>
      Effect.uninterruptible(callVoid("truncate", path, (callback) => Fs.ftruncate(fd, length, callback))),
    sync,
    close: callVoid("close", path, (callback) => Fs.close(fd, callback))
  }
}

const flagsOf = (options: OpenOptions): number => {
  const { O_CREAT, O_DSYNC, O_EXCL, O_RDONLY, O_RDWR } = Fs.constants
  const create = options.create === "new" ? O_CREAT | O_EXCL : options.create === "missing" ? O_CREAT : 0
  const durable = options.durableWrites === true && hasDsync ? O_DSYNC : 0
  return (options.access === "write" ? O_RDWR : O_RDONLY) | create | durable
}

const open = (path: string, options: OpenOptions): Effect.Effect<File, DiskError> =>
  Effect.map(
    Effect.uninterruptible(
      call<number>("open", path, (callback) => Fs.open(path, flagsOf(options), fileMode, callback))
    ),
    (fd) => makeFile(path, fd, options.durableWrites === true && !hasDsync)
  )

const syncDirectory = (path: string): Effect.Effect<void, DiskError> =>
  canSyncDirectories
    ? Effect.acquireUseRelease(open(path, { access: "read" }), (directory) =>
      directory.sync, (directory) =>
      directory.close)
    : Effect.void

/** Who may write a directory need not own it: a volume that a system shares by group belongs to root. What this process makes in it is private all the same. */
const restrict = (path: string, mode: number): Effect.Effect<void, DiskError> =>
  Effect.catchIf(
    callVoid("restrict", path, (callback) => Fs.chmod(path, mode, callback)),
    (error) => (error.cause as NodeJS.ErrnoException).code === "EPERM",
    () =>
      Effect.logWarning(
        `${path} belongs to another user, so others keep their access to it: check who may see and replace what is in it, and that its files are readable by this user alone`
      )
  )

const makeDirectory = Effect.fnUntraced(function*(path: string) {
  const first = yield* call<string | undefined>(
    "make directory",
    path,
    (callback) => Fs.mkdir(path, { recursive: true, mode: directoryMode }, callback)
  )
  if (first === undefined) {
    const { mode } = yield* call<Fs.Stats>("stat", path, (callback) => Fs.stat(path, callback))
    if (mode & othersMask) yield* restrict(path, mode & ~othersMask & 0o7777)
    return
  }
  // Each directory that came to be is an entry of its parent.
  const levels = path.replace(/\/+$/, "").slice(first.length).split("/").length
  let parent = parentOf(path.replace(/\/+$/, ""))
  for (let level = 0; level < levels; level++, parent = parentOf(parent)) yield* syncDirectory(parent)
})

const lock = Effect.fnUntraced(function*(path: string) {
  const fd = yield* Effect.acquireRelease(
    call<number>(
      "open",
      path,
      (callback) => Fs.open(path, Fs.constants.O_RDWR | Fs.constants.O_CREAT, fileMode, callback)
    ),
    (fd) => Effect.orDie(callVoid("close", path, (callback) => Fs.close(fd, callback)))
  )
  const taken = yield* Effect.try({
    try: () => tryLock(fd),
    catch: (cause) => toError("lock", path)(cause as NodeJS.ErrnoException)
  })
  if (!taken) {
    const content = yield* call<Uint8Array>("read", path, (callback) => readFully(fd, 0, 32, callback))
    const holder = new TextDecoder().decode(content).trim()
    return yield* new DiskError({
      reason: "Locked",
      path,
      message: `${parentOf(path)} is in use by process ${/^\d+$/.test(holder) ? holder : "(unknown)"}`
    })
  }
  const file = makeFile(path, fd, false)
  yield* file.truncate(0)
  yield* file.write(0, [new TextEncoder().encode(`${Process.pid}\n`)])
})

export const layer: Layer.Layer<Disk> = Layer.succeed(
  Disk,
  Disk.of({
    open,
    rename: (from, to) => callVoid("rename", from, (callback) => Fs.rename(from, to, callback)),
    remove: (path) => callVoid("remove", path, (callback) => Fs.rm(path, { recursive: true, force: true }, callback)),
    unlink: (path) => callVoid("unlink", path, (callback) => Fs.unlink(path, callback)),
    list: (path) =>
      Effect.map(call<Array<string>>("list", path, (callback) => Fs.readdir(path, callback)), (names) => names.sort()),
    makeDirectory,
    syncDirectory,
    lock
  })
)
