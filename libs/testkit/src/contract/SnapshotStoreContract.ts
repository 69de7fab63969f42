/** What every layer of raft's `SnapshotStore` has to do, as cases that any test runner can run: register each `run` under its `name`. */
import { Limits, type SnapshotStore, type StateMachine } from "@dkv/raft"
import { Effect, Option, type Scope } from "effect"
import * as assert from "node:assert/strict"

export interface Subject {
  /** Opens the store. After the scope has closed, the next call finds what the one before left. */
  readonly open: Effect.Effect<Store, StateMachine.StateMachineError, Scope.Scope>
  /** The computer stops now: the next `open` finds what survived, whatever is still done with the one that is open. */
  readonly crash: Effect.Effect<void>
}

export interface Case {
  readonly name: string
  readonly run: (subject: Subject) => Effect.Effect<void, StateMachine.StateMachineError, Scope.Scope>
}

type Store = SnapshotStore.SnapshotStore["Service"]

/** Chunk number `n` of snapshot `name`, of some size. */
const chunk = (name: number, n: number, size = 100 + n): Uint8Array =>
  Uint8Array.from({ length: size }, (_, at) => name * 41 + n * 7 + at)

/** The chunks of a snapshot that has `count` of them. */
export const chunksOf = (name: number, count: number): ReadonlyArray<Uint8Array> =>
  Array.from({ length: count }, (_, n) => chunk(name, n))

/** Stores these chunks. */
export const replace = Effect.fnUntraced(function*(store: Store, chunks: ReadonlyArray<Uint8Array>) {
  const draft = yield* store.draft
  for (const data of chunks) yield* draft.write(data)
  yield* draft.commit
}, Effect.scoped)

/** All chunks from `position` on. */
export const readFrom = Effect.fnUntraced(function*(snapshot: SnapshotStore.StoredSnapshot, position = 0) {
  const chunks: Array<Uint8Array> = []
  for (let at = position;;) {
    const found = yield* snapshot.read(at)
    if (Option.isNone(found)) return chunks
    assert.ok(found.value.next > at, "the next chunk stands behind")
    chunks.push(found.value.data)
    at = found.value.next
  }
})

/** What is stored, or undefined. */
export const read = Effect.fnUntraced(function*(store: Store) {
  const stored = yield* store.stored
  return Option.isNone(stored) ? undefined : yield* readFrom(stored.value)
}, Effect.scoped)

export const isSame = (one: ReadonlyArray<Uint8Array> | undefined, other: ReadonlyArray<Uint8Array> | undefined) =>
  one?.length === other?.length && (one ?? []).every((data, n) => Buffer.compare(data, other![n]!) === 0)

const assertSame = (
  actual: ReadonlyArray<Uint8Array> | undefined,
  expected: ReadonlyArray<Uint8Array> | undefined,
  what?: string
): void =>
  assert.ok(
    isSame(actual, expected),
    what ?? `${actual?.length} chunks, not the ${expected?.length} that were expected`
  )

const inTurn =
  (...bodies: ReadonlyArray<(store: Store) => Effect.Effect<void, StateMachine.StateMachineError, Scope.Scope>>) =>
  ({ open }: Subject) => Effect.forEach(bodies, (body) => Effect.scoped(Effect.flatMap(open, body)), { discard: true })

export const cases: ReadonlyArray<Case> = [
  {
    name: "a new store holds nothing",
    run: inTurn((store) => Effect.map(read(store), (found) => assertSame(found, undefined)))
  },
  {
    name: "what was committed is read back chunk by chunk, and found again after a restart",
    run: inTurn(
      (store) =>
        Effect.gen(function*() {
          yield* replace(store, chunksOf(1, 20))
          assertSame(yield* read(store), chunksOf(1, 20))
        }),
      (store) => Effect.map(read(store), (found) => assertSame(found, chunksOf(1, 20)))
    )
  },
  {
    name: "chunks of no bytes, of one, and of the largest size keep their cuts",
    run: inTurn((store) =>
      Effect.gen(function*() {
        const chunks = [0, 1, Limits.snapshotBlockBytesMax, 0, 3, 0].map((size, n) => chunk(1, n, size))
        yield* replace(store, chunks)
        assertSame(yield* read(store), chunks)
      })
    )
  },
  {
    name: "a snapshot without chunks is one all the same",
    run: inTurn(
      (store) => replace(store, []),
      (store) => Effect.map(read(store), (found) => assertSame(found, []))
    )
  },
  {
    name: "a snapshot replaces the one before as a whole, longer or shorter",
    run: inTurn((store) =>
      Effect.gen(function*() {
        for (const [name, count] of [[1, 10], [2, 3], [3, 30], [4, 1]] as const) {
          yield* replace(store, chunksOf(name, count))
          assertSame(yield* read(store), chunksOf(name, count))
        }
      })
    )
  },
  {
    name: "an open snapshot stays as it was while others replace it, and the same position gives the same chunk",
    run: inTurn((store) =>
      Effect.gen(function*() {
        yield* replace(store, chunksOf(1, 10))
        const opened = Option.getOrThrow(yield* store.stored)
        const positions = [0]
        for (let n = 0; n < 10; n++) positions.push(Option.getOrThrow(yield* opened.read(positions[n]!)).next)
        yield* replace(store, chunksOf(2, 3))
        yield* replace(store, chunksOf(3, 20))
        assertSame(yield* readFrom(opened), chunksOf(1, 10))
        for (const n of [7, 0, 9, 7, 3]) assertSame(yield* readFrom(opened, positions[n]), chunksOf(1, 10).slice(n))
        assertSame(yield* read(store), chunksOf(3, 20))
      })
    )
  },
  {
    name: "a draft can be read while it is written, and after it was committed",
    run: inTurn((store) =>
      Effect.gen(function*() {
        const draft = yield* store.draft
        assertSame(yield* readFrom(draft), [])
        for (const data of chunksOf(1, 5)) yield* draft.write(data)
        assertSame(yield* readFrom(draft), chunksOf(1, 5))
        assertSame(yield* readFrom(draft), chunksOf(1, 5))
        yield* draft.write(chunk(1, 5))
        yield* draft.commit
        assertSame(yield* readFrom(draft), chunksOf(1, 6))
        yield* replace(store, chunksOf(2, 2))
        assertSame(yield* readFrom(draft), chunksOf(1, 6))
      })
    )
  },
  {
    name: "a draft that is given up leaves what is stored, also when it was all but committed",
    run: inTurn(
      (store) => replace(store, chunksOf(1, 4)),
      (store) =>
        Effect.gen(function*() {
          yield* Effect.scoped(
            Effect.flatMap(store.draft, (draft) => Effect.forEach(chunksOf(2, 9), draft.write, { discard: true }))
          )
          assertSame(yield* read(store), chunksOf(1, 4))
          const draft = yield* store.draft
          yield* draft.write(chunk(3, 0))
        }),
      (store) => Effect.map(read(store), (found) => assertSame(found, chunksOf(1, 4)))
    )
  },
  {
    name: "drafts that are made at the same time do not mix, and the last one to be committed counts",
    run: inTurn(
      (store) =>
        Effect.gen(function*() {
          const one = yield* store.draft
          const other = yield* store.draft
          const third = yield* store.draft
          for (let n = 0; n < 5; n++) {
            yield* one.write(chunk(1, n))
            yield* other.write(chunk(2, n))
            yield* third.write(chunk(3, n))
          }
          yield* other.commit
          assertSame(yield* read(store), chunksOf(2, 5))
          yield* one.commit
          assertSame(yield* read(store), chunksOf(1, 5))
          assertSame(yield* readFrom(third), chunksOf(3, 5))
        }),
      (store) => Effect.map(read(store), (found) => assertSame(found, chunksOf(1, 5)))
    )
  },
  {
    name: "what was committed is there after a crash, and what was not is not",
    run: ({ crash, open }) =>
      Effect.gen(function*() {
        for (let name = 1; name < 10; name++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const store = yield* open
            assertSame(yield* read(store), name === 1 ? undefined : chunksOf(name - 1, name), `before snapshot ${name}`)
            yield* replace(store, chunksOf(name, name + 1))
            const draft = yield* store.draft
            for (const data of chunksOf(name + 50, 3)) yield* draft.write(data)
            yield* crash
          }))
        }
      })
  }
]
