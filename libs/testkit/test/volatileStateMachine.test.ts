import { Limits, SnapshotStore, StateMachine, VolatileStateMachine } from "@dkv/raft"
import { Disk, MemorySnapshot, SnapshotFile } from "@dkv/storage"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Random } from "effect"
import * as StateMachineContract from "../src/contract/StateMachineContract.ts"
import * as BootDisk from "./bootDisk.ts"
import { bytes, Journal } from "./volatileJournal.ts"

const openMachine = (store: Layer.Layer<SnapshotStore.SnapshotStore, StateMachine.StateMachineError>) =>
  Effect.suspend(() =>
    Effect.map(
      Layer.build(VolatileStateMachine.layer.pipe(
        Layer.provide(Layer.succeed(VolatileStateMachine.VolatileStateMachine, new Journal().service())),
        Layer.provide(store)
      )),
      (context) => Context.get(context, StateMachine.StateMachine)
    )
  )

const subject = (length: number) => ({
  openOther: openMachine(MemorySnapshot.layer),
  command: (n: number) => bytes(`+${n} `.repeat(1 + n % 3).padEnd(n % 2 === 0 ? length : 0)),
  nonsense: [new Uint8Array(0), bytes("-"), Uint8Array.of(255)]
})

for (const length of [10, Math.floor(Limits.snapshotBlockBytes / 7)]) {
  describe(`VolatileStateMachine over MemorySnapshot, with commands of up to ${length} bytes`, () => {
    for (const { name, run } of StateMachineContract.cases) {
      it.effect(name, () => {
        let medium = MemorySnapshot.makeMedium()
        return run({
          ...subject(length),
          open: openMachine(Layer.sync(SnapshotStore.SnapshotStore, () => MemorySnapshot.makeOf(medium))),
          crash: Effect.sync(() => void (medium = { ...medium }))
        })
      })
    }
  })

  describe(`VolatileStateMachine over SnapshotFile, with commands of up to ${length} bytes`, () => {
    for (const { name, run } of StateMachineContract.cases) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const { boot, crash } = yield* BootDisk.make
          const store = SnapshotFile.layer({ directory: "/data/state" }).pipe(
            Layer.provide(Layer.sync(Disk.Disk, boot))
          )
          yield* run({
            ...subject(length),
            open: openMachine(store),
            crash
          })
        }).pipe(Random.withSeed(name)))
    }
  })
}
