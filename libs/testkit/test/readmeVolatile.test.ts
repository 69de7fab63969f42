/** The second example of raft's README. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const testkit = Path.join(import.meta.dirname, "..")

describe("README", () => {
  it("raft's example of a volatile state machine is the one that is checked here, runs as it stands and prints what it says", () => {
    const readme = Fs.readFileSync(Path.join(testkit, "..", "raft", "README.md"), "utf8")
    const example = [...readme.matchAll(/```ts\n([^]*?)```/g)][1]![1]!
    assert.strictEqual(example, Fs.readFileSync(Path.join(testkit, "test", "examples", "Volatile.ts"), "utf8"))
    const said = execFileSync(process.execPath, ["--input-type=module-typescript", "-e", example], {
      cwd: testkit,
      encoding: "utf8",
      env: { ...process.env, FORCE_COLOR: "0" }
    })
    assert.strictEqual(said.trim(), /\/\/ => (.*)/.exec(example)![1])
  })
})
