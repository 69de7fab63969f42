/** Raft's `SnapshotStore` in memory. The medium outlives the layer, so that a member can be stopped and started again. */
import { SnapshotStore } from "@dkv/raft"
import { Effect, Layer, Option } from "effect"

/** What survives a restart. Mutable; used by one layer at a time. */
export interface Medium {
  /** The chunks of the stored snapshot. */
  stored: ReadonlyArray<Uint8Array> | undefined
}

export const makeMedium = (): Medium => ({ stored: undefined })

/** Positions are the chunks' numbers. */
const readerOf = (chunks: ReadonlyArray<Uint8Array>): SnapshotStore.StoredSnapshot["read"] => (position) =>
  Effect.sync(() => {
    const data = chunks[position]
    return data === undefined ? Option.none() : Option.some({ data, next: position + 1 })
  })

export const makeOf = (medium: Medium): SnapshotStore.SnapshotStore["Service"] =>
  SnapshotStore.SnapshotStore.of({
    stored: Effect.sync(() =>
      Option.map(Option.fromUndefinedOr(medium.stored), (chunks) => ({ read: readerOf(chunks) }))
    ),
    draft: Effect.sync(() => {
      const chunks: Array<Uint8Array> = []
      let committed = false
      return {
        read: readerOf(chunks),
        write: (chunk) =>
          Effect.suspend(() => {
            if (committed) return Effect.die(new Error("a chunk came after the commit"))
            chunks.push(chunk)
            return Effect.void
          }),
        commit: Effect.sync(() => {
          committed = true
          medium.stored = chunks
        })
      }
    })
  })

/** A store on this medium. */
export const layerOf = (medium: Medium): Layer.Layer<SnapshotStore.SnapshotStore> =>
  Layer.sync(SnapshotStore.SnapshotStore, () => makeOf(medium))

/** A store that is gone with the layer. */
export const layer: Layer.Layer<SnapshotStore.SnapshotStore> = Layer.sync(
  SnapshotStore.SnapshotStore,
  () => makeOf(makeMedium())
)
