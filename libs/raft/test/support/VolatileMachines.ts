/** The adapter of volatile state machines by itself, and what its tests do with it. */
import { Context, Effect, Layer, Option } from "effect"
import { EntryKind } from "../../src/core/Entry.ts"
import * as Entry from "../../src/Entry.ts"
import { SnapshotStore } from "../../src/SnapshotStore.ts"
import type { SnapshotReader } from "../../src/StateMachine.ts"
import { StateMachine } from "../../src/StateMachine.ts"
import * as VolatileStateMachine from "../../src/VolatileStateMachine.ts"
import { Journal } from "./Journal.ts"
import { bytes, text } from "./Register.ts"
import { SnapshotMedium } from "./SnapshotMedium.ts"

export type Machine = StateMachine["Service"]

/** The adapter over a state machine and a medium, in the present scope. */
export const open = (machine: VolatileStateMachine.VolatileStateMachine["Service"], medium: SnapshotMedium) =>
  Layer.build(
    VolatileStateMachine.layer.pipe(
      Layer.provide(Layer.succeed(VolatileStateMachine.VolatileStateMachine, machine)),
      Layer.provide(Layer.succeed(SnapshotStore, medium.service()))
    )
  ).pipe(Effect.map((context) => Context.get(context, StateMachine)))

/** Applies the commands; the head says the last one. */
export const apply = (machine: Machine, ...commands: ReadonlyArray<string>) =>
  machine.apply(
    commands.map((command, n) => Entry.make(n + 1, 1, EntryKind.Command, bytes(command))),
    { head: bytes(commands.at(-1)!), changes: () => [] }
  )

/** What a machine finds that begins with this medium after a crash: the head, then the state. */
export const afterCrash = Effect.fnUntraced(function*(medium: SnapshotMedium) {
  medium.crash()
  const journal = new Journal()
  const { head } = yield* (yield* open(journal.service(), medium)).recover
  return [Option.getOrElse(Option.map(head, text), () => ""), ...journal.commands]
}, Effect.scoped)

export const chunksOf = Effect.fnUntraced(function*(reader: SnapshotReader) {
  const chunks: Array<Uint8Array> = []
  for (let cursor = Option.some(new Uint8Array(0)); Option.isSome(cursor);) {
    const { data, next } = yield* reader.read(cursor.value)
    chunks.push(data)
    cursor = next as typeof cursor
  }
  return chunks
})

/** A snapshot of another machine that has applied these. */
export const snapshotOf = (...commands: ReadonlyArray<string>) =>
  Effect.scoped(Effect.gen(function*() {
    const machine = yield* open(new Journal().service(), new SnapshotMedium())
    yield* apply(machine, ...commands)
    return yield* chunksOf(yield* machine.snapshot)
  }))

export const install = Effect.fnUntraced(function*(machine: Machine, chunks: ReadonlyArray<Uint8Array>) {
  const writer = yield* machine.install
  for (const chunk of chunks) yield* writer.write(chunk)
  yield* writer.commit
}, Effect.scoped)
