/**
 * Raft's `SnapshotStore` in a file over `Disk`. A draft is a file beside it, which a commit syncs and renames over the stored one (`AtomicFile` does the same for what
 * fits into one buffer). Whoever reads a file that was replaced keeps reading it.
 *
 * Layout, big-endian: "dkvs", format u32, CRC-32C u32 over those; per chunk its length u32, CRC-32C u32 over length and chunk, the chunk; at the end the
 * same with the length 0xffffffff and no chunk, so that a file that is cut between two chunks is found out.
 */
import { Limits, SnapshotStore, StateMachine } from "@dkv/raft"
import { Effect, Layer, Option, type Scope } from "effect"
import { temporarySuffix } from "./AtomicFile.ts"
import { crc32c } from "./Checksum.ts"
import { Disk, type DiskError, type File } from "./Disk.ts"

export interface Options {
  /** A directory of the snapshot's own; made if missing. A `LOCK` file in it keeps other processes out. */
  readonly directory: string
}

export const formatVersion = 1

/** Of the stored snapshot, in its directory. */
export const fileName = "snapshot"

const magic = 0x646b7673
const fileHeadBytes = 12
const chunkHeadBytes = 8
const endMark = 0xffff_ffff

/** Opens the directory. The scope unlocks it. */
export const make: (
  options: Options
) => Effect.Effect<SnapshotStore.SnapshotStore["Service"], StateMachine.StateMachineError, Disk | Scope.Scope> = Effect
  .fnUntraced(function*({ directory }: Options) {
    const disk = yield* Disk
    const path = `${directory}/${fileName}`
    yield* Effect.mapError(prepare(directory), toStateError)
    let drafts = 0
    /** Set for good by the first commit that fails: what the disk holds is not known any more, and a second sync would prove nothing. */
    let failure: DiskError | undefined

    const stored = Effect.gen(function*() {
      const file = yield* Effect.acquireRelease(disk.open(path, { access: "read" }), close).pipe(
        Effect.asSome,
        Effect.catchIf(({ reason }) => reason === "NotFound", () => Effect.succeedNone),
        Effect.mapError(toStateError)
      )
      if (Option.isNone(file)) return Option.none()
      yield* readFileHead(file.value)
      return Option.some({ read: readerOf(file.value) } satisfies SnapshotStore.StoredSnapshot)
    })

    const draft = Effect.gen(function*() {
      if (failure !== undefined) return yield* failure
      const temporary = `${path}.${++drafts}${temporarySuffix}`
      let committed = false
      yield* Effect.addFinalizer(() => Effect.ignore(disk.unlink(temporary)))
      const file = yield* Effect.acquireRelease(disk.open(temporary, { access: "write", create: "new" }), close)
      let end = fileHeadBytes
      yield* file.write(0, [encodeFileHead()])
      const read = readerOf(file)
      const replace = Effect.gen(function*() {
        if (failure !== undefined) return yield* failure
        yield* file.sync
        yield* disk.rename(temporary, path)
        committed = true
        yield* disk.syncDirectory(directory)
      }).pipe(Effect.tapError((error) => Effect.sync(() => void (failure = error))))
      const writeEnd = Effect.suspend(() => file.write(end, [encodeChunkHead(endMark, new Uint8Array(0))]))
      const commit = Effect.andThen(writeEnd, replace)
      return {
        read: (position) => fileHeadBytes + position < end ? read(position) : Effect.succeedNone,
        write: (chunk) =>
          Effect.suspend(() => {
            if (committed) return Effect.die(new Error("a chunk came after the commit"))
            if (chunk.length > Limits.snapshotBlockBytesMax) {
              return Effect.die(new Error(`a chunk of ${chunk.length} bytes; ${Limits.snapshotBlockBytesMax} is most`))
            }
            return Effect.map(
              file.write(end, [encodeChunkHead(chunk.length, chunk), chunk]),
              () => void (end += chunkHeadBytes + chunk.length)
            )
          }).pipe(Effect.mapError(toStateError)),
        commit: Effect.uninterruptible(Effect.mapError(commit, toStateError))
      } satisfies SnapshotStore.SnapshotDraft
    })

    return SnapshotStore.SnapshotStore.of({ stored, draft: Effect.mapError(draft, toStateError) })
  })

export const layer = (
  options: Options
): Layer.Layer<SnapshotStore.SnapshotStore, StateMachine.StateMachineError, Disk> =>
  Layer.effect(SnapshotStore.SnapshotStore, make(options))

/**
 * Removes drafts that a crash left. And a process may have ended between renaming a draft and syncing the directory: whoever reads the snapshot from here
 * on may forget what it covers, so it has to be there to stay.
 */
const prepare = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  yield* disk.makeDirectory(directory)
  yield* disk.lock(`${directory}/LOCK`)
  for (const name of yield* disk.list(directory)) {
    if (name.startsWith(`${fileName}.`) && name.endsWith(temporarySuffix)) yield* disk.unlink(`${directory}/${name}`)
  }
  yield* disk.syncDirectory(directory)
})

const close = (file: File): Effect.Effect<void> => Effect.ignore(file.close)

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const encodeFileHead = (): Uint8Array => {
  const bytes = new Uint8Array(fileHeadBytes)
  const view = viewOf(bytes)
  view.setUint32(0, magic)
  view.setUint32(4, formatVersion)
  view.setUint32(8, crc32c(bytes, 0, 8))
  return bytes
}

const encodeChunkHead = (length: number, chunk: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(chunkHeadBytes)
  const view = viewOf(bytes)
  view.setUint32(0, length)
  view.setUint32(4, crc32c(chunk, 0, chunk.length, crc32c(bytes, 0, 4)))
  return bytes
}

const readFileHead = Effect.fnUntraced(function*(file: File) {
  const bytes = yield* Effect.mapError(file.read(0, fileHeadBytes), toStateError)
  if (bytes.length < fileHeadBytes) return yield* corrupt(file, 0, "the file is cut short")
  const view = viewOf(bytes)
  if (view.getUint32(0) !== magic || crc32c(bytes, 0, 8) !== view.getUint32(8)) {
    return yield* corrupt(file, 0, "the head is damaged, or no snapshot's")
  }
  const version = view.getUint32(4)
  if (version !== formatVersion) {
    return yield* foreign(`${file.path} has format version ${version}, this program knows ${formatVersion}`)
  }
})

const readerOf = (file: File): SnapshotStore.StoredSnapshot["read"] =>
  Effect.fnUntraced(function*(position: number) {
    const offset = fileHeadBytes + position
    const head = yield* Effect.mapError(file.read(offset, chunkHeadBytes), toStateError)
    if (head.length < chunkHeadBytes) return yield* corrupt(file, offset, "the file is cut short")
    const length = viewOf(head).getUint32(0)
    const checksum = viewOf(head).getUint32(4)
    if (length !== endMark && length > Limits.snapshotBlockBytesMax) {
      return yield* corrupt(file, offset, "a chunk's length is damaged")
    }
    const wanted = length === endMark ? 0 : length
    const data = yield* Effect.mapError(file.read(offset + chunkHeadBytes, wanted), toStateError)
    if (data.length < wanted) return yield* corrupt(file, offset, "the file is cut short")
    if (crc32c(data, 0, data.length, crc32c(head, 0, 4)) !== checksum) {
      return yield* corrupt(file, offset, "a chunk is damaged")
    }
    return length === endMark ? Option.none() : Option.some({ data, next: position + chunkHeadBytes + length })
  })

const corrupt = (file: File, offset: number, what: string): StateMachine.StateMachineError =>
  new StateMachine.StateMachineError({
    reason: "Corrupt",
    message: `${file.path} at ${offset}: ${what}; it was once synced and has been damaged since`
  })

const foreign = (message: string): StateMachine.StateMachineError =>
  new StateMachine.StateMachineError({ reason: "Foreign", message })

const toStateError = (error: DiskError): StateMachine.StateMachineError =>
  new StateMachine.StateMachineError({
    reason: error.reason === "Full" || error.reason === "Locked" ? error.reason : "Io",
    message: error.message,
    cause: error
  })
