/**
 * `LogStore` in memory. The medium outlives the layer, so that a member can be stopped and started again. Everything is durable at once; a log that
 * loses what was not synced is `SegmentLog` over `MemoryDisk`.
 */
import { type Entry, EntryKind, LogStore } from "@dkv/raft"
import { Effect, Layer } from "effect"
import { LogShape } from "./LogShape.ts"

/** What survives a restart. Mutable; used by one layer at a time. */
export interface Medium {
  readonly shape: LogShape
  /** `entries[n]` has the index `shape.previousIndex + 1 + n`. */
  entries: Array<Entry.Entry>
}

export const makeMedium = (): Medium => ({ shape: new LogShape(), entries: [] })

const apply = (medium: Medium, write: LogStore.LogWrite): string | undefined => {
  const { shape } = medium
  switch (write._tag) {
    case "Append":
      for (const entry of write.entries) {
        const broken = shape.append(entry.index, entry.term)
        if (broken !== undefined) return broken
        medium.entries.length = Math.min(medium.entries.length, entry.index - shape.previousIndex - 1)
        medium.entries.push(entry)
      }
      return undefined
    case "HardState":
      return shape.setHardState(write.hardState)
    case "Reset":
      medium.entries = []
      return shape.reset(write.index, write.term)
  }
}

export const makeOf = (medium: Medium): LogStore.LogStore["Service"] => {
  const { shape } = medium
  return LogStore.LogStore.of({
    recovered: {
      hardState: shape.hardState,
      previousIndex: shape.previousIndex,
      previousTerm: shape.previousTerm,
      lastIndex: shape.lastIndex,
      termRuns: shape.runs.slice(),
      configurations: medium.entries.filter((entry) => entry.kind === EntryKind.Configuration)
    },
    write: (writes) =>
      Effect.suspend(() => {
        for (const write of writes) {
          const broken = apply(medium, write)
          if (broken !== undefined) return Effect.die(new Error(`a write breaks a rule of the log: ${broken}`))
        }
        return Effect.void
      }),
    read: (from, to, bytesMax) =>
      Effect.sync(() => {
        const entries: Array<Entry.Entry> = []
        if (from <= shape.previousIndex) return entries
        let bytes = 0
        for (let index = from; index <= Math.min(to, shape.lastIndex); index++) {
          const entry = medium.entries[index - shape.previousIndex - 1]!
          bytes += entry.bytes
          if (bytes > bytesMax && index > from) break
          entries.push(entry)
        }
        return entries
      }),
    compact: (index) =>
      Effect.sync(() => {
        const start = Math.min(index, shape.lastIndex)
        if (start > shape.previousIndex) {
          medium.entries.splice(0, start - shape.previousIndex)
          shape.compact(start, shape.termAt(start))
        }
        return { previousIndex: shape.previousIndex, previousTerm: shape.previousTerm }
      }),
    sizeBytes: Effect.sync(() => medium.entries.reduce((bytes, entry) => bytes + entry.bytes, 0))
  })
}

/** A log on this medium. */
export const layerOf = (medium: Medium): Layer.Layer<LogStore.LogStore> =>
  Layer.sync(LogStore.LogStore, () => makeOf(medium))

/** A log that is gone with the layer. */
export const layer: Layer.Layer<LogStore.LogStore> = Layer.sync(LogStore.LogStore, () => makeOf(makeMedium()))
