import { assert, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import * as Fs from "node:fs"
import { example } from "./Example.ts"
import { passing } from "./Members.ts"

it.effect("the example of the README does what it says", () =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* passing(Effect.orDie(example)), Option.some("hello"))
  }))

it("the README shows that example", () => {
  const read = (path: string) => Fs.readFileSync(new URL(path, import.meta.url), "utf8")
  const shown = /```ts\n([^]*?)```/.exec(read("../README.md"))?.[1]
  assert.strictEqual(shown, read("./Example.ts"))
})
