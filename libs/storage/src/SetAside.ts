/**
 * Putting damaged parts of a data directory where nobody uses them and a person may still look at them: `damaged/`, by the id of the member whose they were.
 * What an earlier damage left there goes. Any part of this may be repeated after a crash: what has moved already stays.
 */
import { Effect } from "effect"
import { Disk, type DiskError } from "./Disk.ts"

export const directoryName = "damaged"

/**
 * Moves the files and directories `names` of `directory` to `damaged/<owner>/`, durably. A name that is not there is left out. Nobody may have them open. `owner` is never
 * the same for two damages.
 */
export const move = Effect.fnUntraced(function*(
  directory: string,
  owner: string,
  names: ReadonlyArray<string>
): Effect.fn.Return<void, DiskError, Disk> {
  const disk = yield* Disk
  const aside = `${directory}/${directoryName}`
  const target = `${aside}/${owner}`
  yield* disk.makeDirectory(target)
  for (const name of yield* disk.list(aside)) if (name !== owner) yield* disk.remove(`${aside}/${name}`)
  const present = yield* disk.list(directory)
  for (const name of names) if (present.includes(name)) yield* disk.rename(`${directory}/${name}`, `${target}/${name}`)
  yield* Effect.forEach([target, aside, directory], disk.syncDirectory, { discard: true })
})
