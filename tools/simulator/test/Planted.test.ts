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

  it.live("a copy with a bug shows it, where these sources show nothing", () =>
    Effect.gen(function*() {
      const request = { from: 1, count: 24, without: [], workers: 2 }
      const failed = (worker: string | undefined) =>
        Pool.run(worker === undefined ? request : { ...request, worker }).pipe(
          Stream.filter(({ failure }) => failure !== null),
          Stream.runHead
        )
      const bug = planted.find(({ name }) => name === "carry out a repeated forward")!
      assert.isTrue(Option.isSome(yield* failed(yield* Copy.make(bug))))
      assert.isTrue(Option.isNone(yield* failed(undefined)))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 120_000)
})
