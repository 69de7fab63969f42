/**
 * What a crash of the machine may leave of a RocksDB that is open: its files as they are, with the write-ahead log cut at any byte that was
 * written since the last flush. The database itself goes on; what is left is a copy.
 */
import { Effect, Random } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"

/** RocksDB's own threads go on making and removing files for a moment after the last call; a copy is tried again this often. */
const attemptsMax = 1000

/**
 * Leaves in `to`, which must not exist, what a crash may leave of the database that `RocksDbStorage` has open in `from`. Deterministic under
 * a seeded `Random`. Dies if the database does not come to rest.
 */
export const crash = Effect.fnUntraced(function*(from: string, to: string) {
  copyAtRest(from, to)
  const current = Path.join(to, Fs.readFileSync(Path.join(to, "current"), "utf8").trim())
  const newest = Path.join(current, Fs.readdirSync(current).filter((name) => /^\d+\.log$/.test(name)).sort().at(-1)!)
  Fs.truncateSync(newest, yield* Random.nextIntBetween(0, Fs.statSync(newest).size))
})

/** Copies until the names and sizes of all files are the same before and after. */
const copyAtRest = (from: string, to: string): void => {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const before = listing(from)
    try {
      Fs.cpSync(from, to, { recursive: true })
      if (listing(from) === before && listing(to) === before) return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error
    }
    Fs.rmSync(to, { recursive: true, force: true })
  }
  throw new Error(`${from} does not come to rest`)
}

const listing = (directory: string): string =>
  Fs.readdirSync(directory, { recursive: true, encoding: "utf8" })
    .flatMap((name) => {
      const stats = Fs.statSync(Path.join(directory, name), { throwIfNoEntry: false })
      return stats === undefined || stats.isDirectory() ? [] : [`${name} ${stats.size}`]
    })
    .sort()
    .join()
