/** What raft relies on in a witness' state machine: its own state comes back, nothing else gets in. The contract's other cases are about commands, of which it takes none. */
import type { SnapshotStore } from "@dkv/raft"
import { Entry, EntryKind, StateMachine, VolatileStateMachine, WitnessStateMachine } from "@dkv/raft"
import { Disk, MemorySnapshot, SnapshotFile } from "@dkv/storage"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, Option, Random } from "effect"
import * as BootDisk from "./bootDisk.ts"
import { bytes, Journal, text } from "./volatileJournal.ts"

type Machine = StateMachine.StateMachine["Service"]

const open = <E>(layer: Layer.Layer<StateMachine.StateMachine, E>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, StateMachine.StateMachine))

const witness = (store: Layer.Layer<SnapshotStore.SnapshotStore, StateMachine.StateMachineError>) =>
  open(Layer.fresh(Layer.provide(WitnessStateMachine.layer, store)))

const headOf = (machine: Machine) =>
  Effect.map(machine.recover, ({ head }) => Option.getOrUndefined(Option.map(head, text)))

const keep = (machine: Machine, head: string) => machine.apply([], { head: bytes(head), changes: () => [] })

const chunksOf = Effect.fnUntraced(function*(machine: Machine) {
  const reader = yield* machine.snapshot
  const chunks: Array<Uint8Array> = []
  for (let cursor: Option.Option<Uint8Array> = Option.some(new Uint8Array(0)); Option.isSome(cursor);) {
    const { data, next } = yield* reader.read(cursor.value)
    chunks.push(data)
    cursor = next
  }
  return chunks
}, Effect.scoped)

const install = Effect.fnUntraced(function*(machine: Machine, chunks: ReadonlyArray<Uint8Array>) {
  const writer = yield* machine.install
  for (const chunk of chunks) yield* writer.write(chunk)
  yield* writer.commit
}, Effect.scoped)

describe("the state machine of a witness", () => {
  it.effect("has raft's head as of the last flush after a crash, and as of the last batch until then", () =>
    Effect.gen(function*() {
      const { boot, crash } = yield* BootDisk.make
      const store = SnapshotFile.layer({ directory: "/data/state" }).pipe(Layer.provide(Layer.sync(Disk.Disk, boot)))
      yield* Effect.scoped(Effect.gen(function*() {
        const machine = yield* witness(store)
        assert.isUndefined(yield* headOf(machine))
        yield* keep(machine, "one")
        yield* machine.flush
        yield* keep(machine, "two")
        assert.strictEqual(yield* headOf(machine), "two")
        yield* crash
      }))
      assert.strictEqual(yield* headOf(yield* witness(store)), "one")
    }).pipe(Effect.scoped, Random.withSeed("witness")))

  it.effect("takes a snapshot that has only a head in it, durably", () =>
    Effect.gen(function*() {
      const source = yield* witness(MemorySnapshot.layer)
      yield* keep(source, "seven")
      const medium = MemorySnapshot.makeMedium()
      const machine = yield* witness(MemorySnapshot.layerOf(medium))
      yield* keep(machine, "two")
      yield* install(machine, yield* chunksOf(source))
      assert.strictEqual(yield* headOf(machine), "seven")
      assert.strictEqual(yield* headOf(yield* witness(MemorySnapshot.layerOf(medium))), "seven")
    }).pipe(Effect.scoped))

  it.effect("refuses a snapshot with data in it, and stays as it was", () =>
    Effect.gen(function*() {
      const source = yield* open(VolatileStateMachine.layer.pipe(
        Layer.provide(Layer.succeed(VolatileStateMachine.VolatileStateMachine, new Journal().service())),
        Layer.provide(MemorySnapshot.layer)
      ))
      yield* source.apply([Entry.make(7, 1, EntryKind.Command, bytes("+x"))], {
        head: bytes("seven"),
        changes: () => []
      })
      const machine = yield* witness(MemorySnapshot.layer)
      yield* keep(machine, "two")
      const error = yield* Effect.flip(install(machine, yield* chunksOf(source)))
      assert.deepInclude(error, { reason: "Snapshot", message: "it holds data, and this member is a witness" })
      assert.strictEqual(yield* headOf(machine), "two")
      yield* keep(machine, "three")
    }).pipe(Effect.scoped))

  it.effect("takes no command: whoever gives it one has made a mistake", () =>
    Effect.gen(function*() {
      const machine = yield* witness(MemorySnapshot.layer)
      const exit = yield* Effect.exit(
        machine.apply([Entry.make(7, 1, EntryKind.Command, bytes("+x"))], { head: bytes("seven"), changes: () => [] })
      )
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    }).pipe(Effect.scoped))
})
