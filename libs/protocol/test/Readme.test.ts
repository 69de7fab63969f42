import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const here = import.meta.dirname
const example = /```ts\n([^]*?)```/.exec(Fs.readFileSync(Path.join(here, "..", "README.md"), "utf8"))![1]!

it("the example of the README runs as it stands and prints what it says", () => {
  const said = execFileSync(process.execPath, ["--input-type=module-typescript", "-e", example], {
    cwd: here,
    encoding: "utf8",
    env: { ...process.env, FORCE_COLOR: "0" }
  })
  assert.strictEqual(said.trim(), /\/\/ => (.*)/.exec(example)![1])
})

it("the README shows the example whose types are checked here", () => {
  assert.strictEqual(example, Fs.readFileSync(Path.join(here, "Example.ts"), "utf8"))
})
