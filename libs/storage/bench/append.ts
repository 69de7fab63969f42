/**
 * Durable appends per second of `SegmentLog`, beside a bare write+fdatasync loop over the same bytes in the same run.
 *
 *     node libs/storage/bench/append.ts [seconds per cell]
 */
import { Entry, EntryKind, LogStore } from "@dkv/raft"
import { Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { NodeDisk } from "../src/node.ts"
import * as SegmentLog from "../src/SegmentLog.ts"

const seconds = Number(process.argv[2] ?? 1)
const rounds = 5
const valueBytes = 256

const raw = (directory: string, batch: number): Promise<number> => {
  const data = Buffer.alloc(batch * (valueBytes + 26) + 25, 7)
  const fd = Fs.openSync(Path.join(directory, "raw"), "w")
  const started = performance.now()
  const until = started + seconds * 1000
  let batches = 0
  return new Promise((resolve, reject) => {
    const next = (error: Error | null): void => {
      if (error) return reject(error)
      if (performance.now() >= until) {
        Fs.closeSync(fd)
        return resolve(batches / (performance.now() - started) * 1000)
      }
      Fs.write(
        fd,
        data,
        0,
        data.length,
        batches * data.length,
        (failure) => (failure ? reject(failure) : Fs.fdatasync(fd, next))
      )
      batches++
    }
    next(null)
  })
}

const log = (directory: string, batch: number) =>
  Effect.gen(function*() {
    const store = yield* LogStore.LogStore
    const data = new Uint8Array(valueBytes).fill(7)
    const started = performance.now()
    const until = started + seconds * 1000
    const latencies: Array<number> = []
    let index = store.recovered.lastIndex
    let before = started
    while (before < until) {
      const entries: Array<Entry.Entry> = []
      for (let count = 0; count < batch; count++) entries.push(Entry.make(++index, 1, EntryKind.Command, data))
      yield* store.write([{ _tag: "Append", entries }])
      const now = performance.now()
      latencies.push(now - before)
      before = now
    }
    latencies.sort((a, b) => a - b)
    const at = (part: number) => latencies[Math.floor(latencies.length * part)]! * 1000
    return { perSecond: latencies.length / (before - started) * 1000, p50: at(0.5), p99: at(0.99) }
  }).pipe(
    Effect.provide(SegmentLog.layer({ directory: Path.join(directory, "log") }).pipe(Layer.provide(NodeDisk.layer)))
  )

const median = (values: ReadonlyArray<number>): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

for (const batch of [1, 10, 100, 1000]) {
  const rates: Array<number> = []
  const raws: Array<number> = []
  const p50s: Array<number> = []
  const p99s: Array<number> = []
  for (let round = 0; round < rounds; round++) {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "dkv-bench-"))
    raws.push(await raw(directory, batch))
    const result = await Effect.runPromise(log(directory, batch))
    rates.push(result.perSecond)
    p50s.push(result.p50)
    p99s.push(result.p99)
    Fs.rmSync(directory, { recursive: true })
  }
  console.log(
    `batch ${batch}: ${median(rates).toFixed(0)} batches/s (${
      (median(rates) * batch).toFixed(0)
    } entries/s), raw loop ` +
      `${median(raws).toFixed(0)}, ratio ${(median(rates) / median(raws)).toFixed(2)}, p50 ${
        median(p50s).toFixed(0)
      } us, p99 ${median(p99s).toFixed(0)} us`
  )
}
