/** How planted bugs are looked for. That each fits the sources is checked by `nx planted`, a part of `npm run check`. */
import { NodeServices } from "@effect/platform-node"
import { Rules } from "@dkv/testkit/simulator"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import * as Apply from "../src/Apply.ts"
import * as Copy from "../src/Copy.ts"
import * as Planted from "../src/Planted.ts"
import * as Pool from "../src/Pool.ts"
import * as Search from "../src/Search.ts"
import * as Workers from "./Workers.ts"

const { planted } = Planted

describe("planted bugs", () => {
  it("have names of their own", () => {
    assert.strictEqual(new Set(planted.map(({ name }) => name)).size, planted.length)
  })

  it("are found by rules that they break, and by nothing else", () => {
    const bug = { breaks: ["log matching", "a member stops for a reason"] }
    assert.isTrue(Planted.isFoundBy(bug, "log matching: m1 holds another entry 3"))
    assert.isTrue(Planted.isFoundBy(bug, "a member stops for a reason: m1 stops: two leaders in term 3"))
    assert.isFalse(Planted.isFoundBy(bug, "a member that is asked to stop does so in time: m1:3000 goes on"))
    assert.isFalse(Planted.isFoundBy(bug, "election safety: m1 and m2 lead, and log matching is next"))
    assert.isFalse(Planted.isFoundBy(bug, "crash: Error: log matching"))
    assert.isFalse(Planted.isFoundBy({ breaks: ["crash: Error: log matching"] }, "crash: Error: log matching"))
  })

  it("name rules that there are", () => {
    const known = new Set<string>([...Rules.names, "not linearizable", "liveness"])
    for (const { breaks, name } of planted) assert.deepStrictEqual(breaks.filter((rule) => !known.has(rule)), [], name)
  })

  it("are spread over as few copies as there are patches of one file", () => {
    const copies = Apply.layers(planted)
    assert.sameMembers([...copies.flat()], [...planted])
    const files = planted.flatMap((bug) => Planted.editsOf(bug).map(({ file }) => file))
    assert.strictEqual(copies.length, Math.max(...files.map((file) => files.filter((other) => other === file).length)))
  })

  it.effect("a patch whose text is gone, or stands there twice, is told by its name", () =>
    Effect.gen(function*() {
      const edit = { file: "a.ts", find: "b", replace: "c" }
      for (const text of ["", "b b"]) {
        const { message } = yield* Effect.flip(Copy.patched(text, "gone", edit))
        assert.match(message, /"gone": what it replaces stands [02] times in a\.ts/)
      }
      assert.strictEqual(yield* Copy.patched("a b", "gone", edit), "a c")
    }))

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
        const worker = yield* Copy.worker(bug)
        const result = yield* Search.search(bug, { from: 1, count: 24, without: [], workers: 2, worker })
        assert.isTrue(Option.isSome(result.found))
        assert.deepStrictEqual(result.others, [])
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 120_000)
  }
})

describe("a search", () => {
  const request = { from: 1, count: 6, without: [], workers: 1 }

  it.live("goes on behind crashes and failures that a bug does not explain, and tells them", () =>
    Effect.gen(function*() {
      const failures = {
        2: "crash: Error: patched badly",
        4: "election safety: m1 and m2 lead",
        5: "log matching: m1 holds another entry 3"
      }
      const worker = yield* Workers.make(failures, { 3: "process.exit(1)" })
      const result = yield* Search.search({ breaks: ["log matching"] }, { ...request, worker })
      assert.deepStrictEqual(result.found, Option.some({ seed: 5, failure: failures[5] }))
      assert.deepStrictEqual(result.others.map(({ seed }) => seed), [2, 3, 4])
      assert.match(Search.row("a bug", result, request), /^a bug +5 {3}log matching$/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("does not take a simulator that throws for a bug that was found", () =>
    Effect.gen(function*() {
      const failure = "crash: TypeError: x is not a function"
      const worker = yield* Workers.make({ 1: failure }, { 2: "process.exit(1)" })
      const result = yield* Search.search({ breaks: ["log matching", failure] }, { ...request, worker })
      assert.isTrue(Option.isNone(result.found))
      assert.strictEqual(result.others.length, 2)
      assert.match(Search.row("a bug", result, request), /^a bug +not found in 6 seeds$/)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))
})

describe("a table of two client sessions", () => {
  it.live("evicts them all the time, and nothing is wrong", () =>
    Effect.gen(function*() {
      const worker = yield* Copy.worker({
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
