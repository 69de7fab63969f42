/** Damage at every byte of a log, and what each source of the missing entries makes of it. */
import type { Entry, LogStore } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result } from "effect"
import { TestClock } from "effect/testing"
import { Disk } from "../src/Disk.ts"
import * as Limits from "../src/Limits.ts"
import * as LogRepair from "../src/LogRepair.ts"
import * as MemoryDisk from "../src/MemoryDisk.ts"
import { append, dump, entry, withLog } from "./support.ts"

type Memory = MemoryDisk.MemoryDisk["Service"]

/** Terms 1, 1, 1, 1, 2, 2, 3, 3: the fifth entry was replaced. */
const final = [1, 1, 1, 1, 2, 2, 3, 3, 3, 3].map((term, at) => entry(at + 1, term))
const hardState = { term: 3, vote: "00000000000000bb" }

const fill = Effect.fnUntraced(function*(disk: Disk["Service"], segmentBytes: number) {
  yield* withLog(disk, (log) =>
    Effect.gen(function*() {
      yield* log.write([{ _tag: "HardState", hardState: { term: 1, vote: "00000000000000aa" } }, append(1, 3, 1)])
      yield* log.write([append(4, 5, 1)])
      yield* log.write([{ _tag: "HardState", hardState: { term: 2, vote: "" } }, append(5, 6, 2)])
      yield* log.write([{ _tag: "HardState", hardState }])
      yield* log.write([append(7, 8, 3)])
      yield* log.write([append(9, 9, 3)])
      yield* log.write([append(10, 10, 3)])
      yield* TestClock.adjust(Limits.idleMarkMillis)
    }), { segmentBytes })
})

const sources = (options: {
  readonly applied?: number
  readonly peer?: ReadonlyArray<Entry.Entry>
}) => {
  const applied = options.applied ?? 0
  return {
    applied: Effect.succeed(
      applied === 0 ? Option.none() : Option.some({ index: applied, term: final[applied - 1]!.term })
    ),
    entries: (before: LogRepair.Position, behind: LogRepair.Position) =>
      Effect.succeed(
        options.peer === undefined
          ? Option.none()
          : Option.some(options.peer.filter(({ index }) => index >= before.index && index <= behind.index))
      )
  }
}

const repair = (disk: Disk["Service"], segmentBytes: number, from: ReturnType<typeof sources>) =>
  Effect.provideService(LogRepair.repair({ directory: "/log", segmentBytes }, from), Disk, disk)

const texts = (entries: ReadonlyArray<Entry.Entry>) =>
  entries.map(({ data, index, term }) => `${index}/${term}:${data[0]}*${data.length}`)

const open = (disk: Disk["Service"]) =>
  Effect.result(withLog(disk, (log) => Effect.map(dump(log), (entries) => ({ entries, found: log.recovered }))))

/** Damages the log in every place, one after the other, mends it, and looks what has become of it. */
const everywhere = Effect.fnUntraced(function*(options: {
  readonly segmentBytes: number
  readonly from: ReturnType<typeof sources>
  readonly lengthOfDamage: number
  readonly check: (
    result: { readonly entries: ReadonlyArray<string>; readonly found: LogStore.Recovered },
    where: string
  ) => void
}) {
  const { disk, memory } = yield* MemoryDisk.make
  yield* fill(disk, options.segmentBytes)
  const files = new Map<string, Uint8Array>()
  for (const name of yield* disk.list("/log")) {
    if (!name.endsWith(".log")) continue
    const content = memory.content(`/log/${name}`)
    files.set(`/log/${name}`, content.slice(0, recordEnd(content) + 100))
  }
  const counts = { mended: 0, beyond: 0 }
  for (const [path, original] of files) {
    for (let offset = 0; offset < recordEnd(original); offset += options.lengthOfDamage === 1 ? 7 : 13) {
      yield* disk.remove("/log")
      yield* disk.makeDirectory("/log")
      for (const [other, bytes] of files) memory.put(other, bytes)
      damage(memory, path, offset, options.lengthOfDamage)
      const where = `${path} at ${offset}`
      if (Result.isSuccess(yield* open(disk))) continue
      const outcome = yield* repair(disk, options.segmentBytes, options.from)
      const after = yield* open(disk)
      if (outcome._tag === "Beyond") {
        assert.isTrue(Result.isFailure(after), where)
        counts.beyond++
        continue
      }
      counts.mended++
      if (Result.isFailure(after)) return assert.fail(`${where}: ${after.failure.message}`)
      options.check(after.success, where)
    }
  }
  return counts
})

const damage = (memory: Memory, path: string, offset: number, length: number) => {
  const { length: size } = memory.content(path)
  for (let at = offset; at < Math.min(offset + length, size); at++) memory.rot(path, at, 0x5a)
}

const recordEnd = (bytes: Uint8Array): number => bytes.findLastIndex((byte) => byte !== 0) + 1

for (const segmentBytes of [1 << 20, 330]) {
  for (const lengthOfDamage of [1, 60]) {
    const what = `${lengthOfDamage} damaged bytes ${segmentBytes < 1000 ? "in many segments" : "in one segment"}`
    describe(what, () => {
      it.effect("are made up for by the state, wherever nothing else can have been lost: the log begins behind them", () =>
        Effect.gen(function*() {
          const counts = yield* everywhere({
            segmentBytes,
            lengthOfDamage,
            from: sources({ applied: 10 }),
            check: ({ entries, found }, where) => {
              assert.deepStrictEqual(entries, texts(final.slice(found.previousIndex)), where)
              assert.strictEqual(found.lastIndex, 10, where)
              assert.strictEqual(found.previousTerm, final[found.previousIndex - 1]?.term ?? 0, where)
              assert.deepStrictEqual(found.hardState, hardState, where)
            }
          })
          assert.isAbove(counts.mended, 20)
        }))

      it.effect("are replaced by what a peer has committed, and the log is whole", () =>
        Effect.gen(function*() {
          const counts = yield* everywhere({
            segmentBytes,
            lengthOfDamage,
            from: sources({ peer: final }),
            check: ({ entries, found }, where) => {
              assert.deepStrictEqual(entries, texts(final), where)
              assert.deepStrictEqual(found.hardState, hardState, where)
            }
          })
          assert.isAbove(counts.mended, 20)
        }))

      it.effect("are never replaced by entries of a peer whose terms are others", () =>
        Effect.gen(function*() {
          for (const changed of [1, 6]) {
            const peer = final.map(({ index, term }) => entry(index, index < changed ? term : term + 1))
            yield* everywhere({
              segmentBytes,
              lengthOfDamage,
              from: sources({ peer }),
              check: ({ entries }, where) => assert.deepStrictEqual(entries, texts(final), where)
            })
          }
        }))

      it.effect("without state or peer cost nothing but marks, or the log stays as it is", () =>
        Effect.gen(function*() {
          const counts = yield* everywhere({
            segmentBytes,
            lengthOfDamage,
            from: sources({}),
            check: ({ entries, found }, where) => {
              assert.deepStrictEqual(entries, texts(final), where)
              assert.deepStrictEqual(found.hardState, hardState, where)
            }
          })
          assert.isAbove(counts.beyond, 20)
        }))
    })
  }
}

describe("repair", () => {
  it.effect("cut off by a crash at any step leaves the damaged log or the mended one", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      for (let step = 1;; step++) {
        const { disk, memory } = yield* MemoryDisk.make
        yield* fill(disk, 330)
        damage(memory, "/log/00000000000000000002.log", 200, 1)
        memory.crashAt(memory.steps() + step)
        const outcome = yield* Effect.exit(repair(disk, 330, sources({ peer: final })))
        memory.crash()
        yield* memory.restart
        yield* Effect.provideService(LogRepair.settle("/log"), Disk, disk)
        assert.deepStrictEqual((yield* disk.list("/")).filter((name) => name.startsWith("log")), ["log"])
        const after = yield* open(disk)
        if (Result.isSuccess(after)) assert.deepStrictEqual(after.success.entries, texts(final), `step ${step}`)
        else assert.strictEqual(after.failure.reason, "Corrupt", `step ${step}`)
        seen.add(after._tag)
        if (outcome._tag === "Success") break
      }
      assert.deepStrictEqual([...seen].sort(), ["Failure", "Success"])
    }))

  it.effect("does not take a vote for absent that may have stood in a hole, even where no entry is missing", () =>
    Effect.gen(function*() {
      const { disk, memory } = yield* MemoryDisk.make
      yield* withLog(disk, (log) =>
        Effect.gen(function*() {
          yield* log.write([append(1, 3, 1)])
          yield* log.write([{ _tag: "HardState", hardState }])
          yield* log.write([{ _tag: "Reset", index: 20, term: 3 }])
          yield* log.write([append(21, 22, 3)])
          yield* TestClock.adjust(Limits.idleMarkMillis)
        }))
      const file = "/log/00000000000000000001.log"
      const content = memory.content(file)
      const vote = new TextDecoder("latin1").decode(content).indexOf(hardState.vote)
      memory.rot(file, vote, 1)
      assert.strictEqual((yield* repair(disk, 1 << 20, sources({ applied: 10, peer: final })))._tag, "Beyond")
    }))

  it.effect("changes nothing in a log that somebody has open", () =>
    Effect.gen(function*() {
      const { disk } = yield* MemoryDisk.make
      yield* withLog(disk, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(repair(disk, 330, sources({})))
          assert.strictEqual((error as LogStore.LogStoreError).reason, "Locked")
        }))
    }))
})
