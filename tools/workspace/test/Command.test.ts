import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const workspace = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))

/** A Node that cannot replace itself, as before 22.15. */
const older = ["--import", "data:text/javascript,delete process.execve"]

const program = `
process.on("SIGTERM", () => process.exit(7))
console.log([process.pid, process.version, process.env.UV_THREADPOOL_SIZE, process.argv.slice(2).join("|")].join(" "))
if (process.argv[2] === "wait") setInterval(() => {}, 1000)
else process.exit(Number(process.argv[2]))
`

/** Runs the command `name` of `app` with `program` as its source. */
const run = async (app: string, name: string, args: ReadonlyArray<string>, nodeArgs: ReadonlyArray<string>) => {
  const folder = mkdtempSync(join(tmpdir(), "dkv-command-"))
  try {
    mkdirSync(join(folder, "bin"))
    mkdirSync(join(folder, "src"))
    cpSync(join(workspace, "apps", app, "bin", `${name}.mjs`), join(folder, "bin", `${name}.mjs`))
    writeFileSync(join(folder, "src", "main.ts"), program)
    writeFileSync(join(folder, "package.json"), `{ "type": "module" }`)
    symlinkSync(join(workspace, "node_modules"), join(folder, "node_modules"))
    const { UV_THREADPOOL_SIZE: _, ...env } = process.env
    const child = spawn(process.execPath, [...nodeArgs, join(folder, "bin", `${name}.mjs`), ...args], { env })
    let output = ""
    child.stdout.on("data", (data) => {
      output += data
      if (args[0] === "wait" && output.includes("\n")) child.kill("SIGTERM")
    })
    const code = await new Promise((resolve) => child.on("close", resolve))
    const [pid, version, threads, given] = output.trim().split(" ")
    return { code, version, threads, given, sameProcess: Number(pid) === child.pid }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe("commands", () => {
  for (const [app, name] of [["node", "dkv"], ["ctl", "dkvctl"]] as const) {
    it(`${name} hands its arguments to the sources and gives back their exit code, leaving no second process`, async () => {
      const { threads: _, ...rest } = await run(app, name, ["3", "--flag=a=b"], [])
      assert.deepStrictEqual(rest, { code: 3, version: process.version, given: "3|--flag=a=b", sameProcess: true })
    })

    it(`${name} under an older Node passes arguments, exit code and SIGTERM through`, async () => {
      const ended = await run(app, name, ["4"], older)
      assert.deepStrictEqual([ended.code, ended.sameProcess], [4, false])
      const stopped = await run(app, name, ["wait"], older)
      assert.deepStrictEqual([stopped.code, stopped.sameProcess], [7, false])
    })
  }

  it("dkv has enough threads for its log, RocksDB and name lookups", async () => {
    assert.strictEqual((await run("node", "dkv", ["0"], [])).threads, "8")
  })
})
