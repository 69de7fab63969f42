/**
 * The nx plugin of this workspace. It infers the targets of every project from the files that the project has, so that a library needs no
 * configuration of its own beyond package.json and tsconfig.json:
 *
 * - `build`      `src/` to `dist/` with declarations, and the Effect diagnostics
 * - `typecheck`  the same, and the projects in `test/` and `bench/`
 * - `lint`       oxlint
 * - `test`       vitest, where there is a `test/`
 * - `pack`       a publishable tarball under `dist/` (libraries)
 * - `serve`      the program, restarted when a source changes (applications)
 */
import { existsSync } from "node:fs"
import { basename, dirname, join } from "node:path"

const checked = ["test", "bench"]

/** Where `nx serve` keeps the data of an application, and what it is started with. */
const serveArguments = {
  "apps/node": [
    "--name=dkv-0",
    "--initial-cluster=dkv-0=localhost:2380",
    "--initial-cluster-state=new",
    "--data-dir=../../.data/serve"
  ]
}

export const createNodesV2 = [
  "{apps,libs,tools}/*/package.json",
  (files, _options, context) => files.map((file) => [file, inferred(dirname(file), context.workspaceRoot)])
]

const inferred = (root, workspaceRoot) => {
  const has = (path) => existsSync(join(workspaceRoot, root, path))
  const kind = root.split("/")[0]
  const command = (text, more) => ({ command: text, options: { cwd: "{projectRoot}" }, ...more })
  const targets = {}
  if (has("tsconfig.json")) {
    const projects = checked.filter((folder) => has(`${folder}/tsconfig.json`))
    targets.build = command("node ../../tools/workspace/tsc.mjs -b")
    targets.typecheck = command(["node ../../tools/workspace/tsc.mjs -b .", ...projects].join(" "))
  }
  targets.lint = command("oxlint --config ../../.oxlintrc.json --deny-warnings .")
  if (has("test")) targets.test = command("vitest run --config ../../tools/workspace/vitest.config.mjs --root .")
  if (kind === "libs") {
    targets.pack = command("node ../../tools/workspace/src/pack.ts .", { dependsOn: ["build"], cache: false })
  }
  if (kind === "apps" && has("src/main.ts")) {
    const program = ["node --watch --watch-preserve-output src/main.ts", ...(serveArguments[root] ?? [])].join(" ")
    targets.serve = {
      command: program,
      options: { cwd: "{projectRoot}", env: { UV_THREADPOOL_SIZE: "8" } },
      continuous: true,
      cache: false
    }
  }
  return {
    projects: {
      [root]: {
        root,
        name: basename(root),
        projectType: kind === "libs" ? "library" : "application",
        tags: [`kind:${kind}`],
        targets
      }
    }
  }
}
