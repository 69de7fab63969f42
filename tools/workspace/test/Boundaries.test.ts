import { assert, describe, it } from "@effect/vitest"
import * as Boundaries from "../src/Boundaries.ts"
import * as Project from "../src/Project.ts"

interface Sketch {
  readonly dependencies?: ReadonlyArray<string>
  readonly exports?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, string>>
}

const project = (root: string, sketch: Sketch = {}): Project.Project => {
  const [kind, id] = root.split("/") as [Project.Kind, string]
  return {
    kind,
    id,
    root,
    manifest: {
      name: `@dkv/${id}`,
      exports: sketch.exports ?? { ".": "./src/index.ts" },
      dependencies: Object.fromEntries((sketch.dependencies ?? []).map((name) => [name, "0.1.0"]))
    },
    sources: Object.entries(sketch.files ?? {}).map(([path, text]) => ({ path, imports: Project.importsOf(text) })),
    folders: ["src"],
    tsconfig: {}
  }
}

const problems = (...projects: ReadonlyArray<Project.Project>): ReadonlyArray<string> =>
  Boundaries.check(projects).map(({ at, message }) => `${at}: ${message}`)

const raft = project("libs/raft", { exports: { ".": "./src/index.ts", "./core": "./src/core.ts" } })

describe("Boundaries", () => {
  it("a declared edge of the architecture passes", () => {
    const storage = project("libs/storage", {
      dependencies: ["@dkv/raft", "effect"],
      files: { "src/index.ts": `import { Effect } from "effect"\nimport type { Entry } from "@dkv/raft"\n` }
    })
    assert.deepStrictEqual(problems(raft, storage), [])
  })

  it("an edge outside the architecture fails, declared or imported", () => {
    const client = project("libs/client", {
      dependencies: ["@dkv/raft"],
      files: { "src/index.ts": `import { Entry } from "@dkv/raft"\n` }
    })
    assert.deepStrictEqual(problems(raft, client), [
      "libs/client/package.json: libs/client may not depend on libs/raft",
      "libs/client/src/index.ts:1: libs/client may not import libs/raft"
    ])
  })

  it("nothing but tools depends on the test kit", () => {
    const testkit = project("libs/testkit")
    const member = project("libs/member", { dependencies: ["@dkv/testkit"] })
    const bench = project("tools/bench", { dependencies: ["@dkv/testkit"] })
    assert.deepStrictEqual(problems(testkit, member, bench), [
      "libs/member/package.json: libs/member may not depend on libs/testkit"
    ])
  })

  it("an import that is not declared fails", () => {
    const kv = project("libs/kv", { files: { "src/index.ts": `export * from "@dkv/raft"\nimport "effect/Queue"\n` } })
    assert.deepStrictEqual(problems(raft, kv), [
      "libs/kv/src/index.ts:1: @dkv/raft is imported but is not in the dependencies of @dkv/kv",
      "libs/kv/src/index.ts:2: effect is imported but is not in the dependencies of @dkv/kv"
    ])
  })

  it("tests may use the test tools of the root and nothing else undeclared", () => {
    const kv = project("libs/kv", {
      files: { "test/A.test.ts": `import { it } from "@effect/vitest"\nimport { x } from "effect"\n` }
    })
    assert.deepStrictEqual(problems(kv), [
      "libs/kv/test/A.test.ts:2: effect is imported but is not in the package.json of @dkv/kv"
    ])
  })

  it("only the declared exports of another package are importable", () => {
    const kv = project("libs/kv", {
      dependencies: ["@dkv/raft"],
      files: {
        "src/a.ts": `import { x } from "@dkv/raft/core"\n`,
        "src/b.ts": `import { x } from "@dkv/raft/src/Entry.ts"\n`,
        "src/c.ts": `import { x } from "../../raft/src/Entry.ts"\n`
      }
    })
    assert.deepStrictEqual(problems(raft, kv), [
      "libs/kv/src/b.ts:1: @dkv/raft/src/Entry.ts is not among the exports of @dkv/raft",
      "libs/kv/src/c.ts:1: ../../raft/src/Entry.ts leaves libs/kv: import the other project by its package name"
    ])
  })

  it("an exported pattern covers its files, and a file set to null is taken out again", () => {
    const open = project("libs/raft", {
      exports: { "./core/*": "./src/core/*.ts", "./core/internal/*": null as never }
    })
    const kv = project("libs/kv", {
      dependencies: ["@dkv/raft"],
      files: { "src/a.ts": `import { x } from "@dkv/raft/core/Core"\nimport { y } from "@dkv/raft/core/internal/Y"\n` }
    })
    assert.deepStrictEqual(problems(open, kv), [
      "libs/kv/src/a.ts:2: @dkv/raft/core/internal/Y is not among the exports of @dkv/raft"
    ])
  })

  it("the core of raft imports nothing outside itself", () => {
    const withCore = project("libs/raft", {
      dependencies: ["effect"],
      files: {
        "src/core/A.ts": `import { b } from "./B.ts"\nimport { c } from "../C.ts"\nimport { Effect } from "effect"\n`,
        "src/C.ts": `import { a } from "./core/A.ts"\n`
      }
    })
    assert.deepStrictEqual(problems(withCore), [
      "libs/raft/src/core/A.ts:2: libs/raft/src/core imports nothing outside itself, so not ../C.ts",
      "libs/raft/src/core/A.ts:3: libs/raft/src/core imports nothing outside itself, so not effect"
    ])
  })

  it("a pure library uses neither Node nor a package besides effect", () => {
    const protocol = project("libs/protocol", {
      dependencies: ["effect", "ws"],
      files: { "src/index.ts": `import * as Net from "node:net"\n` }
    })
    assert.deepStrictEqual(problems(protocol), [
      "libs/protocol/package.json: libs/protocol uses effect and nothing else, so not ws",
      "libs/protocol/src/index.ts:1: libs/protocol uses effect and nothing else, so not node:net"
    ])
  })

  it("the index of a library does not reach a heavy package, an entry point of its own may", () => {
    const storage = project("libs/storage", {
      dependencies: ["rocksdb-native"],
      files: {
        "src/index.ts": `export * as Rows from "./Rows.ts"\n`,
        "src/Rows.ts": `import { open } from "./Native.ts"\n`,
        "src/Native.ts": `import RocksDB from "rocksdb-native"\n`,
        "src/rocksdb.ts": `import RocksDB from "rocksdb-native"\n`
      }
    })
    assert.deepStrictEqual(problems(storage), [
      "libs/storage/src/Native.ts:1: src/index.ts loads rocksdb-native through this file: give it an entry point of its own"
    ])
  })

  it("a circle of dependencies fails", () => {
    const a = project("tools/a", { dependencies: ["@dkv/b"] })
    const b = project("tools/b", { dependencies: ["@dkv/a"] })
    assert.deepStrictEqual(problems(a, b), ["tools/a/package.json: circle: @dkv/a -> @dkv/b -> @dkv/a"])
  })

  it("a library that the architecture does not know fails", () => {
    assert.match(problems(project("libs/extra"))[0]!, /libs\/extra has no place in the architecture/)
  })
})

describe("Project", () => {
  it("finds imports of every form and skips those in comments", () => {
    const text = [
      "/**",
      " * import { a } from \"comment-a\"",
      " */",
      "import b from \"b\"",
      "import type {",
      "  C",
      "} from \"c\"",
      "import \"d\"",
      "export * as E from \"e\"",
      "export { f } from \"f\"",
      "// await import(\"comment-g\")",
      "const h = await imp" + "ort(\"h\")",
      "export const text = \"i\""
    ].join("\n")
    assert.deepStrictEqual(Project.importsOf(text), [
      { specifier: "b", line: 4 },
      { specifier: "c", line: 5 },
      { specifier: "d", line: 8 },
      { specifier: "e", line: 9 },
      { specifier: "f", line: 10 },
      { specifier: "h", line: 12 }
    ])
  })
})
