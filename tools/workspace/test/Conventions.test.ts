import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Boundaries from "../src/Boundaries.ts"
import * as Conventions from "../src/Conventions.ts"
import * as Project from "../src/Project.ts"

const workspace = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))

describe("Conventions", () => {
  it("a version range is refused and an exact version is not", () => {
    const problems = Conventions.checkVersions("package.json", {
      a: "1.2.3",
      b: "^1.2.3",
      c: "*",
      d: "1.2.3-rc.1",
      e: "1.2"
    })
    assert.deepStrictEqual(problems.map((problem) => problem.message), [
      "b is to be pinned to an exact version, not ^1.2.3",
      "c is to be pinned to an exact version, not *",
      "e is to be pinned to an exact version, not 1.2"
    ])
  })

  it("a stray file at the top level is refused, a dot-file is not", () => {
    assert.deepStrictEqual(Conventions.checkTopLevel([".env", "apps", "notes.txt"]).map((problem) => problem.at), [
      "notes.txt"
    ])
  })

  it("the TypeScript project of a library names the libraries that it depends on", () => {
    const projects = Project.loadAll(workspace)
    const kv = projects.find((project) => project.root === "libs/kv")!
    const wanted = Conventions.wantedFiles(kv, projects).find((file) => file.folder === "src")!
    const { references } = JSON.parse(wanted.content) as { references: ReadonlyArray<{ path: string }> }
    assert.deepStrictEqual(references.map((reference) => reference.path), ["../../libs/raft", "../../libs/storage"])
  })

  it("every library of the architecture may be imported by someone or is the test kit", () => {
    const imported = new Set(Object.values(Boundaries.allowed).flat())
    for (const root of Object.keys(Boundaries.allowed)) {
      const id = root.split("/")[1]!
      if (root.startsWith("libs/") && id !== "testkit") assert.isTrue(imported.has(id), root)
    }
  })

  it("the root asks for the Node that the lock file holds", () => {
    const lock = JSON.parse(readFileSync(join(workspace, "package-lock.json"), "utf8"))
    assert.strictEqual(process.version, `v${lock.packages["node_modules/node"].version}`)
  })
})
