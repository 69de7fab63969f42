import { Entry, EntryKind, LogStore } from "@dkv/raft"
import { Context, Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Disk } from "../src/Disk.ts"
import * as SegmentLog from "../src/SegmentLog.ts"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-storage-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

/** An open log in the current scope. */
export const openLog = (disk: Disk["Service"], options: Partial<SegmentLog.Options> = {}) =>
  Effect.map(
    Layer.build(SegmentLog.layer({ directory: "/log", ...options }).pipe(Layer.provide(Layer.succeed(Disk, disk)))),
    (context) => Context.get(context, LogStore.LogStore)
  )

/** Opens the log, uses it, closes it. */
export const withLog = <A, E>(
  disk: Disk["Service"],
  use: (log: LogStore.LogStore["Service"]) => Effect.Effect<A, E>,
  options: Partial<SegmentLog.Options> = {}
) => Effect.scoped(Effect.flatMap(openLog(disk, options), use))

export const entry = (index: number, term: number, size = 20): Entry.Entry =>
  Entry.make(index, term, EntryKind.Command, new Uint8Array(size).fill(index * 31 + term))

export const append = (first: number, last: number, term: number, size?: number): LogStore.LogWrite => ({
  _tag: "Append",
  entries: Array.from({ length: last - first + 1 }, (_, at) => entry(first + at, term, size))
})

/** Index, term and payload of every entry that is there, as text. */
export const dump = Effect.fnUntraced(function*(log: LogStore.LogStore["Service"]) {
  const { lastIndex, previousIndex } = log.recovered
  const entries = yield* log.read(previousIndex + 1, lastIndex, Infinity)
  return entries.map(({ data, index, term }) => `${index}/${term}:${data[0] ?? ""}*${data.length}`)
})

export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, string, R> =>
  Effect.matchEffect(effect, { onFailure: Effect.succeed, onSuccess: () => Effect.fail("it succeeded") })
