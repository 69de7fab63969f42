/** A `Storage` over a map whose writes can be held up, made to fail, and lost in a crash. */
import type { Storage } from "@dkv/storage"
import { Effect, Latch, Option } from "effect"

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"))

export class MapStorage {
  rows = new Map<string, Uint8Array>()
  /** Writes wait while it is closed. */
  readonly gate = Latch.makeUnsafe(true)
  /** A read or snapshot that has looked answers when what was this latch then is open. */
  answers = Latch.makeUnsafe(true)
  failure: Storage.StorageError | undefined
  writesUnderWay = 0
  writesUnderWayMax = 0
  writes = 0
  reads = 0
  private durable = new Map<string, Uint8Array>()
  private batches: Array<ReadonlyArray<Storage.Write>> = []

  /** Power off: what remains is the last flushed state and the first `kept` batches behind it. */
  crash(kept: number): MapStorage {
    const after = new MapStorage()
    after.rows = new Map(this.durable)
    for (const batch of this.batches.slice(0, kept)) applyTo(after.rows, batch)
    after.durable = new Map(after.rows)
    return after
  }

  get unflushed(): number {
    return this.batches.length
  }

  /** All rows in key order, as text. */
  contents(): Array<readonly [string, string]> {
    return Array.from(this.rows, ([key, value]) => [key, text(value)] as const).sort(([a], [b]) => a < b ? -1 : 1)
  }

  readonly service: Storage.Storage["Service"] = {
    ...readerOf(() => this.rows, () => this.answers, () => this.reads++),
    write: (batch) =>
      Effect.gen({ self: this }, function*() {
        this.writesUnderWay++
        this.writesUnderWayMax = Math.max(this.writesUnderWayMax, this.writesUnderWay)
        yield* this.gate.await
        this.writesUnderWay--
        if (this.failure !== undefined) return yield* Effect.fail(this.failure)
        this.writes++
        applyTo(this.rows, batch)
        this.batches.push(batch)
      }),
    flush: Effect.sync(() => {
      this.durable = new Map(this.rows)
      this.batches = []
    }),
    snapshot: Effect.suspend(() => {
      const rows = new Map(this.rows)
      return Effect.as(this.answers.await, readerOf(() => rows, () => this.answers, () => this.reads++))
    }),
    replace: Effect.sync(() => {
      const rows = new Map<string, Uint8Array>()
      return {
        put: (more) =>
          Effect.sync(() => {
            for (const { key, value } of more) rows.set(text(key), value.slice())
          }),
        commit: Effect.andThen(
          this.gate.await,
          Effect.suspend(() => {
            if (this.failure !== undefined) return Effect.fail(this.failure)
            this.rows = rows
            this.durable = new Map(rows)
            this.batches = []
            return Effect.void
          })
        )
      }
    }),
    sizeBytes: Effect.sync(() => this.rows.size)
  }
}

const applyTo = (rows: Map<string, Uint8Array>, batch: ReadonlyArray<Storage.Write>): void => {
  sorted.delete(rows)
  for (const write of batch) {
    if (write._tag === "Put") rows.set(text(write.key), write.value)
    else if (write._tag === "Delete") rows.delete(text(write.key))
    else for (const key of rows.keys()) if (key >= text(write.from) && key < text(write.to)) rows.delete(key)
  }
}

const look = <A>(answers: () => Latch.Latch, read: () => A): Effect.Effect<A> =>
  Effect.flatMap(Effect.yieldNow, () => Effect.as(answers().await, read()))

const sorted = new WeakMap<Map<string, Uint8Array>, ReadonlyArray<string>>()

const keysOf = (rows: Map<string, Uint8Array>): ReadonlyArray<string> => {
  let keys = sorted.get(rows)
  if (keys === undefined) sorted.set(rows, keys = Array.from(rows.keys()).sort())
  return keys
}

const readerOf = (
  rows: () => Map<string, Uint8Array>,
  answers: () => Latch.Latch,
  onRead: () => void
): Storage.Reader => ({
  get: (key) =>
    look(answers, () => {
      onRead()
      return Option.fromUndefinedOr(rows().get(text(key)))
    }),
  getMany: (keys) =>
    look(answers, () => {
      onRead()
      return keys.map((key) => rows().get(text(key)))
    }),
  scan: (options) =>
    look(answers, () => {
      onRead()
      const from = text(options.from)
      const to = text(options.to)
      const keys = keysOf(rows()).filter((key) => key >= from && key < to)
      if (options.reverse === true) keys.reverse()
      const found: Array<Storage.Row> = []
      let size = 0
      for (const key of keys) {
        if (found.length === options.limit) break
        const value = rows().get(key)!
        found.push({ key: bytes(key), value })
        size += key.length + value.length
        if (size > (options.bytesMax ?? Infinity)) break
      }
      return found
    })
})
