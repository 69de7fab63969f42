/** The planted bugs still fit the sources, and the way to find them works. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Option, Stream } from "effect"
import { stripTypeScriptTypes } from "node:module"
import * as Copy from "../src/Copy.ts"
import { planted } from "../src/Planted.ts"
import * as Pool from "../src/Pool.ts"

describe("planted bugs", () => {
  it("have names of their own", () => {
    assert.strictEqual(new Set(planted.map(({ name }) => name)).size, planted.length)
  })

  for (const bug of planted) {
    it.effect(`"${bug.name}" fits the sources`, () =>
      Effect.gen(function*() {
        const files = yield* FileSystem.FileSystem
        const text = yield* files.readFileString(`${Copy.root}/${bug.file}`)
        const patched = yield* Copy.patched(text, bug)
        assert.notStrictEqual(patched, text)
        stripTypeScriptTypes(patched)
      }).pipe(Effect.provide(NodeServices.layer)))
  }

  // Those that take a few seeds only; `npm run sim -- --planted` looks for all.
  const soonFound = [
    "skip a sync",
    "acknowledge before the sync",
    "tell a vote before its sync",
    "count oneself before the sync",
    "apply twice",
    "truncate an acknowledged entry",
    "tell a witness before a disk has the data"
  ]
  for (const bug of planted.filter(({ name }) => soonFound.includes(name))) {
    it.live(`"${bug.name}" is found`, () =>
      Effect.gen(function*() {
        const worker = yield* Copy.make(bug)
        const found = yield* Pool.run({ from: 1, count: 24, without: [], workers: 2, worker }).pipe(
          Stream.filter(({ failure }) => failure !== null),
          Stream.runHead
        )
        assert.isTrue(Option.isSome(found))
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 120_000)
  }
})

describe("a table of two client sessions", () => {
  it.live("evicts them all the time, and nothing is wrong", () =>
    Effect.gen(function*() {
      const worker = yield* Copy.make({
        name: "few sessions",
        file: "libs/raft/src/Limits.ts",
        find: "export const sessionsMax = 4096",
        replace: "export const sessionsMax = 2"
      })
      const failures = yield* Pool.run({ from: 1, count: 12, without: [], workers: 2, worker }).pipe(
        Stream.map(({ failure }) => failure),
        Stream.filter((failure) => failure !== null),
        Stream.runCollect
      )
      assert.deepStrictEqual(failures, [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 120_000)
})
