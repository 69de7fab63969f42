/**
 * What every layer of `Storage` has to do, as cases that any test runner can run: register each `run` under its `name`.
 */
import type { Storage } from "@dkv/storage"
import { Effect, Exit, Option, Random, Scope } from "effect"
import * as assert from "node:assert/strict"

export interface Subject {
  /** Opens the storage. After the scope has closed, the next call finds what the one before left. */
  readonly open: Effect.Effect<Storage.Storage["Service"], Storage.StorageError, Scope.Scope>
  /** The machine stops now: the next `open` finds what survived, whatever is still done with the one that is open. */
  readonly crash: Effect.Effect<void>
}

export interface Case {
  readonly name: string
  readonly run: (subject: Subject) => Effect.Effect<void, Storage.StorageError, Scope.Scope>
}

type Store = Storage.Storage["Service"]

const bytes = (words: string): Uint8Array => new TextEncoder().encode(words)
const words = (value: Uint8Array): string => new TextDecoder().decode(value)

export const put = (key: string, value: string): Storage.Write => ({
  _tag: "Put",
  key: bytes(key),
  value: bytes(value)
})
export const remove = (key: string): Storage.Write => ({ _tag: "Delete", key: bytes(key) })
export const removeRange = (from: string, to: string): Storage.Write => ({
  _tag: "DeleteRange",
  from: bytes(from),
  to: bytes(to)
})

const everything = { from: new Uint8Array(0), to: new Uint8Array(9).fill(255), limit: 1_000_000 }

/** The whole content as text. */
export const content = (
  reader: Storage.Reader
): Effect.Effect<ReadonlyArray<readonly [string, string]>, Storage.StorageError> =>
  Effect.map(reader.scan(everything), (rows) => rows.map(({ key, value }) => [words(key), words(value)] as const))

const get = (reader: Storage.Reader, key: string) =>
  Effect.map(reader.get(bytes(key)), Option.match({ onNone: () => undefined, onSome: words }))

const keys = (
  reader: Storage.Reader,
  options: Omit<Storage.ScanOptions, "from" | "to"> & { readonly from: string; readonly to: string }
) =>
  Effect.map(
    reader.scan({ ...options, from: bytes(options.from), to: bytes(options.to) }),
    (rows) => rows.map(({ key }) => words(key)).join(" ")
  )

const inOne = (run: (store: Store) => Effect.Effect<void, Storage.StorageError, Scope.Scope>) => (subject: Subject) =>
  Effect.scoped(Effect.flatMap(subject.open, run))

const inTurn =
  (...bodies: ReadonlyArray<(store: Store) => Effect.Effect<void, Storage.StorageError, Scope.Scope>>) =>
  (subject: Subject) =>
    Effect.forEach(bodies, (body) => Effect.scoped(Effect.flatMap(subject.open, body)), { discard: true })

const reasonOf = <A>(effect: Effect.Effect<A, Storage.StorageError, Scope.Scope>) =>
  Effect.scoped(Effect.match(effect, { onSuccess: () => "Success", onFailure: (error) => error.reason }))

/** One random batch over few keys, so that they meet often. */
const randomBatch = Effect.gen(function*() {
  const batch: Array<Storage.Write> = []
  const size = yield* Random.nextIntBetween(1, 9)
  for (let at = 0; at < size; at++) {
    const key = (yield* Random.nextIntBetween(0, 400)).toString(36).padStart(2, "0")
    const kind = yield* Random.nextIntBetween(0, 9)
    if (kind === 0) {
      const end = (yield* Random.nextIntBetween(0, 400)).toString(36).padStart(2, "0")
      batch.push(removeRange(key, end))
    } else if (kind < 3) batch.push(remove(key))
    else batch.push(put(key, `${key}-${yield* Random.nextIntBetween(0, 1_000_000)}`))
  }
  return batch
})

const applyTo = (model: Map<string, string>, batch: ReadonlyArray<Storage.Write>): void => {
  for (const write of batch) {
    if (write._tag === "Put") model.set(words(write.key), words(write.value))
    else if (write._tag === "Delete") model.delete(words(write.key))
    else for (const key of [...model.keys()]) if (key >= words(write.from) && key < words(write.to)) model.delete(key)
  }
}

const sorted = (model: ReadonlyMap<string, string>): ReadonlyArray<readonly [string, string]> =>
  [...model].sort(([a], [b]) => (a < b ? -1 : 1))

export const cases: ReadonlyArray<Case> = [
  {
    name: "a key that is absent is none, one with an empty value is some",
    run: inOne((store) =>
      Effect.gen(function*() {
        yield* store.write([put("empty", ""), put("full", "value")])
        assert.equal(yield* get(store, "absent"), undefined)
        assert.equal(yield* get(store, "empty"), "")
        assert.equal(yield* get(store, "full"), "value")
        const many = yield* store.getMany([bytes("full"), bytes("absent"), bytes("empty"), bytes("full")])
        assert.deepEqual(many.map((value) => value && words(value)), ["value", undefined, "", "value"])
        assert.deepEqual(yield* store.getMany([]), [])
      })
    )
  },
  {
    name: "changes of a batch take effect in the order given",
    run: inOne((store) =>
      Effect.gen(function*() {
        yield* store.write([
          put("a", "1"),
          put("a", "2"),
          put("b", "1"),
          remove("b"),
          put("c", "1"),
          removeRange("c", "d"),
          put("c", "2")
        ])
        assert.deepEqual(yield* content(store), [["a", "2"], ["c", "2"]])
        yield* store.write([])
        yield* store.write([remove("absent"), removeRange("x", "a")])
        assert.deepEqual(yield* content(store), [["a", "2"], ["c", "2"]])
      })
    )
  },
  {
    name: "keys are ordered as unsigned bytes, a prefix first",
    run: inOne((store) =>
      Effect.gen(function*() {
        const ordered = [[0], [0, 0], [0, 255], [1], [127], [128], [255], [255, 0]].map((key) => new Uint8Array(key))
        yield* store.write([...ordered].reverse().map((key) => ({ _tag: "Put", key, value: bytes("x") })))
        const rows = yield* store.scan(everything)
        assert.deepEqual(rows.map(({ key }) => [...key]), ordered.map((key) => [...key]))
      })
    )
  },
  {
    name: "a scan has the keys from the first bound up to the second, both ways, up to its limits",
    run: inOne((store) =>
      Effect.gen(function*() {
        yield* store.write(["a", "b", "c", "d", "e"].map((key) => put(key, "0123456789")))
        assert.equal(yield* keys(store, { from: "b", to: "d", limit: 10 }), "b c")
        assert.equal(yield* keys(store, { from: "b", to: "d", limit: 10, reverse: true }), "c b")
        assert.equal(yield* keys(store, { from: "aa", to: "zz", limit: 2 }), "b c")
        assert.equal(yield* keys(store, { from: "", to: "zz", limit: 2, reverse: true }), "e d")
        assert.equal(yield* keys(store, { from: "a", to: "zz", limit: 10, bytesMax: 0 }), "a")
        assert.equal(yield* keys(store, { from: "a", to: "zz", limit: 10, bytesMax: 11, reverse: true }), "e d")
        assert.equal(yield* keys(store, { from: "d", to: "b", limit: 10 }), "")
        assert.equal(yield* keys(store, { from: "c", to: "c", limit: 10 }), "")
        assert.equal(yield* keys(store, { from: "a", to: "", limit: 10 }), "")
      })
    )
  },
  {
    name: "a snapshot keeps its view while the map changes",
    run: inOne((store) =>
      Effect.gen(function*() {
        yield* store.write(Array.from({ length: 500 }, (_, at) => put(`k${String(at).padStart(3, "0")}`, "old")))
        const before = yield* content(store)
        const view = yield* store.snapshot
        yield* store.write([removeRange("k100", "k300"), put("k400", "new"), put("z", "new")])
        const between = yield* store.snapshot
        yield* store.write([removeRange("", "zz")])
        assert.deepEqual(yield* content(view), before)
        assert.equal(yield* get(view, "k400"), "old")
        assert.equal(yield* get(between, "k400"), "new")
        assert.equal((yield* content(between)).length, 301)
        assert.deepEqual(yield* content(store), [])
      })
    )
  },
  {
    name: "a replacement becomes the content when it is committed, and not before",
    run: inTurn(
      (store) =>
        Effect.gen(function*() {
          yield* store.write([put("a", "old"), put("b", "old")])
          const view = yield* store.snapshot
          yield* Effect.scoped(Effect.gen(function*() {
            const replacement = yield* store.replace
            yield* replacement.put([{ key: bytes("b"), value: bytes("new") }])
            yield* replacement.put([{ key: bytes("c"), value: bytes("new") }])
            assert.deepEqual(yield* content(store), [["a", "old"], ["b", "old"]])
            yield* replacement.commit
          }))
          assert.deepEqual(yield* content(store), [["b", "new"], ["c", "new"]])
          assert.deepEqual(yield* content(view), [["a", "old"], ["b", "old"]])
          yield* store.write([put("d", "newer")])
        }),
      (store) =>
        Effect.gen(function*() {
          assert.deepEqual(yield* content(store), [["b", "new"], ["c", "new"], ["d", "newer"]])
        })
    )
  },
  {
    name: "a replacement that was not committed leaves nothing",
    run: inTurn(
      (store) =>
        Effect.gen(function*() {
          yield* store.write([put("a", "old")])
          yield* Effect.scoped(
            Effect.flatMap(store.replace, (replacement) => replacement.put([{ key: bytes("b"), value: bytes("new") }]))
          )
          assert.deepEqual(yield* content(store), [["a", "old"]])
        }),
      (store) =>
        Effect.gen(function*() {
          assert.deepEqual(yield* content(store), [["a", "old"]])
        })
    )
  },
  {
    name: "a committed replacement survives a crash without a flush",
    run: (subject) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const store = yield* Scope.provide(subject.open, scope)
        yield* store.write([put("a", "old")])
        yield* Effect.scoped(Effect.gen(function*() {
          const replacement = yield* store.replace
          yield* replacement.put([{ key: bytes("b"), value: bytes("new") }])
          yield* replacement.commit
        }))
        yield* subject.crash
        yield* Scope.close(scope, Exit.void)
        assert.deepEqual(yield* Effect.scoped(Effect.flatMap(subject.open, content)), [["b", "new"]])
      })
  },
  {
    name: "what was written is there after an orderly restart",
    run: inTurn(
      (store) => store.write([put("a", "1"), put("b", "2")]),
      (store) =>
        Effect.gen(function*() {
          assert.deepEqual(yield* content(store), [["a", "1"], ["b", "2"]])
        })
    )
  },
  {
    name: "after a crash there is a prefix of the batches, with all that was flushed",
    run: (subject) =>
      Effect.gen(function*() {
        const model = new Map<string, string>()
        let written = 0
        for (let round = 0; round < 6; round++) {
          const scope = yield* Scope.make()
          const store = yield* Scope.provide(subject.open, scope)
          const found = yield* content(store)
          const states: Array<string> = [JSON.stringify(sorted(model))]
          if (round > 0) assert.equal(JSON.stringify(found), states[0])
          let flushed = 0
          const batches = yield* Random.nextIntBetween(5, 60)
          for (let at = 1; at <= batches; at++) {
            const batch = [...(yield* randomBatch), put("count", String(++written))]
            yield* store.write(batch)
            applyTo(model, batch)
            states.push(JSON.stringify(sorted(model)))
            if ((yield* Random.nextIntBetween(0, 15)) === 0) {
              yield* store.flush
              flushed = at
            }
          }
          yield* subject.crash
          yield* Scope.close(scope, Exit.void)
          const survived = yield* Effect.scoped(Effect.flatMap(subject.open, content))
          const at = states.lastIndexOf(JSON.stringify(survived))
          assert.ok(
            at >= flushed,
            `round ${round}: ${at < 0 ? "no prefix" : `only ${at} batches`} of ${batches}, ${flushed} flushed`
          )
          model.clear()
          for (const [key, value] of survived) model.set(key, value)
        }
      })
  },
  {
    name: "random changes agree with a plain map, through snapshots, scans both ways and restarts",
    run: (subject) =>
      Effect.gen(function*() {
        const model = new Map<string, string>()
        for (let round = 0; round < 3; round++) {
          yield* Effect.scoped(Effect.gen(function*() {
            const store = yield* subject.open
            assert.deepEqual(yield* content(store), sorted(model))
            for (let at = 0; at < 150; at++) {
              const batch = yield* randomBatch
              yield* store.write(batch)
              applyTo(model, batch)
              if (at % 30 === 0) {
                assert.deepEqual(yield* content(store), sorted(model))
                const backwards = yield* store.scan({ ...everything, reverse: true })
                assert.deepEqual(backwards.map(({ key }) => words(key)), sorted(model).map(([key]) => key).reverse())
                const view = yield* store.snapshot
                const kept = sorted(model)
                const more = yield* randomBatch
                yield* store.write(more)
                applyTo(model, more)
                assert.deepEqual(yield* content(view), kept)
              }
            }
          }))
        }
      })
  },
  {
    name: "many keys keep their order through splits, removals and insertions in any order",
    run: inOne((store) =>
      Effect.gen(function*() {
        const all = Array.from({ length: 6000 }, (_, at) => String(at).padStart(5, "0"))
        const shuffled = yield* Random.shuffle(all)
        for (let at = 0; at < shuffled.length; at += 500) {
          yield* store.write(shuffled.slice(at, at + 500).map((key) => put(key, key)))
        }
        yield* store.write([removeRange("01000", "04000")])
        yield* store.write(all.filter((_, at) => at % 3 === 0).map(remove))
        const expected = all.filter((key, at) => at % 3 !== 0 && (key < "01000" || key >= "04000"))
        assert.deepEqual((yield* content(store)).map(([key]) => key), expected)
        assert.ok((yield* store.sizeBytes) >= expected.length)
      })
    )
  },
  {
    name: "after its scope has closed, a storage and its snapshots say so",
    run: (subject) =>
      Effect.gen(function*() {
        const { store, view } = yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* subject.open
          yield* store.write([put("a", "1")])
          const view = yield* Effect.scoped(store.snapshot)
          assert.equal(yield* reasonOf(content(view)), "Closed")
          return { store, view }
        }))
        assert.equal(yield* reasonOf(content(view)), "Closed")
        assert.equal(yield* reasonOf(content(store)), "Closed")
        assert.equal(yield* reasonOf(store.write([put("a", "2")])), "Closed")
        assert.equal(yield* reasonOf(store.flush), "Closed")
        assert.equal(yield* reasonOf(store.snapshot), "Closed")
        assert.equal(yield* reasonOf(store.replace), "Closed")
      })
  }
]
