import type { LogStore } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Limits from "../src/Limits.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import { append, dump, entry, failureOf, openLog, withLog } from "./support.ts"

const path = "/log/00000000000000000001.log"

describe("SegmentLog", () => {
  it.effect("all changes of a write share one write to the disk and one sync", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      const before = { ...memory.counts }
      yield* log.write([
        { _tag: "HardState", hardState: { term: 2, vote: "a" } },
        append(1, 500, 1),
        append(400, 900, 2)
      ])
      assert.strictEqual(memory.counts.write - before.write, 1)
      assert.strictEqual(memory.counts.sync - before.sync, 1)
    }))

  it.effect("a write of nothing touches no disk", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      const before = { ...memory.counts }
      yield* log.write([])
      assert.deepStrictEqual({ ...memory.counts }, before)
    }))

  it.effect("an idle log marks its last batch once, a busy one does not", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      const before = memory.counts.write
      for (let index = 1; index <= 10; index++) {
        yield* log.write([append(index, index, 1)])
        yield* TestClock.adjust(Limits.idleMarkMillis - 1)
      }
      assert.strictEqual(memory.counts.write - before, 10)
      yield* TestClock.adjust(Limits.idleMarkMillis)
      assert.strictEqual(memory.counts.write - before, 11)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(memory.counts.write - before, 11)
      yield* log.write([append(11, 11, 1)])
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(memory.counts.write - before, 13)
    }))

  it.effect("a batch that takes longer to write than the log has to be idle is marked too", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      const before = memory.counts.write
      memory.setDelay(Limits.idleMarkMillis * 1.2)
      const slow = yield* Effect.forkChild(log.write([append(1, 1, 1)]), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(slow)
      assert.strictEqual(memory.counts.write - before, 2, "the batch and its mark")
      yield* log.write([append(2, 2, 1)]).pipe(Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust(Limits.idleMarkMillis * 0.9)
      yield* log.write([append(3, 3, 1)]).pipe(Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(memory.counts.write - before, 5, "two batches on their way at once, and one mark")
    }))

  it.effect("a log that is opened with an unmarked batch marks it at once, because it may be read and relied upon", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* withLog(disk, (log) => log.write([append(1, 3, 1)]))
      yield* withLog(disk, () => Effect.void)
      memory.rot(path, 150, 1)
      const error = yield* failureOf(withLog(disk, dump))
      assert.strictEqual((error as LogStore.LogStoreError).reason, "Corrupt")
    }))

  it.effect("opening a marked log again and again adds nothing to it", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* withLog(disk, (log) => log.write([append(1, 3, 1)]))
      yield* withLog(disk, () => Effect.void)
      const before = memory.content(path)
      yield* withLog(disk, () => Effect.void)
      assert.deepStrictEqual(memory.content(path), before)
    }))

  for (const operation of ["write", "sync"] as const) {
    it.effect(`a failed ${operation} is never tried again, and every later call fails`, () =>
      Effect.gen(function*() {
        const { disk, memory } = yield* MemoryDisk.make
        const log = yield* openLog(disk)
        yield* log.write([append(1, 3, 1)])
        memory.fail(operation)
        const before = { ...memory.counts }
        assert.strictEqual((yield* failureOf(log.write([append(4, 4, 1)]))).reason, "Io")
        const after = { ...memory.counts }
        assert.strictEqual(after[operation] - before[operation], 1)
        assert.strictEqual((yield* failureOf(log.write([append(4, 4, 1)]))).reason, "Io")
        assert.strictEqual((yield* failureOf(log.write([]))).reason, "Io")
        assert.strictEqual((yield* failureOf(log.compact(2))).reason, "Io")
        assert.strictEqual((yield* failureOf(log.read(1, 3, 100))).reason, "Io")
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual({ ...memory.counts }, after)
      }))
  }

  it.effect("what a failed sync left readable is written again before it is relied upon, for it may not be on the medium", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* Effect.scoped(Effect.gen(function*() {
        const log = yield* openLog(disk)
        yield* log.write([append(1, 3, 1)])
        memory.fail("sync")
        assert.strictEqual((yield* failureOf(log.write([append(4, 90, 1)]))).reason, "Io")
      }))
      yield* memory.restartProcess
      yield* withLog(disk, (log) => log.write([append(91, 92, 1)]))
      memory.crash()
      yield* memory.restart
      yield* withLog(disk, (log) => Effect.sync(() => assert.strictEqual(log.recovered.lastIndex, 92)))
    }))

  it.effect("nor does a last mark count that can be read, but whose sync failed", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* Effect.scoped(Effect.gen(function*() {
        const log = yield* openLog(disk)
        yield* log.write([append(1, 3, 1)])
        memory.fail("sync")
        yield* TestClock.adjust(Limits.idleMarkMillis)
      }))
      yield* memory.restartProcess
      yield* withLog(disk, (log) => log.write([append(4, 5, 1)]))
      memory.crash()
      yield* memory.restart
      yield* withLog(disk, (log) => Effect.sync(() => assert.strictEqual(log.recovered.lastIndex, 5)))
    }))

  it.effect("a failed sync of an idle mark is met by the next call", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      yield* log.write([append(1, 3, 1)])
      memory.fail("sync")
      yield* TestClock.adjust(Limits.idleMarkMillis)
      assert.strictEqual((yield* failureOf(log.write([append(4, 4, 1)]))).reason, "Io")
    }))

  it.effect("a failing read is reported and does not stop the log", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      yield* log.write([append(1, 3, 1)])
      memory.fail("read")
      assert.strictEqual((yield* failureOf(log.read(1, 3, 100))).reason, "Io")
      assert.strictEqual((yield* log.read(1, 3, 100)).length, 3)
      yield* log.write([append(4, 4, 1)])
    }))

  it.effect("a full disk fails the write with Full, and nothing of it is found once there is space again", () =>
    Effect.gen(function*() {
      for (const room of [100, 10_000, 100_000]) {
        const { disk, memory } = yield* MemoryDisk.make
        yield* Effect.scoped(Effect.gen(function*() {
          const log = yield* openLog(disk)
          yield* log.write([append(1, 3, 1)])
          memory.setCapacity(memory.content(path).length + room)
          const error = yield* failureOf(log.write([append(4, 400, 1, 1000)]))
          assert.strictEqual(error.reason, "Full")
          assert.strictEqual((yield* failureOf(log.write([append(4, 4, 1)]))).reason, "Full")
        }))
        memory.setCapacity(Infinity)
        assert.strictEqual((yield* withLog(disk, dump)).length, 3)
      }
    }))

  it.effect("a disk that is full when a new segment begins fails the same way", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* Effect.scoped(Effect.gen(function*() {
        const log = yield* openLog(disk, { segmentBytes: 400 })
        yield* log.write([append(1, 4, 1)])
        memory.setCapacity(memory.content(path).length + 20)
        assert.strictEqual((yield* failureOf(log.write([append(5, 9, 1)]))).reason, "Full")
      }))
      memory.setCapacity(Infinity)
      assert.strictEqual((yield* withLog(disk, dump, { segmentBytes: 400 })).length, 4)
    }))

  it.effect("a directory that is open already is refused with Locked", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      yield* openLog(disk)
      const error = yield* failureOf(withLog(disk, () => Effect.void))
      assert.strictEqual((error as LogStore.LogStoreError).reason, "Locked")
    }))

  it.effect("an interrupted write is carried out before the next one begins", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      memory.setDelay(100)
      const fiber = yield* Effect.forkChild(log.write([append(1, 3, 1)]), { startImmediately: true })
      const stopping = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      const next = yield* Effect.forkChild(log.write([append(4, 4, 1)]), { startImmediately: true })
      yield* TestClock.adjust(1000)
      yield* Fiber.join(next)
      yield* Fiber.join(stopping)
      memory.setDelay(0)
      assert.strictEqual((yield* log.read(1, 10, Infinity)).length, 4)
    }))

  it.effect("a read that is under way when its segment is dropped still gives its entries", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      const log = yield* openLog(disk, { segmentBytes: 400 })
      for (let index = 1; index <= 30; index++) yield* log.write([append(index, index, 1)])
      memory.setDelay(100)
      const reading = yield* Effect.forkChild(log.read(1, 10, Infinity), { startImmediately: true })
      memory.setDelay(0)
      yield* log.compact(20)
      assert.strictEqual((yield* log.read(1, 10, Infinity)).length, 0)
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* Fiber.join(reading)).length, 10)
    }))

  it.effect("compaction removes whole segments and keeps the rest", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      const log = yield* openLog(disk, { segmentBytes: 500 })
      for (let index = 1; index <= 100; index++) yield* log.write([append(index, index, 1)])
      const before = { files: (yield* disk.list("/log")).length, bytes: yield* log.sizeBytes }
      const { previousIndex } = yield* log.compact(90)
      assert.isAbove(previousIndex, 80)
      assert.isBelow((yield* disk.list("/log")).length, before.files / 2)
      assert.isBelow(yield* log.sizeBytes, before.bytes / 2)
      assert.strictEqual((yield* log.read(91, 100, Infinity)).length, 10)
    }))

  it.effect("a reset removes the segments before it", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      const log = yield* openLog(disk, { segmentBytes: 500 })
      for (let index = 1; index <= 100; index++) yield* log.write([append(index, index, 1)])
      yield* log.write([{ _tag: "Reset", index: 1000, term: 1 }])
      assert.isAtMost((yield* disk.list("/log")).length, 3)
    }))

  it.effect("a batch larger than a segment gets a segment of its own, and one larger than the window of recovery is found again", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      yield* withLog(disk, (log) =>
        Effect.gen(function*() {
          yield* log.write([append(1, 2, 1)])
          yield* log.write([{ _tag: "Append", entries: [entry(3, 1, 3 * Limits.recoveryWindowBytes), entry(4, 1)] }])
          yield* log.write([append(5, 5, 1)])
        }), { segmentBytes: 1000 })
      const entries = yield* withLog(disk, dump, { segmentBytes: 1000 })
      assert.deepStrictEqual(entries.map((line) => line.split(":")[0]), ["1/1", "2/1", "3/1", "4/1", "5/1"])
    }))

  it.effect("a write that breaks a rule stops the log, so that what the disk holds stays known", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      const log = yield* openLog(disk)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(log.write([append(1, 2, 3), append(4, 4, 3)]))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(log.write([append(1, 2, 3)]))))
      yield* Effect.scoped(Effect.void)
    }))
})

/** What a log must hold, changed one entry at a time. */
interface Model {
  readonly hardState: string
  readonly previousIndex: number
  readonly entries: ReadonlyArray<string>
}

const emptyModel: Model = { hardState: "0 ", previousIndex: 0, entries: [] }
const textOf = (index: number, term: number): string => {
  const { data } = entry(index, term)
  return `${index}/${term}:${data[0]}*${data.length}`
}

/** Every state that the log goes through during a write. */
const through = (model: Model, writes: ReadonlyArray<LogStore.LogWrite>): ReadonlyArray<Model> => {
  const states = [model]
  let now = model
  const next = (state: Model): void => void states.push(now = state)
  for (const write of writes) {
    if (write._tag === "HardState") next({ ...now, hardState: `${write.hardState.term} ${write.hardState.vote}` })
    else if (write._tag === "Reset") next({ ...now, previousIndex: write.index, entries: [] })
    else {
      for (const { index, term } of write.entries) {
        next({ ...now, entries: [...now.entries.slice(0, index - now.previousIndex - 1), textOf(index, term)] })
      }
    }
  }
  return states
}

const nextWrites = Effect.fnUntraced(function*(model: Model, term: number) {
  const writes: Array<LogStore.LogWrite> = []
  const last = model.previousIndex + model.entries.length
  const kind = yield* Random.nextIntBetween(0, 10)
  if (kind < 3) writes.push({ _tag: "HardState", hardState: { term, vote: kind === 0 ? "" : `voter-${term}` } })
  if (kind === 9) {
    const index = last + (yield* Random.nextIntBetween(0, 5))
    writes.push({ _tag: "Reset", index, term })
    writes.push(append(index + 1, index + 2, term))
  } else {
    const back = kind < 6 ? 0 : yield* Random.nextIntBetween(0, Math.min(5, model.entries.length))
    const first = last + 1 - back
    writes.push(append(first, first + (yield* Random.nextIntBetween(0, 4)), term))
  }
  return writes
})

describe("SegmentLog and the crash of a machine", () => {
  for (const seed of ["a", "b", "c", "d"]) {
    it.effect(`whenever the machine stops, everything acknowledged is there, and nothing else than a part of what was being written (seed ${seed})`, () =>
      Effect.gen(function*() {
        const { disk, memory } = yield* MemoryDisk.make
        let model = emptyModel
        let term = 1
        let stopped = 0
        for (let round = 1; round <= 100; round++) {
          let possible: ReadonlyArray<Model> = [model]
          memory.crashAt(memory.steps() + (yield* Random.nextIntBetween(1, 60)))
          yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
            const log = yield* openLog(disk, { segmentBytes: 600 })
            for (let step = 0; step < 12; step++) {
              term++
              const writes = yield* nextWrites(model, term)
              const states = through(model, writes)
              possible = states
              const result = yield* Effect.result(log.write(writes))
              if (Result.isFailure(result)) return
              model = states[states.length - 1]!
              possible = [model]
              if (step % 4 === 3) {
                const at = model.previousIndex + Math.floor(model.entries.length / 2)
                const compacted = yield* Effect.result(log.compact(at))
                if (Result.isFailure(compacted)) return
                model = {
                  ...model,
                  previousIndex: compacted.success.previousIndex,
                  entries: model.entries.slice(compacted.success.previousIndex - model.previousIndex)
                }
                possible = [model]
              }
              yield* TestClock.adjust(yield* Random.nextIntBetween(0, 80))
            }
          })))
          memory.crash()
          // Now the process alone, now the machine with it.
          yield* (yield* Random.nextBoolean) ? memory.restart : memory.restartProcess
          stopped++
          model = yield* withLog(disk, (log) =>
            Effect.map(dump(log), (entries): Model => ({
              hardState: `${log.recovered.hardState.term} ${log.recovered.hardState.vote}`,
              previousIndex: log.recovered.previousIndex,
              entries
            })), { segmentBytes: 600 })
          const found = possible.some((candidate) => covers(candidate, model))
          assert.isTrue(
            found,
            `round ${round}: found ${JSON.stringify(model)}, expected one of ${JSON.stringify(possible)}`
          )
        }
        assert.strictEqual(stopped, 100)
      }).pipe(Random.withSeed(seed)))
  }
})

/** Equal, except that a compaction under way may have moved the start or not. */
const covers = (expected: Model, found: Model): boolean => {
  if (expected.hardState !== found.hardState) return false
  const skip = found.previousIndex - expected.previousIndex
  return skip >= 0 && skip <= expected.entries.length / 2 + 1 &&
    expected.entries.slice(skip).join() === found.entries.join()
}
