import { LogStore } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { TestClock } from "effect/testing"
import { crc32c } from "../src/Checksum.ts"
import * as Limits from "../src/Limits.ts"
import * as LogFormat from "../src/LogFormat.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import { append, dump, entry, failureOf, openLog, withLog } from "./support.ts"

const firstPath = "/log/00000000000000000001.log"
const pathOf = (number: number): string => `/log/${LogFormat.fileName(number)}`

/** A log with a few batches; its last batch is followed by the mark of an idle log if `idle`. */
const fill = Effect.fnUntraced(
  function*(disk: Parameters<typeof openLog>[0], options: { readonly idle: boolean; readonly segmentBytes?: number }) {
    yield* Effect.scoped(Effect.gen(function*() {
      const log = yield* openLog(disk, options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes })
      yield* log.write([{ _tag: "HardState", hardState: { term: 1, vote: "00000000000000aa" } }, append(1, 3, 1)])
      yield* log.write([append(4, 5, 1), append(5, 6, 2)])
      yield* log.write([{ _tag: "HardState", hardState: { term: 3, vote: "" } }, append(7, 8, 3)])
      if (options.idle) yield* TestClock.adjust(Limits.idleMarkMillis)
    }))
  }
)

const all = [
  "1/1:32*20",
  "2/1:63*20",
  "3/1:94*20",
  "4/1:125*20",
  "5/2:157*20",
  "6/2:188*20",
  "7/3:220*20",
  "8/3:251*20"
]
/** What is certainly marked when the last batch is not. */
const marked = 6

/** Whether this is what the first so many entries of all writes add up to; the fifth entry was written twice. */
const isPrefix = (entries: ReadonlyArray<string>): boolean => {
  const expected = all.slice(0, entries.length)
  return entries.join() === expected.join() || entries.join() === [...expected.slice(0, 4), "5/1:156*20"].join()
}

const recordEnd = (bytes: Uint8Array): number => {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return end
}

/** Rewrites one file of a log. */
const rewrite = (memory: MemoryDisk.MemoryDisk["Service"], path: string, change: (bytes: Uint8Array) => Uint8Array) =>
  memory.put(path, change(memory.content(path)))

const sealed = (
  memory: MemoryDisk.MemoryDisk["Service"],
  path: string,
  write: (writer: LogFormat.RecordWriter) => void
): void =>
  rewrite(memory, path, (bytes) => {
    const header = LogFormat.decodeHeader(bytes)
    if (header._tag !== "Header") throw new Error("no header")
    const end = recordEnd(bytes)
    const longer = new Uint8Array(end + 1000)
    longer.set(bytes.subarray(0, end))
    const writer = new LogFormat.RecordWriter(longer)
    writer.salt = header.header.salt
    writer.at = end
    write(writer)
    return longer.slice(0, writer.at)
  })

const corruption = (disk: Parameters<typeof openLog>[0]) =>
  Effect.map(failureOf(withLog(disk, () => Effect.void)), (error) => {
    assert.isTrue(error instanceof LogStore.LogStoreError)
    assert.strictEqual((error as LogStore.LogStoreError).reason, "Corrupt")
    return error as LogStore.LogStoreError
  })

describe("recovery of a log with bit rot", () => {
  for (const idle of [true, false]) {
    for (const segmentBytes of [undefined, 200]) {
      const where = segmentBytes === undefined ? "in one segment" : "in several segments"
      const what = idle ? "loses nothing" : "loses at most what no mark covers"
      it.effect(`a flipped byte anywhere ${where} is found or ${what}${idle ? "" : ", without an idle mark"}`, () =>
        Effect.gen(function*() {
          const { disk, memory } = yield* MemoryDisk.make
          yield* fill(disk, segmentBytes === undefined ? { idle } : { idle, segmentBytes })
          const names = (yield* disk.list("/log")).filter((name) => name.endsWith(".log"))
          if (segmentBytes !== undefined) assert.isAbove(names.length, 2)
          const files = new Map(names.map((name) => [`/log/${name}`, memory.content(`/log/${name}`)]))
          let found = 0
          for (const [path, original] of files) {
            for (let offset = 0; offset < recordEnd(original) + 40 && offset < original.length; offset++) {
              for (const [other, bytes] of files) memory.put(other, bytes)
              memory.rot(path, offset, 1 << (offset % 8))
              const result = yield* Effect.result(
                withLog(
                  disk,
                  (log) => Effect.map(dump(log), (entries) => ({ entries, hardState: log.recovered.hardState }))
                )
              )
              if (Result.isFailure(result)) {
                assert.strictEqual(result.failure.reason, "Corrupt", `${path} at ${offset}: ${result.failure.message}`)
                assert.strictEqual(result.failure.file, path)
                assert.isNumber(result.failure.offset)
                found++
              } else {
                const { entries, hardState } = result.success
                assert.isTrue(isPrefix(entries), `${path} at ${offset}: ${entries.join()}`)
                assert.isAtLeast(entries.length, idle ? all.length : marked, `${path} at ${offset}`)
                if (idle) assert.deepStrictEqual(hardState, { term: 3, vote: "" }, `${path} at ${offset}`)
              }
              for (const name of yield* disk.list("/log")) {
                if (name.endsWith(".log") && !files.has(`/log/${name}`)) yield* disk.unlink(`/log/${name}`)
              }
            }
          }
          assert.isAbove(found, 200)
        }))
    }
  }

  it.effect("the place of the damage is named", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      memory.rot(firstPath, 200, 8)
      const error = yield* corruption(disk)
      assert.strictEqual(error.file, firstPath)
      assert.isAtMost(error.offset!, 200)
      assert.isAbove(error.offset!, 100)
      assert.include(error.message, `${firstPath} at ${error.offset}`)
    }))

  it.effect("a stretch of zeros in the middle is found", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      rewrite(memory, firstPath, (bytes) => bytes.fill(0, 150, 250))
      yield* corruption(disk)
    }))

  it.effect("damage to an entry that is read later is reported with its place, not returned", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      yield* log.write([append(1, 5, 1)])
      memory.rot(firstPath, 220, 1)
      const error = yield* failureOf(log.read(1, 5, Infinity))
      assert.strictEqual(error.reason, "Corrupt")
      assert.strictEqual(error.file, firstPath)
    }))
})

describe("recovery of a torn tail", () => {
  it.effect("a file that ends anywhere behind its last mark opens with what is whole, and goes on", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: false })
      const original = memory.content(firstPath)
      const end = recordEnd(original)
      let shortest = all.length
      for (let length = end; length >= 250; length--) {
        memory.put(firstPath, original.slice(0, length))
        const result = yield* Effect.result(withLog(disk, (log) =>
          Effect.gen(function*() {
            const entries = yield* dump(log)
            const { lastIndex } = log.recovered
            yield* log.write([append(lastIndex + 1, lastIndex + 1, 9)])
            return entries
          })))
        assert.isTrue(Result.isSuccess(result), `cut to ${length} bytes`)
        if (Result.isSuccess(result)) {
          assert.isTrue(isPrefix(result.success), result.success.join())
          shortest = Math.min(shortest, result.success.length)
        }
        assert.deepStrictEqual(
          (yield* withLog(disk, dump)).slice(0, -1),
          Result.isSuccess(result) ? result.success : []
        )
      }
      assert.isBelow(shortest, marked)
    }))

  it.effect("what is cut off is gone for good, and what is kept is synced", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: false })
      const end = recordEnd(memory.content(firstPath))
      memory.rot(firstPath, end - 3, 255)
      const before = memory.counts.sync
      assert.deepStrictEqual(yield* withLog(disk, dump), all.slice(0, 7))
      assert.isAtLeast(memory.counts.sync - before, 1)
      memory.crash()
      yield* memory.restart
      assert.deepStrictEqual(yield* withLog(disk, dump), all.slice(0, 7))
    }))

  it.effect("garbage behind the last record is cut off", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      rewrite(memory, firstPath, (bytes) => {
        const end = recordEnd(bytes)
        return Uint8Array.from({ length: end + 5000 }, (_, at) => (at < end ? bytes[at]! : (at * 2654435761) >>> 24))
      })
      assert.deepStrictEqual(yield* withLog(disk, dump), all)
      assert.isBelow(recordEnd(memory.content(firstPath)), 1000)
    }))

  it.effect("zeros behind the last record are room for later batches", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      rewrite(memory, firstPath, (bytes) => bytes.slice(0, recordEnd(bytes) + 10))
      assert.deepStrictEqual(yield* withLog(disk, dump), all)
      rewrite(memory, firstPath, (bytes) => {
        const longer = new Uint8Array(3 * Limits.recoveryWindowBytes)
        longer.set(bytes)
        return longer
      })
      assert.deepStrictEqual(yield* withLog(disk, dump), all)
    }))

  it.effect("a batch that landed elsewhere is missed once another one stands behind its place", () =>
    Effect.gen(function*() {
      for (const target of [0, 120, 300]) {
        const { disk, memory } = yield* MemoryDisk.make
        yield* Effect.scoped(Effect.gen(function*() {
          const log = yield* openLog(disk)
          yield* log.write([append(1, 6, 1)])
          memory.misdirect(firstPath, target)
          yield* log.write([append(7, 8, 1)])
          yield* log.write([append(9, 9, 1)])
          assert.strictEqual(
            (yield* failureOf(log.read(7, 9, 1000))).reason,
            "Corrupt",
            "nor is it read as what it was"
          )
        }))
        yield* corruption(disk)
      }
    }))

  it.effect("a mark from another place or segment does not make a torn tail pass for rot", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      const bytes = memory.content(firstPath)
      const end = recordEnd(bytes)
      const markStart = end - LogFormat.markBytes
      rewrite(memory, firstPath, () => {
        const longer = new Uint8Array(end + 300)
        longer.set(bytes.subarray(0, end))
        longer.fill(7, end, end + 50)
        longer.set(bytes.subarray(markStart, end), end + 50)
        return longer
      })
      assert.deepStrictEqual(yield* withLog(disk, dump), all)
    }))
})

describe("recovery of a log that breaks a rule", () => {
  it.effect("a gap between indices is damage", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      sealed(memory, firstPath, (writer) => writer.entry(entry(10, 3)))
      assert.include((yield* corruption(disk)).message, "entry 10 follows entry 8")
    }))

  it.effect("a falling term of entries is damage", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      sealed(memory, firstPath, (writer) => writer.entry(entry(9, 2)))
      assert.include((yield* corruption(disk)).message, "has term 2")
    }))

  it.effect("a falling term of the hard state is damage", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      sealed(memory, firstPath, (writer) => writer.hardState({ term: 2, vote: "" }))
      assert.include((yield* corruption(disk)).message, "term 2 follows term 3")
    }))

  it.effect("an index beyond 2^53 is damage", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      sealed(memory, firstPath, (writer) => writer.position(LogFormat.RecordType.Reset, 2 ** 60, 1))
      yield* corruption(disk)
    }))

  it.effect("a record of a type that nobody wrote is damage", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      sealed(memory, firstPath, (writer) => writer.position(77 as never, 1, 1))
      assert.include((yield* corruption(disk)).message, "unknown type 77")
    }))
})

describe("recovery of segments", () => {
  const segmented = Effect.gen(function*() {
    const { disk, memory } = yield* MemoryDisk.make
    yield* withLog(
      disk,
      Effect.fnUntraced(function*(log) {
        for (let index = 1; index <= 30; index++) yield* log.write([append(index, index, 1)])
      }),
      { segmentBytes: 300 }
    )
    return { disk, memory, names: (yield* disk.list("/log")).filter((name) => name.endsWith(".log")) }
  })

  it.effect("a missing segment is damage, whether the first or one in the middle", () =>
    Effect.gen(function*() {
      const { names } = yield* segmented
      for (const missing of [0, 1, 2, names.length - 2]) {
        const { disk } = yield* segmented
        yield* disk.unlink(`/log/${names[missing]!}`)
        assert.include((yield* corruption(disk)).message, "missing")
      }
    }))

  it.effect("a segment of another number, or of another log, is damage", () =>
    Effect.gen(function*() {
      const { disk, memory, names } = yield* segmented
      memory.put(`/log/${names[2]!}`, memory.content(`/log/${names[1]!}`))
      assert.include((yield* corruption(disk)).message, "the header is that of segment 2")
      const other = yield* segmented
      yield* withLog(other.disk, (log) => log.write([append(31, 31, 1)]), { segmentBytes: 300 })
      yield* withLog(other.disk, (log) => log.write([append(31, 40, 2)]), { segmentBytes: 300 })
      const last = (yield* other.disk.list("/log")).findLast((name) => name.endsWith(".log"))!
      const again = yield* segmented
      again.memory.put(`/log/${last}`, other.memory.content(`/log/${last}`))
      yield* corruption(again.disk)
    }))

  const changes: ReadonlyArray<Partial<LogFormat.Header>> = [
    { previousBytes: 1 },
    { lastIndex: 1 },
    { lastTerm: 0 },
    { startIndex: 1 },
    { startTerm: 1 },
    { hardState: { term: 1, vote: "" } },
    { hardState: { term: 0, vote: "someone" } }
  ]
  for (const change of changes) {
    it.effect(`a segment whose header disagrees with the one before it is damage: ${JSON.stringify(change)}`, () =>
      Effect.gen(function*() {
        const { disk, memory, names } = yield* segmented
        rewrite(memory, `/log/${names[2]!}`, (bytes) => {
          const found = LogFormat.decodeHeader(bytes)
          if (found._tag !== "Header") throw new Error("no header")
          const header = LogFormat.encodeHeader({ ...found.header, ...change })
          const longer = new Uint8Array(header.length + bytes.length - found.bytes)
          longer.set(header)
          longer.set(bytes.subarray(found.bytes), header.length)
          return longer
        })
        const error = yield* corruption(disk)
        if (!("previousBytes" in change)) assert.include(error.message, "does not continue")
      }))
  }

  it.effect("a segment before the last that lost its end is damage", () =>
    Effect.gen(function*() {
      const { disk, memory, names } = yield* segmented
      rewrite(memory, `/log/${names[1]!}`, (bytes) => bytes.slice(0, 120))
      const error = yield* corruption(disk)
      assert.strictEqual(error.file, `/log/${names[1]!}`)
    }))

  it.effect("a newer format is refused as foreign, with both versions", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      rewrite(memory, firstPath, (bytes) => {
        const view = LogFormat.viewOf(bytes)
        view.setUint32(8, 2)
        const length = view.getUint32(12)
        view.setUint32(16, crc32c(bytes, 20, length, crc32c(bytes, 0, 16)))
        return bytes
      })
      const error = yield* failureOf(withLog(disk, () => Effect.void)) as Effect.Effect<LogStore.LogStoreError>
      assert.strictEqual(error.reason, "Foreign")
      assert.include(error.message, "log format 2")
    }))

  it.effect("a half-made segment is removed", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* fill(disk, { idle: true })
      memory.put(`${pathOf(2)}.tmp`, new Uint8Array(10))
      assert.deepStrictEqual(yield* withLog(disk, dump), all)
      assert.notInclude(yield* disk.list("/log"), `${LogFormat.fileName(2)}.tmp`)
    }))

  it.effect("segments that had been given up and came back are removed again", () =>
    Effect.gen(function*() {
      const { disk, memory, names } = yield* segmented
      const files = names.map((name) => [`/log/${name}`, memory.content(`/log/${name}`)] as const)
      yield* withLog(disk, (log) => log.compact(20), { segmentBytes: 300 })
      const kept = yield* disk.list("/log")
      for (const which of [[0], [1], [0, 1], files.map((_, at) => at)]) {
        for (const at of which) {
          const [path, bytes] = files[at]!
          if (!kept.includes(path.slice(5))) memory.put(path, bytes)
        }
        const entries = yield* withLog(disk, dump, { segmentBytes: 300 })
        assert.strictEqual(entries.at(-1), "30/1:163*20")
        assert.deepStrictEqual(yield* disk.list("/log"), kept)
      }
    }))

  it.effect("compaction after a conflict across segments is found again as it was left", () =>
    Effect.gen(function*() {
      const { disk } = yield* segmented
      yield* withLog(disk, (log) => log.write([append(12, 14, 2)]), { segmentBytes: 300 })
      yield* withLog(disk, (log) =>
        Effect.gen(function*() {
          yield* log.write([append(15, 40, 2)])
          yield* log.compact(12)
        }), { segmentBytes: 300 })
      yield* withLog(disk, (log) =>
        Effect.gen(function*() {
          const { lastIndex, previousIndex, previousTerm } = log.recovered
          assert.strictEqual(lastIndex, 40)
          assert.isAbove(previousIndex, 0)
          assert.isAtMost(previousIndex, 12)
          assert.strictEqual(previousTerm, previousIndex === 12 ? 2 : 1)
          assert.strictEqual((yield* dump(log)).length, 40 - previousIndex)
        }), { segmentBytes: 300 })
    }))

  it.effect("an empty directory is a new log, unless the log must be there", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      const error = yield* failureOf(withLog(disk, () => Effect.void, { mustExist: true })) as Effect.Effect<
        LogStore.LogStoreError
      >
      assert.strictEqual(error.reason, "Corrupt")
      yield* fill(disk, { idle: true })
      assert.deepStrictEqual(yield* withLog(disk, dump, { mustExist: true }), all)
    }))
})
