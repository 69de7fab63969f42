import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Process from "node:process"

describe("README", () => {
  it("the example runs as it stands and prints what it says", () => {
    const library = Path.join(import.meta.dirname, "..")
    const example = /```ts\n([^]*?)```/.exec(Fs.readFileSync(Path.join(library, "README.md"), "utf8"))![1]!
    const said = execFileSync(Process.execPath, ["--input-type=module-typescript", "-e", example], {
      cwd: library,
      encoding: "utf8"
    })
    assert.strictEqual(said.trim(), /\/\/ => (.*)/.exec(example)![1])
  })
})
