/**
 * `Storage` in memory. The medium outlives the layer, so that a member can be stopped and started again; `crash` leaves what a crash of
 * the machine may leave: a prefix of the batches since the last flush.
 */
import { Effect, Layer, Option, Random } from "effect"
import { OrderedMap, type OrderedView } from "./OrderedMap.ts"
import { type Reader, type Row, type ScanOptions, Storage, StorageError, type Write } from "./Storage.ts"

/** What survives a restart. Mutable; used by one layer at a time. */
export interface Medium {
  map: OrderedMap
  /** What a crash may go back to; absent when no crash will be asked for. */
  unflushed: { readonly flushed: OrderedMap; readonly batches: Array<ReadonlyArray<Write>> } | undefined
}

/** With `crashes`, everything written since the last flush is kept twice. */
export const makeMedium = (options?: { readonly crashes?: boolean }): Medium => ({
  map: new OrderedMap(),
  unflushed: options?.crashes === true ? { flushed: new OrderedMap(), batches: [] } : undefined
})

/** A medium of its own with the same content. */
export const copy = (medium: Medium): Medium => ({
  map: medium.map.clone(),
  unflushed: medium.unflushed &&
    { flushed: medium.unflushed.flushed.clone(), batches: medium.unflushed.batches.slice() }
})

/** Takes back all but a prefix of the batches since the last flush. The layer on this medium must be closed. */
export const crash = Effect.fnUntraced(function*(medium: Medium) {
  const { unflushed } = medium
  if (unflushed === undefined) return yield* Effect.die(new Error("this medium was made without crashes"))
  const kept = yield* Random.nextIntBetween(0, unflushed.batches.length)
  medium.map = unflushed.flushed.clone()
  for (const batch of unflushed.batches.slice(0, kept)) apply(medium.map, batch)
  // What was found on the medium after a crash does not leave it in the next one.
  markFlushed(medium)
})

const apply = (map: OrderedMap, batch: ReadonlyArray<Write>): void => {
  for (const write of batch) {
    if (write._tag === "Put") map.set(write.key, write.value)
    else if (write._tag === "Delete") map.delete(write.key)
    else map.deleteRange(write.from, write.to)
  }
}

const markFlushed = (medium: Medium): void => {
  if (medium.unflushed !== undefined) medium.unflushed = { flushed: medium.map.clone(), batches: [] }
}

const rows = (view: OrderedView | OrderedMap, options: ScanOptions): ReadonlyArray<Row> => {
  const found: Array<Row> = []
  let bytes = 0
  view.scan({
    from: options.from,
    to: options.to,
    reverse: options.reverse === true,
    visit: (key, value) => {
      found.push({ key, value })
      bytes += key.length + value.length
      return found.length < options.limit && bytes <= (options.bytesMax ?? Infinity)
    }
  })
  return found
}

const closed = (): StorageError =>
  new StorageError({ reason: "Closed", message: "the storage was used after its scope had closed" })

const makeReader = (view: () => OrderedView | OrderedMap, isOpen: () => boolean): Reader => {
  const whileOpen = <A>(read: () => A): Effect.Effect<A, StorageError> =>
    Effect.suspend(() => (isOpen() ? Effect.succeed(read()) : Effect.fail(closed())))
  return {
    get: (key) => whileOpen(() => Option.fromNullishOr(view().get(key))),
    getMany: (keys) => whileOpen(() => keys.map((key) => view().get(key))),
    scan: (options) => whileOpen(() => rows(view(), options))
  }
}

/** The storage on this medium, until the scope closes. */
export const makeOf = Effect.fnUntraced(function*(medium: Medium) {
  let open = true
  yield* Effect.addFinalizer(() => Effect.sync(() => (open = false)))
  const whileOpen = <A>(body: () => A): Effect.Effect<A, StorageError> =>
    Effect.suspend(() => (open ? Effect.succeed(body()) : Effect.fail(closed())))

  const snapshot = Effect.gen(function*() {
    const view = yield* whileOpen(() => medium.map.snapshot())
    let held = true
    yield* Effect.addFinalizer(() => Effect.sync(() => (held = false)))
    return makeReader(() => view, () => open && held)
  })

  const replace = Effect.gen(function*() {
    const map = yield* whileOpen(() => new OrderedMap())
    let held = true
    yield* Effect.addFinalizer(() => Effect.sync(() => (held = false)))
    const whileHeld = (body: () => void): Effect.Effect<void, StorageError> =>
      Effect.suspend(() => (held ? whileOpen(body) : Effect.fail(closed())))
    return {
      put: (given: ReadonlyArray<Row>) =>
        whileHeld(() => {
          for (const { key, value } of given) map.set(key, value)
        }),
      commit: whileHeld(() => {
        held = false
        medium.map = map
        markFlushed(medium)
      })
    }
  })

  return Storage.of({
    ...makeReader(() => medium.map, () => open),
    write: (batch) =>
      whileOpen(() => {
        apply(medium.map, batch)
        medium.unflushed?.batches.push(batch)
      }),
    flush: whileOpen(() => markFlushed(medium)),
    snapshot,
    replace,
    sizeBytes: whileOpen(() => medium.map.bytes)
  })
})

/** Storage on this medium. */
export const layerOf = (medium: Medium): Layer.Layer<Storage> => Layer.effect(Storage, makeOf(medium))

/** Storage that is gone with the layer. */
export const layer: Layer.Layer<Storage> = Layer.effect(Storage, Effect.suspend(() => makeOf(makeMedium())))
