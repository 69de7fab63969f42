import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Package from "../src/Package.ts"

const workspace = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
  const result = spawnSync(command, args, { cwd, encoding: "utf8" })
  assert.strictEqual(result.status, 0, `${command} ${args.join(" ")}: ${result.stdout}${result.stderr}`)
  return result.stdout
}

describe("Package", () => {
  it("entry points in sources become entry points in the build", () => {
    assert.deepStrictEqual(
      Package.publishedExports({ ".": "./src/index.ts", "./rocksdb": "./src/rocksdb.ts", "./internal/*": null }),
      {
        ".": { types: "./dist/index.d.ts", default: "./dist/index.js" },
        "./rocksdb": { types: "./dist/rocksdb.d.ts", default: "./dist/rocksdb.js" },
        "./internal/*": null
      }
    )
    assert.throws(() => Package.publishedExports({ ".": "./index.js" }), /is to be a file/)
  })

  it("a packed library is imported, and type checked, from outside the workspace", () => {
    const outside = mkdtempSync(join(tmpdir(), "dkv-outside-"))
    try {
      const raft = join(workspace, "libs", "raft")
      run(process.execPath, [join(workspace, "tools", "workspace", "tsc.mjs"), "-b"], raft)
      const tarball = Package.pack(raft, workspace, join(outside, "stage"), outside)
      const installed = join(outside, "node_modules", "@dkv", "raft")
      run("mkdir", ["-p", installed], outside)
      run("tar", ["-xzf", tarball, "--strip-components=1", "-C", installed], outside)
      // A person's installation has effect from the registry; this one borrows the workspace's.
      symlinkSync(join(workspace, "node_modules", "effect"), join(outside, "node_modules", "effect"))

      const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"))
      assert.deepStrictEqual(manifest.exports["."], { types: "./dist/index.d.ts", default: "./dist/index.js" })

      writeFileSync(join(outside, "package.json"), `{ "type": "module" }`)
      writeFileSync(
        join(outside, "main.ts"),
        `import { Configuration, RaftNode } from "@dkv/raft"
const none: Configuration.Configuration = Configuration.empty
console.log(\`\${RaftNode.RaftNode.key} \${none.voters.length}\`)
`
      )
      assert.strictEqual(run(process.execPath, ["main.ts"], outside), "@dkv/raft/RaftNode 0\n")
      run(
        process.execPath,
        [
          join(workspace, "tools", "workspace", "tsc.mjs"),
          ...["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2024", "--types", ""],
          "main.ts"
        ],
        outside
      )
    } finally {
      rmSync(outside, { recursive: true, force: true })
    }
  })
})
