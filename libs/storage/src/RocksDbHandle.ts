/**
 * One open RocksDB and the promises around it. A handle that was replaced stays open until its last user has left, and then removes its directory.
 */
/// <reference path="./rocksdb-native.d.ts" />
import { Effect } from "effect"
import RocksDB from "rocksdb-native"
import * as Limits from "./Limits.ts"
import { Disk } from "./Disk.ts"
import { compare } from "./OrderedMap.ts"
import * as Batches from "./RocksDbBatches.ts"
import { fromDisk, fromNative } from "./RocksDbError.ts"
import { reservedKey } from "./Storage.ts"
import type { Row, ScanOptions, StorageError, Write } from "./Storage.ts"

const options = {
  maxBackgroundJobs: 2,
  maxOpenFiles: 512,
  bytesPerSync: 1 << 20,
  // An ordinary crash leaves a torn tail; what is lost with it was not flushed, and the log has it.
  walRecoveryMode: RocksDB.constants.walRecoveryMode.POINT_IN_TIME,
  writeBufferSize: 16 << 20,
  maxWriteBufferNumber: 3,
  // Large rows are written once, beside the ordered files, instead of again in each compaction. A file of them goes when the last row in it is gone; rows
  // are not moved out of old ones, which would write everything again after all.
  enableBlobFiles: true,
  enableBlobGarbageCollection: false,
  minBlobSize: 4096,
  blobFileSize: 64 << 20
}

/** Mutable; owned by the storage that opened it. */
export class RocksDbHandle {
  readonly directory: string
  readonly db: RocksDB
  readonly disk: Disk["Service"]
  batches = new Batches.RocksDbBatches(0)
  users = 0
  retired = false

  constructor(directory: string, db: RocksDB, disk: Disk["Service"]) {
    this.directory = directory
    this.db = db
    this.disk = disk
  }
}

/** Opens the database in `directory`, to be closed by the caller. `create` makes one where there is none. */
export const open = Effect.fnUntraced(function*(directory: string, create: boolean) {
  const disk = yield* Disk
  yield* Effect.mapError(removeOldLogs(disk, directory), fromDisk)
  const handle = yield* Effect.tryPromise({
    try: () => {
      const db = new RocksDB(directory, { ...options, createIfMissing: create })
      return db.ready().then(() => new RocksDbHandle(directory, db, disk))
    },
    catch: fromNative(directory)
  })
  handle.batches = yield* scanRange(handle.db, { ...Batches.range, limit: Limits.ringBatches }, fromNative(directory))
    .pipe(
      Effect.flatMap((rows) => Batches.recover(directory, rows)),
      Effect.onError(() => Effect.ignore(close(handle)))
    )
  return handle
}, Effect.uninterruptible)

/** RocksDB leaves one of its text logs behind at each start, and the binding has no option against it. */
const removeOldLogs = Effect.fnUntraced(function*(disk: Disk["Service"], directory: string) {
  const names = yield* Effect.catchIf(
    disk.list(directory),
    (error) => error.reason === "NotFound",
    () => Effect.succeed<ReadonlyArray<string>>([])
  )
  for (const name of names) if (name.startsWith("LOG.old.")) yield* disk.unlink(`${directory}/${name}`)
})

/** Waits for what is under way, then closes. */
export const close = (handle: RocksDbHandle): Effect.Effect<void, StorageError> =>
  Effect.tryPromise({ try: () => handle.db.close(), catch: fromNative(handle.directory) })

const leave = (handle: RocksDbHandle): Effect.Effect<void, StorageError> =>
  Effect.suspend(() => {
    handle.users--
    return dispose(handle)
  })

/** Closes and removes a handle that was replaced, unless somebody still uses it. */
export const dispose = (handle: RocksDbHandle): Effect.Effect<void, StorageError> =>
  handle.retired && handle.users === 0
    ? Effect.andThen(close(handle), Effect.mapError(handle.disk.remove(handle.directory), fromDisk))
    : Effect.void

/** A user of the handle until the scope closes. */
export const enter = (handle: RocksDbHandle) =>
  Effect.acquireRelease(
    Effect.sync(() => void handle.users++),
    () => Effect.catch(leave(handle), (error) => Effect.logWarning("a replaced database could not be removed", error))
  )

/** Runs `use` as a user of the handle. */
export const during = <A>(handle: RocksDbHandle, use: Effect.Effect<A, StorageError>): Effect.Effect<A, StorageError> =>
  Effect.acquireUseRelease(Effect.sync(() => void handle.users++), () => use, () => leave(handle))

/** The same, for a promise of the binding. */
export const duringPromise = <A>(handle: RocksDbHandle, use: () => Promise<A>): Effect.Effect<A, StorageError> =>
  during(handle, Effect.tryPromise({ try: use, catch: fromNative(handle.directory) }))

/** Batches keep a database from closing, whatever became of them. */
const thenDestroy = <Native extends { destroy(): void }, A>(
  native: Native,
  use: (native: Native) => Promise<A>
): Promise<A> => Promise.resolve(native).then(use).finally(() => native.destroy())

const writeNumbered = (db: RocksDB, batch: ReadonlyArray<Write>, number: Row): Promise<void> =>
  thenDestroy(db.write({ capacity: batch.length + 1 }), (native) => {
    for (const write of batch) {
      if (write._tag === "Put") native.tryPut(unreserved(write.key), write.value)
      else if (write._tag === "Delete") native.tryDelete(unreserved(write.key))
      else {
        const to = belowReserved(write.to)
        if (compare(write.from, to) < 0) native.tryDeleteRange(write.from, to)
      }
    }
    native.tryPut(number.key, number.value)
    return native.flush()
  })

/** One batch at a time, so that what a crash takes is missing from the end of the numbers. */
export const write = (handle: RocksDbHandle, batch: ReadonlyArray<Write>): Effect.Effect<void, StorageError> =>
  Effect.suspend(() => {
    const { batches, db } = handle
    const written = Effect.map(
      duringPromise(handle, () => writeNumbered(db, batch, batches.next)),
      () => batches.written()
    )
    return batches.isFull ? Effect.andThen(flush(handle), written) : written
  })

/** Rows of a database that nobody relies on before it is flushed. */
export const writeRows = (handle: RocksDbHandle, rows: ReadonlyArray<Row>): Effect.Effect<void, StorageError> =>
  duringPromise(handle, () =>
    thenDestroy(handle.db.write({ capacity: Math.max(1, rows.length) }), (native) => {
      for (const { key, value } of rows) native.tryPut(unreserved(key), value)
      return native.flush()
    }))

export const flush = (handle: RocksDbHandle): Effect.Effect<void, StorageError> =>
  Effect.suspend(() => {
    const { last } = handle.batches
    return Effect.map(duringPromise(handle, () => handle.db.flush()), () => handle.batches.flushedTo(last))
  })

const unreserved = (key: Uint8Array): Uint8Array => {
  if (key[0] === 0xff && compare(key, reservedKey) >= 0) throw new Error("a key of the reserved range was written")
  return key
}

const belowReserved = (to: Uint8Array): Uint8Array => to[0] === 0xff && compare(to, reservedKey) > 0 ? reservedKey : to

export const readMany = (
  db: RocksDB,
  keys: ReadonlyArray<Uint8Array>
): Promise<ReadonlyArray<Uint8Array | undefined>> =>
  thenDestroy(db.read({ capacity: Math.max(1, keys.length) }), (native) => {
    const answers = Promise.all(keys.map((key) => native.get(key)))
    return Promise.all([answers, native.flush()]).then(([values]) => values.map((value) => value ?? undefined))
  })

/** Rows as they come: an event each, and no promise. */
export const scanRows = (
  handle: RocksDbHandle,
  db: RocksDB,
  options: ScanOptions
): Effect.Effect<ReadonlyArray<Row>, StorageError> =>
  scanRange(db, { ...options, to: belowReserved(options.to) }, fromNative(handle.directory))

const scanRange = (
  db: RocksDB,
  { bytesMax = Infinity, from, limit, reverse = false, to }: ScanOptions,
  toError: (cause: unknown) => StorageError
): Effect.Effect<ReadonlyArray<Row>, StorageError> => {
  // An empty bound means "none" to RocksDB.
  if (compare(from, to) >= 0) return Effect.succeed([])
  return Effect.callback((resume) => {
    const rows: Array<Row> = []
    let bytes = 0
    let failure: unknown
    const native = db.iterator({ gte: from, lt: to, reverse, limit, capacity: Math.min(limit, Limits.scanStepRows) })
    native.on("data", (row) => {
      if (rows.length >= limit || bytes > bytesMax) return
      rows.push(row)
      bytes += row.key.length + row.value.length
      if (rows.length >= limit || bytes > bytesMax) native.destroy()
    })
    native.on("error", (error) => (failure = error))
    native.on(
      "close",
      () => resume(failure === undefined ? Effect.succeed(rows) : Effect.fail(toError(failure)))
    )
    return Effect.sync(() => native.destroy())
  })
}

export const approximateBytes = (db: RocksDB): Promise<number> =>
  Promise.all(
    ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size", "rocksdb.cur-size-all-mem-tables"].map((name) =>
      db.getProperty(name)
    )
  )
    .then((sizes) => sizes.reduce((sum, size) => sum + Number(size), 0))
