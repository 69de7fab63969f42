import { RaftNode } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { Leadership, layer } from "../src/Leadership.ts"

const me = "0000000000000001"
const other = "0000000000000002"

/** What clients are told of a member that knows these leaders, one after another. */
const told = (leaders: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const leader = Stream.fromIterable(leaders).pipe(Stream.map((id) => id === "" ? Option.none() : Option.some(id)))
    const node = Layer.mock(RaftNode.RaftNode, { id: me, leader })
    return yield* Effect.flatMap(Leadership, Stream.runCollect).pipe(Effect.provide(Layer.provide(layer, node)))
  })

describe("clients", () => {
  it.effect("are told who leads, and again with each other leader", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told([me]), [true])
      assert.deepStrictEqual(yield* told(["", other, "", "0000000000000003"]), [false, false])
    }))

  it.effect("are told at once that a leader leads no more, before it knows who does (simulator, seed 2848)", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told([me, ""]), [true, false])
      assert.deepStrictEqual(yield* told([me, "", other, me, "", me]), [true, false, false, true, false, true])
    }))

  it.effect("are not told that nobody is known to lead by a member that did not", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* told([other, "", "", other]), [false, false])
    }))
})
