/**
 * `Disk` in memory, with a model of what a crash of the machine may do, and faults on demand. It is deterministic under a seeded `Random`.
 *
 * The model: what was not synced is there or not, sector by sector, a file's length included; of the unsynced entries of a directory
 * a prefix survives; after a failed sync the pages count as clean although they never reached the medium (Rebello et al., "Can
 * Applications Recover from fsync Failures?", ATC 2020).
 */
import { Context, Effect, Layer, Random } from "effect"
import { Disk, DiskError, type File, type OpenOptions, parentOf } from "./Disk.ts"
import { type Content, crashContent, emptyContent, overwrite, resized, syncContent } from "./MemoryDiskContent.ts"

/** What can be made to fail. */
export type Operation = "open" | "read" | "write" | "sync" | "truncate" | "rename" | "unlink" | "syncDirectory"

/** What came of a fault: an operation failed, took its time, ran out of space, or a crash left a write in part. */
export type Struck = Operation | "delay" | "full" | "torn"

interface EntryChange {
  readonly directory: string
  readonly apply: (entries: Map<string, Content>) => void
  /** Takes back what the change has done to the directories themselves. */
  readonly undo?: () => void
}

/** The medium under the layer and the hands that break it. It outlives the layer, as a disk outlives a process. */
export class MemoryDisk extends Context.Service<MemoryDisk, {
  /** What happens at the next calls of an operation: it fails with `Io` this many times. */
  readonly fail: (operation: Operation, times?: number) => void
  /** Space for all files together, in bytes; writes beyond it are carried out in part and fail with `Full`. */
  readonly setCapacity: (bytes: number) => void
  /** Time that each durable write, sync and read takes. */
  readonly setDelay: (millis: number) => void
  /** Inverts the bits of `mask` in one byte of a file, on the medium. */
  readonly rot: (path: string, offset: number, mask: number) => void
  /** The next write lands at `offset` of the file at `path`, as far as that file is long; where it was meant to go, the old bytes stay. */
  readonly misdirect: (path: string, offset: number) => void
  /** Tells each fault when something comes of it. */
  readonly onFault: (listener: (struck: Struck) => void) => void
  /** Number of steps so far at which a crash makes a difference. */
  readonly steps: () => number
  /** The machine stops at this step: it is carried out in part, and everything after it fails until `restart`. */
  readonly crashAt: (step: number) => void
  /** The machine stops now. */
  readonly crash: () => void
  /** Rolls the dice over everything unsynced, forgets open files and locks, and lets the machine run again. */
  readonly restart: Effect.Effect<void>
  /** Only the process has stopped: forgets open files and locks, and keeps what was written, synced or not. */
  readonly restartProcess: Effect.Effect<void>
  /** Counts of operations that were carried out. */
  readonly counts: Readonly<Record<Operation, number>>
  /** A copy of a file's present content. */
  readonly content: (path: string) => Uint8Array
  /** Replaces a file, durably. */
  readonly put: (path: string, bytes: Uint8Array) => void
}>()("@dkv/storage/MemoryDisk") {}

/** A disk of its own: the service, and the hands that break it. */
export const make = Effect.sync((): { readonly disk: Disk["Service"]; readonly memory: MemoryDisk["Service"] } => {
  let entries = new Map<string, Content>()
  let durableEntries = new Map<string, Content>()
  let pending: Array<EntryChange> = []
  let locks = new Set<string>()
  const directories = new Set<string>(["/", "."])
  const failures = new Map<Operation, number>()
  const counts = { open: 0, read: 0, write: 0, sync: 0, truncate: 0, rename: 0, unlink: 0, syncDirectory: 0 }
  let tell: (struck: Struck) => void = () => {}
  let misdirection: { readonly content: Content; readonly offset: number } | undefined
  let capacityBytes = Infinity
  let delayMillis = 0
  let step = 0
  let crashStep = Infinity
  let crashed = false
  /** Files opened before a crash are dead after it. */
  let boot = 0

  const fault = (reason: DiskError["reason"], path: string, message: string) =>
    new DiskError({ reason, path, message: `${message}: ${path}` })

  /** Counts a step; true if the machine stops here. */
  const stops = (): boolean => {
    if (++step < crashStep) return false
    crashed = true
    return true
  }

  const guard = (operation: Operation, path: string): DiskError | undefined => {
    if (crashed) return fault("Io", path, "the machine has stopped")
    counts[operation]++
    const left = failures.get(operation) ?? 0
    if (left === 0) return undefined
    failures.set(operation, left - 1)
    tell(operation)
    return fault("Io", path, `${operation} failed by order`)
  }

  const attempt = <A>(body: () => A | DiskError): Effect.Effect<A, DiskError> =>
    Effect.suspend(() => {
      const result = body()
      return result instanceof DiskError ? Effect.fail(result) : Effect.succeed(result)
    })

  const later = <A>(effect: Effect.Effect<A, DiskError>): Effect.Effect<A, DiskError> =>
    Effect.suspend(() => {
      if (delayMillis === 0) return effect
      tell("delay")
      return Effect.andThen(Effect.sleep(delayMillis), effect)
    })

  const usedBytes = (): number => {
    let used = 0
    for (const content of entries.values()) used += content.size
    return used
  }

  const change = (entryChange: EntryChange): void => {
    entryChange.apply(entries)
    pending.push(entryChange)
  }

  const makeFile = (path: string, content: Content, options: OpenOptions): File => {
    const openedAt = boot
    let closed = false
    const dead = (): DiskError | undefined =>
      crashed || boot !== openedAt ?
        fault("Io", path, "the machine has stopped") :
        closed
        ? fault("Io", path, "the file is closed")
        : undefined

    const put = (position: number, chunks: ReadonlyArray<Uint8Array>): DiskError | undefined => {
      const failure = dead() ?? guard("write", path)
      if (failure) return failure
      let at = position
      const elsewhere = misdirection
      misdirection = undefined
      for (const chunk of chunks) {
        const room = capacityBytes - usedBytes() + Math.max(0, content.size - at)
        const part = chunk.length <= room ? chunk : chunk.subarray(0, Math.max(0, room))
        content.bytes = resized(content.bytes, at + part.length)
        if (elsewhere === undefined) content.bytes.set(part, at)
        else overwrite(elsewhere.content, elsewhere.offset + at - position, part)
        content.dirty.push([at, at + part.length])
        content.size = Math.max(content.size, at + part.length)
        at += part.length
        if (part.length === chunk.length) continue
        tell("full")
        return fault("Full", path, "no space left")
      }
      return stops() ? fault("Io", path, "the machine has stopped") : undefined
    }

    const syncRange = (from: number, to: number): DiskError | undefined => {
      const failure = dead() ?? guard("sync", path)
      if (failure) {
        if (!crashed) content.dirty = []
        return failure
      }
      syncContent(content, from, to)
      return stops() ? fault("Io", path, "the machine has stopped") : undefined
    }

    return {
      path,
      size: attempt(() => dead() ?? content.size),
      read: (position, length) =>
        later(
          attempt(() =>
            dead() ?? guard("read", path) ??
              content.bytes.slice(position, Math.max(position, Math.min(position + length, content.size)))
          )
        ),
      write: (position, chunks) =>
        Effect.uninterruptible(
          options.durableWrites === true
            ? Effect.andThen(
              attempt(() => put(position, chunks)),
              later(
                attempt(() => syncRange(position, position + chunks.reduce((bytes, chunk) => bytes + chunk.length, 0)))
              )
            )
            : attempt(() => put(position, chunks))
        ),
      truncate: (length) =>
        attempt(() => {
          const failure = dead() ?? guard("truncate", path)
          if (failure) return failure
          content.bytes = resized(content.bytes, length)
          if (length < content.size) {
            content.bytes.fill(0, length)
            content.dirty.push([length, content.size])
          }
          content.size = length
          return stops() ? fault("Io", path, "the machine has stopped") : undefined
        }),
      sync: later(attempt(() => syncRange(0, Infinity))),
      close: attempt(() => {
        const failure = closed ? dead() : undefined
        closed = true
        return failure
      })
    }
  }

  const renameDirectory = (from: string, to: string): void => {
    const moved = [...directories].filter((directory) => isWithin(directory, from))
    const exchange = (left: string, right: string) => {
      for (const directory of moved) directories.delete(left + directory.slice(from.length))
      for (const directory of moved) directories.add(right + directory.slice(from.length))
    }
    exchange(from, to)
    change({
      directory: parentOf(from),
      apply: (map) => {
        for (const [path, content] of [...map]) {
          if (!isWithin(path, from)) continue
          map.delete(path)
          map.set(to + path.slice(from.length), content)
        }
      },
      undo: () => exchange(to, from)
    })
  }

  const disk = Disk.of({
    open: (path, options) =>
      attempt(() => {
        const failure = guard("open", path)
        if (failure) return failure
        const found = entries.get(path)
        const create = options.create ?? "never"
        if (found && create === "new") return fault("Exists", path, "file exists")
        if (found) return makeFile(path, found, options)
        if (create === "never") return fault("NotFound", path, "no such file")
        if (!directories.has(parentOf(path))) return fault("NotFound", path, "no such directory")
        const content = emptyContent()
        change({ directory: parentOf(path), apply: (map) => map.set(path, content) })
        return stops() ? fault("Io", path, "the machine has stopped") : makeFile(path, content, options)
      }),
    rename: (from, to) =>
      attempt(() => {
        const failure = guard("rename", from)
        if (failure) return failure
        const content = entries.get(from)
        if (!content && !directories.has(from)) return fault("NotFound", from, "no such file")
        if (content) {
          change({
            directory: parentOf(from),
            apply: (map) => void (map.delete(from), map.set(to, content))
          })
        } else if (directories.has(to) || entries.has(to)) return fault("Exists", to, "something is there")
        else renameDirectory(from, to)
        return stops() ? fault("Io", from, "the machine has stopped") : undefined
      }),
    remove: (path) =>
      attempt(() => {
        const failure = guard("unlink", path)
        if (failure) return failure
        const removed = [...entries].filter(([file]) => isWithin(file, path))
        // By content: what has taken the name since is another file.
        const forget = (map: Map<string, Content>, [file, content]: readonly [string, Content]) => {
          if (map.get(file) === content) map.delete(file)
        }
        for (const one of removed) {
          change({ directory: parentOf(one[0]), apply: (map) => forget(map, one) })
          if (stops()) return fault("Io", path, "the machine has stopped")
        }
        const gone = [...directories].filter((directory) => isWithin(directory, path))
        if (gone.length === 0) return undefined
        for (const directory of gone) directories.delete(directory)
        const undo = () => gone.forEach((directory) => directories.add(directory))
        const apply = (map: Map<string, Content>) => removed.forEach((one) => forget(map, one))
        change({ directory: parentOf(path), apply, undo })
        return stops() ? fault("Io", path, "the machine has stopped") : undefined
      }),
    unlink: (path) =>
      attempt(() => {
        const failure = guard("unlink", path)
        if (failure) return failure
        if (!entries.has(path)) return fault("NotFound", path, "no such file")
        change({ directory: parentOf(path), apply: (map) => map.delete(path) })
        return stops() ? fault("Io", path, "the machine has stopped") : undefined
      }),
    list: (directory) =>
      attempt(() => {
        if (crashed) return fault("Io", directory, "the machine has stopped")
        if (!directories.has(directory)) return fault("NotFound", directory, "no such directory")
        const names = new Set<string>()
        const prefix = directory === "/" ? "/" : `${directory}/`
        for (const path of [...entries.keys(), ...directories]) {
          if (path !== directory && path.startsWith(prefix)) names.add(path.slice(prefix.length).split("/")[0]!)
        }
        return [...names].sort()
      }),
    makeDirectory: (directory) =>
      attempt(() => {
        if (crashed) return fault("Io", directory, "the machine has stopped")
        for (let path = directory; !directories.has(path); path = parentOf(path)) directories.add(path)
      }),
    syncDirectory: (directory) =>
      attempt(() => {
        const failure = guard("syncDirectory", directory)
        if (failure) return failure
        if (!directories.has(directory)) return fault("NotFound", directory, "no such directory")
        pending = pending.filter((entryChange) => {
          if (entryChange.directory !== directory) return true
          entryChange.apply(durableEntries)
          return false
        })
        return stops() ? fault("Io", directory, "the machine has stopped") : undefined
      }),
    lock: (path) =>
      Effect.asVoid(Effect.acquireRelease(
        attempt(() => {
          if (crashed) return fault("Io", path, "the machine has stopped")
          if (locks.has(path)) return fault("Locked", path, "in use by process 0")
          const content = emptyContent()
          if (!entries.has(path)) change({ directory: parentOf(path), apply: (map) => map.set(path, content) })
          locks.add(path)
          return boot
        }),
        (takenAt) => Effect.sync(() => takenAt === boot && locks.delete(path))
      ))
  })

  const runAgain = (): void => {
    locks = new Set()
    failures.clear()
    boot++
    crashed = false
    misdirection = undefined
    crashStep = Infinity
    step = 0
  }

  const restart = Effect.gen(function*() {
    const kept = new Map<string, number>()
    for (const { directory } of pending) kept.set(directory, (kept.get(directory) ?? 0) + 1)
    for (const [directory, changes] of kept) kept.set(directory, yield* Random.nextIntBetween(0, changes))
    for (const entryChange of pending) {
      const left = kept.get(entryChange.directory) ?? 0
      if (left > 0) entryChange.apply(durableEntries)
      else entryChange.undo?.()
      kept.set(entryChange.directory, left - 1)
    }
    for (const content of new Set(durableEntries.values())) {
      if (yield* crashContent(content)) tell("torn")
    }
    for (const path of durableEntries.keys()) {
      for (let directory = parentOf(path); !directories.has(directory); directory = parentOf(directory)) {
        directories.add(directory)
      }
    }
    entries = new Map(durableEntries)
    durableEntries = new Map(durableEntries)
    pending = []
    runAgain()
  })

  const contentOf = (path: string): Content => {
    const content = entries.get(path)
    if (!content) throw new Error(`no such file: ${path}`)
    return content
  }

  const memory = MemoryDisk.of({
    fail: (operation, times = 1) => void failures.set(operation, times),
    setCapacity: (bytes) => void (capacityBytes = bytes),
    setDelay: (millis) => void (delayMillis = millis),
    rot: (path, offset, mask) => {
      const content = contentOf(path)
      for (const bytes of [content.bytes, content.durableBytes]) bytes[offset] = bytes[offset]! ^ mask
    },
    misdirect: (path, offset) => void (misdirection = { content: contentOf(path), offset }),
    onFault: (listener) => void (tell = listener),
    steps: () => step,
    crashAt: (at) => void (crashStep = at),
    crash: () => void (crashed = true),
    restart,
    restartProcess: Effect.sync(runAgain),
    counts,
    content: (path) => contentOf(path).bytes.slice(0, contentOf(path).size),
    put: (path, bytes) => {
      const content = {
        bytes: bytes.slice(),
        size: bytes.length,
        durableBytes: bytes.slice(),
        durableSize: bytes.length,
        dirty: []
      }
      entries.set(path, content)
      durableEntries.set(path, content)
    }
  })
  return { disk, memory }
})

const isWithin = (path: string, directory: string): boolean => path === directory || path.startsWith(`${directory}/`)

export const layer: Layer.Layer<Disk | MemoryDisk> = Layer.effectContext(
  Effect.map(make, ({ disk, memory }) => Context.make(Disk, disk).pipe(Context.add(MemoryDisk, memory)))
)
