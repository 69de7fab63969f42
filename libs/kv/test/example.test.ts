import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"

it.effect("the example of the README runs and prints what it says", () =>
  Effect.gen(function*() {
    const readme = Fs.readFileSync(new URL("../README.md", import.meta.url), "utf8")
    const code = /```ts\n([\s\S]*?)```/.exec(readme)![1]!
    const file = new URL("./.example.ts", import.meta.url)
    yield* Effect.acquireRelease(
      Effect.sync(() => Fs.writeFileSync(file, code)),
      () => Effect.sync(() => Fs.rmSync(file))
    )
    const { program } = yield* Effect.promise(() => import(/* @vite-ignore */ file.href))
    const printed = yield* (program as Effect.Effect<string>)
    assert.strictEqual(printed, /\/\/ => (.*)/.exec(code)![1])
  }))
