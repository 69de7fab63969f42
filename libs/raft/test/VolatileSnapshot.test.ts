/** Snapshots of volatile state machines: what is found on start, what is sent, and what is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import * as Codec from "../src/codec/SnapshotCodec.ts"
import * as Crc32c from "../src/Crc32c.ts"
import * as Limits from "../src/Limits.ts"
import { StateMachineError } from "../src/StateMachine.ts"
import { Journal } from "./support/Journal.ts"
import { SnapshotMedium } from "./support/SnapshotMedium.ts"
import { afterCrash, apply, chunksOf, install, open, snapshotOf } from "./support/VolatileMachines.ts"

describe("a start", () => {
  it.effect("without a snapshot begins at the beginning, even if the state outlived the last member", () =>
    Effect.gen(function*() {
      const journal = new Journal()
      journal.commands = ["left over"]
      yield* open(journal.service(), new SnapshotMedium())
      assert.deepStrictEqual(journal.commands, [])
    }))

  const damaged = Effect.fnUntraced(function*(spoil: (medium: SnapshotMedium) => void) {
    const medium = new SnapshotMedium()
    yield* Effect.scoped(
      Effect.flatMap(open(new Journal().service(), medium), (machine) => apply(machine, "a", "b".repeat(600_000)))
    )
    spoil(medium)
    const journal = new Journal()
    const error = yield* Effect.flip(Effect.scoped(open(journal.service(), medium)))
    assert.strictEqual(journal.restores, 0, "the state machine sees nothing of it")
    return error
  })
  const spoilBlock = (n: number, offset: number, mask = 1) => (medium: SnapshotMedium) => {
    const block = medium.stored!.at(n)!.slice()
    block[block.length > offset ? offset : block.length - 1]! ^= mask
    medium.stored = medium.stored!.with(n, block)
  }

  it.effect("a snapshot that the store finds damaged is refused, with what to do", () =>
    Effect.gen(function*() {
      const { message, reason } = yield* damaged((medium) => {
        medium.damage = new StateMachineError({
          reason: "Corrupt",
          message: "/state/snapshot at 12: a chunk is damaged"
        })
      })
      assert.strictEqual(reason, "Corrupt")
      assert.strictEqual(
        message,
        "The stored snapshot cannot be used: /state/snapshot at 12: a chunk is damaged. " +
          "Remove this member's data directory and start it again; the others rebuild it."
      )
    }))

  it.effect("a snapshot that a newer version or another program wrote is refused, with what to do", () =>
    Effect.gen(function*() {
      const newer = yield* damaged(spoilBlock(0, 4, 3))
      assert.strictEqual(newer.reason, "Foreign")
      assert.match(newer.message, /format 2, this program knows 1.*Start the version that wrote it.*Otherwise: Remove/)
      assert.match((yield* damaged(spoilBlock(0, 0))).message, /no snapshot of a volatile state machine/)
      const unknown = yield* damaged((medium) => void (medium.stored = []))
      assert.match(unknown.message, /ends before its last block/)
    }))

  it.effect("blocks that were changed, left out or put elsewhere are found before the state machine sees any", () =>
    Effect.gen(function*() {
      for (const n of [0, 1, -1]) assert.match((yield* damaged(spoilBlock(n, 5000))).message, /is damaged/)
      const [swapped, without] = yield* Effect.all([
        damaged((medium) => void (medium.stored = [0, 2, 1].map((n) => medium.stored![n]!))),
        damaged((medium) => void (medium.stored = medium.stored!.toSpliced(1, 1)))
      ])
      for (const { message } of [swapped, without]) assert.match(message, /does not follow/)
    }))
})

describe("a snapshot", () => {
  it.effect("that the state machine refuses changes nothing, and the next one is taken", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const journal = new Journal()
      const machine = yield* open(journal.service(), medium)
      yield* apply(machine, "a")
      const refusal = yield* Effect.flip(install(machine, yield* snapshotOf("nonsense")))
      assert.deepStrictEqual([refusal.reason, refusal.message], ["Snapshot", "this is no journal"])
      yield* apply(machine, "b")
      yield* machine.flush
      assert.deepStrictEqual(yield* afterCrash(medium), ["b", "a", "b"])
    }))

  it.effect("whose blocks are sound and say something else than a snapshot is refused", () =>
    Effect.gen(function*() {
      const machine = yield* open(new Journal().service(), new SnapshotMedium())
      const blocks = yield* snapshotOf("b".repeat(Limits.snapshotBlockBytes))
      const [first, second] = blocks
      /** A first block with these items, and a checksum that fits. */
      const forged = (last: boolean, ...items: ReadonlyArray<number>) => {
        const end = Codec.headBytes + items.length
        const block = first!.slice(0, end + 4)
        block[5] = last ? 1 : 0
        block.set(items, Codec.headBytes)
        new DataView(block.buffer).setUint32(end, Crc32c.checksum(block.subarray(0, end)))
        return block
      }
      const refused: ReadonlyArray<readonly [RegExp, ReadonlyArray<Uint8Array>]> = [
        [/ends within an item/, [forged(true, 3, 0, 0, 0, 9, 1)]],
        [/ends within an item/, [forged(true, 3, 0)]],
        [/kind 0/, [forged(true, 0, 0, 0, 0, 0)]],
        [/kind 4/, [forged(true, 4, 0, 0, 0, 0)]],
        [/kind 1 stands behind one of kind 3/, [forged(true, 3, 0, 0, 0, 1, 9, 1, 0, 0, 0, 0)]],
        [/of 4294967295 bytes is too large/, [forged(true, 3, 255, 255, 255, 255)]],
        [/record of the snapshot is cut short/, [forged(true, 2, 0, 0, 0, 4, 0, 0, 0, 1)]],
        [/record of the snapshot is cut short/, [forged(true, 2, 0, 0, 0, 3, 0, 0, 0)]],
        [/after the last one/, [forged(true, 1, 0, 0, 0, 0), second!]],
        [/does not follow/, [forged(false, 1, 0, 0, 0, 0), second!]],
        [
          /of 4194305 bytes is too large/,
          [new Uint8Array(Limits.snapshotBlockBytesMax + 1).map((_, at) => first![at] ?? 0)]
        ]
      ]
      for (const [why, forgeries] of refused) {
        const { message, reason } = yield* Effect.flip(install(machine, forgeries))
        assert.strictEqual(reason, "Snapshot")
        assert.match(message, why)
      }
      yield* install(machine, blocks)
    }))

  it.effect("of a machine to which nothing was applied is refused: raft could not go on with it", () =>
    Effect.gen(function*() {
      const empty = yield* open(new Journal().service(), new SnapshotMedium())
      const chunks = yield* Effect.scoped(Effect.flatMap(empty.snapshot, chunksOf))
      const { message, reason } = yield* Effect.flip(install(empty, chunks))
      assert.deepStrictEqual([reason, message], ["Snapshot", "the snapshot holds no raft state"])
    }))

  it.effect("that is refused halfway stays refused, whatever comes behind", () =>
    Effect.gen(function*() {
      const machine = yield* open(new Journal().service(), new SnapshotMedium())
      const blocks = yield* snapshotOf("b".repeat(600_000))
      const writer = yield* machine.install
      yield* writer.write(blocks[0]!)
      assert.strictEqual((yield* Effect.flip(writer.write(blocks[2]!))).reason, "Snapshot")
      assert.strictEqual((yield* Effect.flip(writer.write(blocks[1]!))).reason, "Snapshot")
      assert.strictEqual((yield* Effect.flip(writer.commit)).reason, "Snapshot")
    }))

  it.effect("that is read by others does not take the place of the stored one, and is let go of once it is written", () =>
    Effect.gen(function*() {
      const medium = new SnapshotMedium()
      const journal = new Journal()
      const machine = yield* open(journal.service(), medium)
      yield* apply(machine, "a")
      const scope = yield* Scope.make()
      const reader = yield* Scope.provide(machine.snapshot, scope)
      yield* apply(machine, "b")
      yield* machine.flush
      const first = yield* chunksOf(reader)
      assert.strictEqual(journal.captured, 0, "nobody needs what was captured any more")
      assert.deepStrictEqual(yield* chunksOf(reader), first)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* afterCrash(medium), ["b", "a", "b"])
    }))

  it.effect("a reader learns why a snapshot could not be written", () =>
    Effect.gen(function*() {
      const failed = new StateMachineError({ reason: "Io", message: "the source of the state is gone" })
      const machine = yield* open(
        { ...new Journal().service(), capture: Effect.succeed(Stream.fail(failed)) },
        new SnapshotMedium()
      )
      yield* apply(machine, "a")
      const reader = yield* machine.snapshot
      assert.strictEqual((yield* Effect.flip(reader.read(new Uint8Array(0)))).message, failed.message)
    }).pipe(Effect.scoped))

  it.effect("brings chunks of any size with their cuts, in blocks of one size", () =>
    Effect.gen(function*() {
      const block = Limits.snapshotBlockBytes
      const sizes = [0, 1, block - 30, 17, 0, 3 * block + 5, 2 * block, 100, 0]
      const given = sizes.map((size, n) => new Uint8Array(size).fill(n + 1))
      const source = yield* open(
        { ...new Journal().service(), capture: Effect.succeed(Stream.fromIterable(given)) },
        new SnapshotMedium()
      )
      yield* apply(source, "a")
      const blocks = yield* chunksOf(yield* source.snapshot)
      assert.isTrue(blocks.slice(0, -1).every(({ length }) => length === block))
      assert.isAtMost(blocks.at(-1)!.length, block)
      let got: ReadonlyArray<Uint8Array> = []
      const target = yield* open({
        ...new Journal().service(),
        restore: (chunks) => Effect.map(Stream.runCollect(chunks), (found) => void (got = found))
      }, new SnapshotMedium())
      yield* install(target, blocks)
      assert.deepStrictEqual(got.map(({ length }) => length), sizes)
      assert.isTrue(got.every((chunk, n) => chunk.every((byte) => byte === n + 1)))
    }).pipe(Effect.scoped))
})
