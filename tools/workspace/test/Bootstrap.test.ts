import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const tool = dirname(dirname(fileURLToPath(import.meta.url)))

/** Runs a module of the bootstrap the way it is used: as plain JavaScript in a process of its own. */
const evaluate = (code: string) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", code], {
    cwd: tool,
    encoding: "utf8"
  })
  return { status, stderr, stdout: stdout.trim() }
}

describe("bootstrap", () => {
  it("the exit code of a command is passed on, and a signal is 128 and its number", () => {
    const code = (script: string) =>
      evaluate(`
        const { run } = await import("./run.mjs")
        console.log(String(await run("node", ["--eval", ${JSON.stringify(script)}], { cwd: ".", replace: false })))
      `).stdout
    assert.strictEqual(code("process.exit(3)"), "3")
    assert.strictEqual(code("process.kill(process.pid, 'SIGKILL')"), "137")
    assert.strictEqual(code("undefined"), "0")
  })

  it("a command that takes the place of the bootstrap gives its exit code and sees the pinned Node first", () => {
    const result = evaluate(`
      const { run } = await import("./run.mjs")
      await run("node", ["--eval", "console.log(process.env.PATH.split(':')[0]); process.exit(4)"], { cwd: ".", replace: true })
    `)
    assert.strictEqual(result.status, 4)
    assert.strictEqual(result.stdout, join(dirname(dirname(tool)), "node_modules", ".bin"))
  })

  it("an unknown task is wrong use", () => {
    const result = spawnSync(process.execPath, [join(tool, "bootstrap.mjs"), "toString"], { encoding: "utf8" })
    assert.strictEqual(result.status, 2)
    assert.match(result.stderr, /^usage: npm run start\|test\|check/)
  })

  it("a missing system library is one line that names the package to install", () => {
    const { stdout } = evaluate(`
      const { advice } = await import("./libraries.mjs")
      console.log(advice("Error: libatomic.so.1: cannot open shared object file: No such file or directory\\n    at Module"))
      console.log(advice("x\\nError: wrong ELF class\\n    at Module"))
    `)
    const [missing, other] = stdout.split("\n")
    assert.match(missing!, /needs the system library libatomic\.so\.1.*sudo apt-get install libatomic1/)
    assert.match(other!, /RocksDB does not load on this machine \(Error: wrong ELF class\)/)
  })

  it("a failed test, a suite that fails around its tests and a file that does not load are named once more, with where and why", () => {
    const directory = mkdtempSync(join(tmpdir(), "dkv-failed-tests-"))
    try {
      const reporter = pathToFileURL(join(tool, "FailedTests.mjs")).href
      const vitest = import.meta.resolve("vitest")
      const failures = join(directory, "failures.txt")
      writeFileSync(
        join(directory, "vitest.config.mjs"),
        `
        import FailedTests from ${JSON.stringify(reporter)}
        export default { test: { reporters: [new FailedTests({ path: ${JSON.stringify(failures)} })] } }
        `
      )
      writeFileSync(
        join(directory, "some.test.js"),
        `
        import { afterAll, describe, expect, it } from ${JSON.stringify(vitest)}
        it("holds", () => {})
        describe("a suite", () => {
          it("does not hold", () => expect(1).toBe(2))
          afterAll(() => { throw new Error("left open") })
        })
        `
      )
      writeFileSync(join(directory, "broken.test.js"), "throw new Error('does not load')")
      const { status } = spawnSync(
        join(dirname(dirname(tool)), "node_modules", ".bin", "vitest"),
        ["run", "--config", "vitest.config.mjs"],
        { cwd: directory, encoding: "utf8" }
      )
      const text = readFileSync(failures, "utf8")
      assert.strictEqual(status, 1)
      assert.match(text, /some\.test\.js: a suite > does not hold\n {4}expected 1 to be 2.*\n {4}at .*some\.test\.js:5/)
      assert.match(text, /some\.test\.js: a suite\n {4}left open/)
      assert.match(text, /broken\.test\.js\n {4}does not load/)
      assert.notMatch(text, /holds/)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
