/**
 * Mends a damaged log where what is missing can be proven: because the state has it already, or because another member has it committed and agrees with this one on
 * the terms on both sides of the gap. By the log matching property (Raft paper, §5.3) those are then the entries that stood there.
 *
 * The mended log is written beside the damaged one, synced, and takes its name; a crash at any point leaves the one or the other, and `settle` finishes what was decided.
 */
import { type Entry, LogStore } from "@dkv/raft"
import { Effect, Option } from "effect"
import { Disk, parentOf } from "./Disk.ts"
import * as Limits from "./Limits.ts"
import { toLogError } from "./LogRecovery.ts"
import * as LogSalvage from "./LogSalvage.ts"
import type { Gap, Position, Salvage } from "./LogSalvage.ts"
import * as SegmentLog from "./SegmentLog.ts"

export type { Position } from "./LogSalvage.ts"

/** Where the missing entries may come from. */
export interface Sources<E, R> {
  /** How far the state has come, durably. */
  readonly applied: Effect.Effect<Option.Option<Position>, E, R>
  /**
   * The entries from `before` to `behind`, both inclusive and committed, from a member whose terms there are the same; where `before` is position 0, from 1 on. None if nobody has
   * them.
   */
  readonly entries: (
    before: Position,
    behind: Position
  ) => Effect.Effect<Option.Option<ReadonlyArray<Entry.Entry>>, E, R>
}

export type Outcome =
  | { readonly _tag: "Mended"; readonly how: string }
  /** Nothing was changed. */
  | { readonly _tag: "Beyond"; readonly why: string }

const mended = (how: string): Outcome => ({ _tag: "Mended", how })
const beyond = (why: string): Outcome => ({ _tag: "Beyond", why })

const draftOf = (directory: string): string => `${directory}.draft`
const mendedOf = (directory: string): string => `${directory}.mended`

/** Completes a repair that a crash has cut off behind its decision, and removes one that was cut off before it. To be run before the log is opened. */
export const settle = Effect.fnUntraced(function*(directory: string) {
  const disk = yield* Disk
  const parent = parentOf(directory)
  const names = yield* Effect.catchIf(
    disk.list(parent),
    (error) => error.reason === "NotFound",
    () => Effect.succeed<ReadonlyArray<string>>([])
  )
  const has = (path: string) => names.includes(path.slice(path.lastIndexOf("/") + 1))
  if (has(draftOf(directory))) yield* disk.remove(draftOf(directory))
  if (!has(mendedOf(directory))) return
  yield* disk.remove(directory)
  yield* disk.rename(mendedOf(directory), directory)
  yield* disk.syncDirectory(parent)
}, Effect.mapError(toLogError))

/** Mends the log in `directory`, which nobody has open. */
export const repair = Effect.fnUntraced(
  function*<E, R>(options: Pick<SegmentLog.Options, "directory" | "segmentBytes">, sources: Sources<E, R>) {
    const { directory } = options
    const disk = yield* Disk
    yield* settle(directory)
    const outcome = yield* Effect.scoped(Effect.gen(function*() {
      yield* Effect.mapError(
        Effect.andThen(disk.makeDirectory(directory), disk.lock(`${directory}/LOCK`)),
        toLogError
      )
      const salvage = yield* LogSalvage.read(directory)
      if (typeof salvage === "string") return beyond(salvage)
      const lastGap = salvage.gaps.at(-1)
      if (lastGap === undefined && salvage.doubtful.length === 0) {
        return yield* rewrite(options, salvage, salvage.start, [])
      }
      const applied = yield* sources.applied
      if (
        lastGap !== undefined && salvage.doubtful.length === 0 && Option.isSome(applied) &&
        covers(salvage, applied.value, lastGap)
      ) {
        return yield* rewrite(options, salvage, lastGap.behind, [])
      }
      const found: Array<ReadonlyArray<Entry.Entry>> = []
      for (const { before, behind } of salvage.gaps) {
        const entries = yield* sources.entries(before, behind)
        if (Option.isNone(entries) || !fits(entries.value, before, behind)) {
          return beyond(`nobody has entries ${before.index + 1} to ${behind.index} as this member had them`)
        }
        found.push(entries.value)
      }
      if (!(yield* keepsHardState(salvage, found))) return beyond("a term or vote may have stood where the damage is")
      return yield* rewrite(options, salvage, salvage.start, found)
    }))
    if (outcome._tag === "Mended") yield* settle(directory)
    return outcome
  }
)

/** Whether the state makes up for everything before the end of the last gap. */
const covers = (salvage: Salvage, applied: Position, { behind }: Gap): boolean =>
  behind.index <= applied.index && (applied.index > salvage.lastIndex || salvage.termAt(applied.index) === applied.term)

/** Whether these are the entries from `before` to `behind`, with the terms that they must have. */
const fits = (entries: ReadonlyArray<Entry.Entry>, before: Position, behind: Position): boolean => {
  const first = Math.max(before.index, 1)
  if (entries.length !== behind.index - first + 1) return false
  return entries.every(({ index }, at) => index === first + at) && entries.at(-1)!.term === behind.term &&
    (before.index === 0 || entries[0]!.term === before.term)
}

/** Whether every doubtful hole had only what was found for it. */
const keepsHardState = Effect.fnUntraced(function*(
  { doubtful, gaps }: Salvage,
  found: ReadonlyArray<ReadonlyArray<Entry.Entry>>
) {
  let explained = 0
  for (const [at, { before, holes }] of gaps.entries()) {
    if (!holes.some((hole) => doubtful.includes(hole))) continue
    let missing = found[at]!.filter(({ index }) => index > before.index)
    for (const hole of holes) {
      const count = doubtful.includes(hole) ? yield* LogSalvage.explain(hole, missing) : undefined
      if (count === undefined) return false
      missing = missing.slice(count)
      explained++
    }
  }
  return explained === doubtful.length
})

/** Writes the log from `start` on, what was found in its place, and lets it take the name of the damaged one with the next `settle`. */
const rewrite = Effect.fnUntraced(function*(
  options: Pick<SegmentLog.Options, "directory" | "segmentBytes">,
  salvage: Salvage,
  start: Position,
  found: ReadonlyArray<ReadonlyArray<Entry.Entry>>
): Effect.fn.Return<Outcome, LogStore.LogStoreError, Disk> {
  const disk = yield* Disk
  const draft = draftOf(options.directory)
  yield* Effect.scoped(Effect.gen(function*() {
    const log = yield* SegmentLog.make({ ...options, directory: draft })
    yield* log.write([
      { _tag: "HardState", hardState: salvage.hardState },
      ...start.index === 0 ? [] : [{ _tag: "Reset" as const, ...start }]
    ])
    let next = start.index + 1
    while (next <= salvage.lastIndex) {
      const gap = salvage.gaps.findIndex(({ before, behind }) => before.index < next && next <= behind.index)
      const entries = gap < 0
        ? yield* salvage.read(next, Limits.readBytes)
        : found[gap]!.filter(({ index }) => index >= next)
      if (entries[0]?.index !== next) {
        return yield* new LogStore.LogStoreError({
          reason: "Corrupt",
          message: `entry ${next} is neither intact nor missing: rebuild the member from the others`,
          file: options.directory
        })
      }
      yield* log.write([{ _tag: "Append", entries }])
      next += entries.length
    }
  }))
  yield* Effect.mapError(
    Effect.gen(function*() {
      yield* disk.rename(draft, mendedOf(options.directory))
      yield* disk.syncDirectory(parentOf(options.directory))
    }),
    toLogError
  )
  const filled = found.reduce((sum, entries) => sum + entries.length, 0)
  return mended(
    start.index > salvage.start.index
      ? `the log begins behind entry ${start.index} now: the state has what was damaged`
      : filled > 0
      ? `what was damaged of ${
        salvage.gaps.map(({ before, behind }) => `${before.index + 1} to ${behind.index}`).join(", ")
      } came from the others`
      : "every entry of the log could be read"
  )
})
