/** One seed again, which throws. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Path, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Copy from "../src/Copy.ts"

/** What a simulator says that throws after two seconds of any run. */
const said = Effect.fnUntraced(
  function*(flags: ReadonlyArray<string>) {
    const path = yield* Path.Path
    const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
    const worker = yield* Copy.worker({
      name: "throw",
      file: "libs/testkit/src/simulator/Run.ts",
      find: "      cluster.look()\n",
      replace: "      cluster.look()\n      if (world.now > 2000) throw new Error(\"planted\")\n"
    })
    const main = path.join(path.dirname(worker), "main.ts")
    const handle = yield* spawner.spawn(ChildProcess.make(process.execPath, [main, "--seed", "2", ...flags], {
      extendEnv: true
    }))
    const text = yield* handle.stdout.pipe(Stream.decodeText(), Stream.mkString)
    return { text, code: yield* handle.exitCode }
  },
  Effect.scoped,
  Effect.provide(NodeServices.layer)
)

describe("a seed that throws", () => {
  it.live("tells its trace up to there, then what was thrown", () =>
    Effect.gen(function*() {
      const { code, text } = yield* said([])
      assert.isAbove(text.split("\n").length, 20)
      assert.match(text, /options \{[^]*\nseed 2: crash: Error: planted\n.*Run\.ts/)
      assert.strictEqual(code, 1)
    }), 60_000)

  it.live("is shrunk like any other", () =>
    Effect.gen(function*() {
      const { code, text } = yield* said(["--shrink"])
      assert.match(text, /fails without crash as well[^]*it needs: nothing that can be left out/)
      assert.strictEqual(code, 0)
    }), 60_000)
})
