import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const root = Path.join(import.meta.dirname, "..")

it.live("the README's example runs, and serves until it is stopped", () =>
  Effect.gen(function*() {
    const readme = Fs.readFileSync(Path.join(root, "README.md"), "utf8")
    const example = /```ts\n([\s\S]*?)```/.exec(readme)![1]!.replace("port: 2380", "port: 0").replace(
      "Effect.never",
      "Effect.sleep(10)"
    )
    const source = `${example}\nawait Effect.runPromise(program)\nconsole.log("done")\n`
    const output = yield* Effect.callback<string>((resume) => {
      const child = ChildProcess.spawn(process.execPath, ["--input-type=module-typescript", "--eval", source], {
        cwd: root
      })
      let text = ""
      for (const stream of [child.stdout, child.stderr]) {
        stream.on("data", (chunk) => {
          text += String(chunk)
        })
      }
      child.on("close", () => resume(Effect.succeed(text)))
      return Effect.sync(() => child.kill())
    })
    assert.match(output, /done/)
  }))
