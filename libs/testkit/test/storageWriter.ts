/** A process that writes without end and says on its standard output what was acknowledged, until it is killed. */
import { LogStore } from "@dkv/raft"
import { SegmentLog, Storage } from "@dkv/storage"
import { NodeDisk } from "@dkv/storage/node"
import { RocksDbStorage } from "@dkv/storage/rocksdb"
import { Effect, Layer, Option } from "effect"
import * as Fs from "node:fs"
import { argv } from "node:process"
import { entryOf, keyOf, numberOf, valueOf } from "./storageWritten.ts"

const [, , what, directory] = argv as [string, string, "log" | "storage", string]

/** Says it now or not at all: a line that waits in a buffer would be lost with the process. The pipe may be full while the reader is slow. */
const say = (words: string): void => {
  const line = new TextEncoder().encode(`${words}\n`)
  let done = 0
  while (done < line.length) {
    try {
      done += Fs.writeSync(1, line, done)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error
    }
  }
}

const writeLog = Effect.gen(function*() {
  const log = yield* LogStore.LogStore
  let { lastIndex } = log.recovered
  let { term } = log.recovered.hardState
  for (let step = 0;; step++) {
    const writes: Array<LogStore.LogWrite> = []
    if (step % 5 === 0) writes.push({ _tag: "HardState", hardState: { term: ++term, vote: "00000000000000aa" } })
    const size = 1 + (step * 7) % 40
    writes.push({ _tag: "Append", entries: Array.from({ length: size }, (_, at) => entryOf(lastIndex + 1 + at)) })
    yield* log.write(writes)
    lastIndex += size
    say(`${lastIndex} ${term}`)
    if (step % 50 === 49) yield* log.compact(lastIndex - 500)
  }
}).pipe(Effect.provide(SegmentLog.layer({ directory, segmentBytes: 200_000 }).pipe(Layer.provide(NodeDisk.layer))))

const writeStorage = Effect.gen(function*() {
  const storage = yield* Storage.Storage
  let count = Option.match(yield* storage.get(keyOf("count")), { onNone: () => 0, onSome: numberOf })
  while (true) {
    count++
    yield* storage.write([
      { _tag: "Put", key: keyOf("count"), value: valueOf(count) },
      { _tag: "Put", key: keyOf(count % 50), value: valueOf(count) }
    ])
    say(String(count))
    if (count % 200 === 0) yield* storage.flush
  }
}).pipe(Effect.provide(RocksDbStorage.layer({ directory })))

await (what === "log" ? Effect.runPromise(writeLog) : Effect.runPromise(writeStorage))
