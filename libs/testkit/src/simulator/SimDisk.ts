/**
 * A member's disk: it forgets, tears, hangs, fills up and refuses as told, its bytes rot, and a write may land in a wrong place.
 *
 * What a log can promise about damage ends at its last write: a later one tells that everything before it was synced, so damage there is noticed, while damage to the
 * last one looks like a write that a crash cut short. A member that stops with damage of that kind must count as one that lost its disk (`hidesDamage`).
 *
 * Source: TigerBeetle's `testing/storage.zig` (faults are placed where they can be survived); Alagappan et al., "Protocol-Aware Recovery", FAST 2018.
 */
import { Disk, MemoryDisk } from "@dkv/storage"
import { Effect, Exit, Layer } from "effect"
import type { Prng } from "./Prng.ts"

/** Called when something comes of a fault for the first time. */
type Hit = () => void

const nobody: Hit = () => {}

interface Place {
  readonly path: string
  readonly offset: number
}

interface Write {
  readonly path: string
  readonly from: number
  readonly to: number
  isDamaged: boolean
}

/** What may fail besides syncs: whoever uses the disk has to stop. */
export const failures = ["open", "read", "write", "truncate", "rename", "unlink", "syncDirectory"] as const

const covers = ({ from, path, to }: Write, place: Place): boolean =>
  place.path === path && from <= place.offset && place.offset < to

export class SimDisk {
  readonly layer: Layer.Layer<Disk.Disk>
  private readonly disk: Disk.Disk["Service"]
  private readonly memory: MemoryDisk.MemoryDisk["Service"]
  readonly directory: string
  private readonly usualMillis: number
  /** Of the syncs that may be under way. */
  private slowestMillis = 0
  /** When it became slow last. */
  slowedAt = -Infinity
  /** The last durable write, and the one under way. */
  private last: Write | undefined
  private underWay: Write | undefined
  /** Where the next write into the directory goes instead. */
  private astray: Place & { readonly hit: Hit } | undefined
  private isHiding = false
  private isFull = false
  private isDamaged = false
  /** Reasons of errors that were made to happen since the last start. */
  private readonly errors = new Set<string>()
  /** Faults that are there, and have not come to anything yet. */
  private readonly armed = new Map<MemoryDisk.Struck, Hit>()
  /** Crashes that left a write in part. */
  tornWrites = 0

  /** `directory` is where damage strikes; a sync takes `syncMillis`. */
  constructor(directory: string, syncMillis: number) {
    const { disk, memory } = Effect.runSync(MemoryDisk.make)
    this.disk = disk
    this.memory = memory
    this.directory = directory
    this.usualMillis = syncMillis
    memory.setDelay(syncMillis)
    memory.onFault((struck) => {
      if (struck === "torn") this.tornWrites++
      const hit = this.armed.get(struck)
      this.armed.delete(struck)
      hit?.()
    })
    this.layer = Layer.succeed(Disk.Disk, {
      ...disk,
      open: (path, options) =>
        path.startsWith(`${directory}/`)
          ? Effect.map(disk.open(path, options), (file) => this.observed(file, options.durableWrites === true))
          : disk.open(path, options)
    })
  }

  /** Whether an error of this reason is what was done to the disk: since its last start, or damage, which stays. */
  accountsFor(reason: string): boolean {
    return this.errors.has(reason) || (reason === "Full" && this.isFull) || (reason === "Corrupt" && this.isDamaged)
  }

  /** Whether the disk holds damage that nobody could notice after a restart. */
  get hidesDamage(): boolean {
    return this.isHiding
  }

  /** The machine has stopped: what was not synced is there or not. */
  get crash(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.memory.crash()
      return Effect.andThen(this.memory.restart, this.settled)
    })
  }

  /** Only the process has stopped. */
  get kill(): Effect.Effect<void> {
    return Effect.andThen(this.memory.restartProcess, this.settled)
  }

  /** From now on each sync takes so long; those under way take what they take. */
  slow(millis: number, now: number, hit: Hit = nobody): void {
    this.slowedAt = now
    this.armed.set("delay", hit)
    this.takes(millis)
  }

  /** Something takes longer than it should. */
  get isSlow(): boolean {
    return this.slowestMillis > this.usualMillis
  }

  private takes(millis: number): void {
    this.slowestMillis = Math.max(this.slowestMillis, millis)
    this.memory.setDelay(millis)
  }

  /** Syncs take as long as before. True if one that is under way may hang on. */
  speedUp(): boolean {
    const hangs = this.slowestMillis > 1000
    this.armed.delete("delay")
    this.slowestMillis = 0
    this.takes(this.usualMillis)
    return hangs
  }

  /** The next one of these fails. */
  fail(operation: MemoryDisk.Operation, hit: Hit = nobody): void {
    this.errors.add("Io")
    this.armed.set(operation, hit)
    this.memory.fail(operation)
  }

  /** There is room for so many bytes, and then for no more. */
  fill(roomBytes: number, hit: Hit = nobody): void {
    this.armed.set("full", hit)
    const used = this.files("").reduce((sum, path) => sum + this.memory.content(path).length, 0)
    this.isFull = true
    this.memory.setCapacity(used + roomBytes)
  }

  /** All that is in a directory and those below it. */
  private files(directory: string): ReadonlyArray<string> {
    return Effect.runSync(this.disk.list(directory === "" ? "/" : directory)).flatMap((name) => {
      const path = `${directory}/${name}`
      const isDirectory = Exit.isSuccess(Effect.runSyncExit(this.disk.list(path)))
      return isDirectory ? this.files(path) : [path]
    })
  }

  free(): void {
    this.armed.delete("full")
    if (this.isFull) this.errors.add("Full")
    this.isFull = false
    this.memory.setCapacity(Infinity)
  }

  /** No fault is left to come. */
  heal(): void {
    for (const operation of ["sync", ...failures] as const) {
      this.armed.delete(operation)
      this.memory.fail(operation, 0)
    }
    this.free()
  }

  /** A bit changes somewhere. False if there is nothing to change. */
  rot(prng: Prng): boolean {
    const place = this.somewhere(prng)
    if (place === undefined) return false
    const { offset, path } = place
    this.memory.rot(path, offset, 1 << prng.below(8))
    this.isDamaged = true
    const { last, underWay } = this
    if (underWay !== undefined && covers(underWay, place)) underWay.isDamaged = true
    if (last !== undefined && covers(last, place)) this.isHiding = true
    return true
  }

  /** The next write into the directory lands somewhere else in it, over what stands there by then. False if there is no such place. */
  misdirect(prng: Prng, hit: Hit = nobody): boolean {
    const place = this.somewhere(prng)
    if (place === undefined) return false
    this.astray = { ...place, hit }
    return true
  }

  /** A place at which something was written. */
  private somewhere(prng: Prng): Place | undefined {
    for (const path of prng.shuffled(this.paths)) {
      const end = this.memory.content(path).findLastIndex((byte) => byte !== 0) + 1
      if (end > 0) return { path, offset: prng.below(end) }
    }
    return undefined
  }

  private get paths(): ReadonlyArray<string> {
    return Effect.runSync(this.disk.list(this.directory)).map((name) => `${this.directory}/${name}`)
  }

  private get settled(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.astray = undefined
      this.errors.clear()
      for (const operation of ["sync", ...failures] as const) this.armed.delete(operation)
      this.speedUp()
    })
  }

  private observed(file: Disk.File, isDurable: boolean): Disk.File {
    return {
      ...file,
      write: (position, chunks) =>
        Effect.suspend(() => {
          const { astray } = this
          this.astray = undefined
          const strays = astray !== undefined && this.paths.includes(astray.path)
          if (strays) {
            this.memory.misdirect(astray.path, astray.offset)
            this.isDamaged = true
            this.isHiding = true
            astray.hit()
          }
          const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
          const write: Write = { path: file.path, from: position, to: position + bytes, isDamaged: strays }
          this.underWay = write
          return Effect.map(file.write(position, chunks), () => {
            if (!isDurable) return
            this.isHiding = write.isDamaged
            this.last = write
          })
        })
    }
  }
}
