/**
 * `Storage` in RocksDB, through `rocksdb-native`. Writes go to its log unsynced; `flush` writes and syncs the tables. After a crash RocksDB
 * recovers to a point in time, which is the promised prefix, or what it recovered is found to have a gap (`RocksDbBatches`).
 *
 * On disk: numbered directories, each a database, and the file `current` that names the one in use. A replacement is built in the next
 * number and becomes current when that file is replaced; whatever it does not name is removed on start, once the one that it names is open:
 * until then another may be all that is left. Without that file nothing is removed: only what a first start may have left goes on,
 * anything else is damage.
 */
import { Effect, Layer, Option, type Scope, Semaphore } from "effect"
import * as AtomicFile from "./AtomicFile.ts"
import { Disk } from "./Disk.ts"
import * as Limits from "./Limits.ts"
import * as NodeDisk from "./NodeDisk.ts"
import { fromDisk } from "./RocksDbError.ts"
import * as Handle from "./RocksDbHandle.ts"
import { type Reader, type Replacement, type Row, Storage, StorageError } from "./Storage.ts"

export interface Options {
  /** A directory of the storage's own; made if missing. A `LOCK` file in it keeps other processes out. */
  readonly directory: string
}

const pointerName = "current"
const nameOf = (number: number): string => String(number).padStart(6, "0")
const isDatabaseName = (name: string): boolean => /^\d{6,}$/.test(name)
const isOurs = (name: string): boolean =>
  isDatabaseName(name) || name === "LOCK" || name === pointerName ||
  name === pointerName + AtomicFile.temporarySuffix ||
  name === "lost+found"

const point = (directory: string, number: number) =>
  Effect.mapError(
    AtomicFile.write(`${directory}/${pointerName}`, new TextEncoder().encode(`${nameOf(number)}\n`)),
    fromDisk
  )

const readPointer = Effect.fnUntraced(function*(directory: string) {
  const content = yield* AtomicFile.read(`${directory}/${pointerName}`, 64).pipe(
    Effect.asSome,
    Effect.catchIf((error) => error.reason === "NotFound", () => Effect.succeedNone),
    Effect.mapError(fromDisk)
  )
  if (Option.isNone(content)) return undefined
  const name = new TextDecoder().decode(content.value).trim()
  if (isDatabaseName(name)) return Number(name)
  return yield* new StorageError({ reason: "Corrupt", message: `${directory}/${pointerName} does not name a database` })
})

/**
 * A first start that was cut off leaves its one database, whole or without anything in it: RocksDB writes its own `CURRENT` before any row. Other than that, nobody can
 * know which database was in use, and none may be taken for abandoned, or be made anew over rows.
 */
const mustBeFirst = Effect.fnUntraced(function*(directory: string, databases: ReadonlyArray<string>) {
  if (databases.length === 0) return
  if (databases.length === 1 && databases[0] === nameOf(1)) {
    const disk = yield* Disk
    const files = yield* Effect.mapError(disk.list(`${directory}/${nameOf(1)}`), fromDisk)
    if (files.includes("CURRENT") || !files.some((name) => /\.(sst|blob|log)$/.test(name))) return
    return yield* new StorageError({
      reason: "Corrupt",
      message: `${directory} lacks ${pointerName}, and ${nameOf(1)} in it lacks CURRENT: nothing was removed`
    })
  }
  return yield* new StorageError({
    reason: "Corrupt",
    message: `${directory} lacks ${pointerName}, which says which of ${
      databases.join(", ")
    } is in use: nothing was removed`
  })
})

/** Opens the database that is in use, or the first one, and clears away what a crash or a replacement has left. */
const openCurrent = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const names = yield* Effect.mapError(disk.list(directory), fromDisk)
  const foreign = names.find((name) => !isOurs(name))
  if (foreign !== undefined) {
    return yield* new StorageError({
      reason: "Foreign",
      message: `${directory} holds ${foreign}, which is not ours: choose an empty directory`
    })
  }
  const databases = names.filter(isDatabaseName)
  const present = yield* readPointer(directory)
  const number = present ?? 1
  if (present === undefined) yield* mustBeFirst(directory, databases)
  const handle = yield* Handle.open(`${directory}/${nameOf(number)}`, present === undefined)
  const settle = present === undefined
    ? Effect.andThen(Effect.mapError(disk.syncDirectory(directory), fromDisk), point(directory, number))
    : Effect.forEach(
      databases.filter((name) => Number(name) !== present),
      (name) => Effect.mapError(disk.remove(`${directory}/${name}`), fromDisk),
      { discard: true }
    )
  yield* Effect.onError(settle, () => Effect.orDie(Handle.close(handle)))
  return { handle, number }
})

const closed = Effect.fail(
  new StorageError({ reason: "Closed", message: "the storage was used after its scope had closed" })
)

/** What a reader looks at: a database, or a snapshot of it. */
interface View {
  readonly handle: Handle.RocksDbHandle
  readonly db: Handle.RocksDbHandle["db"]
}

/** The storage in this directory, until the scope closes. */
export const make = Effect.fnUntraced(function*({ directory }: Options): Effect.fn.Return<
  Storage["Service"],
  StorageError,
  Disk | Scope.Scope
> {
  const disk = yield* Disk
  yield* Effect.mapError(disk.makeDirectory(directory), fromDisk)
  yield* Effect.mapError(disk.lock(`${directory}/LOCK`), fromDisk)
  const scans = yield* Semaphore.make(Limits.scansMax)
  const writes = yield* Semaphore.make(1)
  let current!: Handle.RocksDbHandle
  let lastNumber!: number
  let isOpen = true
  yield* Effect.acquireRelease(
    Effect.map(openCurrent(directory), ({ handle, number }) => {
      current = handle
      lastNumber = number
    }),
    () =>
      Effect.suspend(() => {
        isOpen = false
        // The next start is faster without a log to replay. What is not flushed is still in it.
        const flush = Effect.catch(
          Handle.flush(current),
          (error) => Effect.logWarning("the storage could not be flushed before it was closed", error)
        )
        return Effect.andThen(flush, Effect.orDie(Handle.close(current)))
      })
  )

  const reader = (target: () => View | undefined): Reader => {
    const view = (use: (view: View) => Effect.Effect<ReadonlyArray<Row>, StorageError>) =>
      Effect.suspend(() => {
        const found = isOpen ? target() : undefined
        return found === undefined ? closed : Handle.during(found.handle, use(found))
      })
    const getMany = (keys: ReadonlyArray<Uint8Array>) =>
      Effect.suspend(() => {
        const found = isOpen ? target() : undefined
        return found === undefined ? closed : Handle.duringPromise(found.handle, () => Handle.readMany(found.db, keys))
      })
    return {
      get: (key) => Effect.map(getMany([key]), ([value]) => Option.fromNullishOr(value)),
      getMany,
      scan: (options) => scans.withPermit(view(({ db, handle }) => Handle.scanRows(handle, db, options)))
    }
  }

  const snapshot = Effect.gen(function*() {
    if (!isOpen) return yield* closed
    const handle = current
    yield* Handle.enter(handle)
    let held = true
    const db = yield* Effect.acquireRelease(
      Effect.sync(() => handle.db.snapshot()),
      (db) =>
        Effect.promise(() => {
          held = false
          return db.close()
        })
    )
    return reader(() => (held ? { handle, db } : undefined))
  })

  const replace = Effect.gen(function*() {
    if (!isOpen) return yield* closed
    const number = ++lastNumber
    let state: "building" | "pointing" | "over" = "building"
    const handle = yield* Effect.acquireRelease(
      Effect.provideService(Handle.open(`${directory}/${nameOf(number)}`, true), Disk, disk),
      (handle) =>
        Effect.suspend(() => {
          const was = state
          state = "over"
          // While the pointer is being replaced nobody knows which database it names: neither may go.
          if (was === "pointing") return Effect.ignore(Handle.close(handle))
          if (was === "over") return Effect.void
          handle.retired = true
          return Effect.catch(Handle.dispose(handle), (error) =>
            Effect.logWarning("a replacement could not be removed", error))
        })
    )
    const whileBuilding = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | StorageError> =>
      Effect.suspend((): Effect.Effect<A, E | StorageError> => (isOpen && state === "building" ? effect : closed))
    const commit = Effect.gen(function*() {
      yield* Handle.flush(handle)
      yield* Effect.mapError(disk.syncDirectory(directory), fromDisk)
      state = "pointing"
      yield* Effect.provideService(point(directory, number), Disk, disk)
      state = "over"
      const old = current
      current = handle
      old.retired = true
      yield* Handle.dispose(old)
    })
    return {
      put: (rows: Parameters<Replacement["put"]>[0]) =>
        whileBuilding(Effect.uninterruptible(Handle.writeRows(handle, rows))),
      commit: whileBuilding(Effect.uninterruptible(commit))
    }
  })

  const whileOpen = <A>(effect: () => Effect.Effect<A, StorageError>): Effect.Effect<A, StorageError> =>
    Effect.suspend(() => (isOpen ? effect() : closed))

  return Storage.of({
    ...reader(() => ({ handle: current, db: current.db })),
    write: (batch) => Effect.uninterruptible(writes.withPermit(whileOpen(() => Handle.write(current, batch)))),
    flush: whileOpen(() => Effect.uninterruptible(Handle.flush(current))),
    snapshot,
    replace,
    sizeBytes: whileOpen(() => {
      const { db } = current
      return Handle.duringPromise(current, () => Handle.approximateBytes(db))
    })
  })
})

export const layer = (options: Options): Layer.Layer<Storage, StorageError> =>
  Layer.effect(Storage, make(options)).pipe(Layer.provide(NodeDisk.layer))
