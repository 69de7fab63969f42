/**
 * The checks of the workspace that no other tool makes.
 *
 *     node tools/workspace/src/main.ts check    prints every problem, exits 1 if there is one, writes nothing
 *     node tools/workspace/src/main.ts fix      writes the tsconfig files that `check` asks for
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Boundaries from "./Boundaries.ts"
import * as Conventions from "./Conventions.ts"
import * as Project from "./Project.ts"

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))))

const check = (): number => {
  const projects = Project.loadAll(root)
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Project.Manifest
  const problems = [
    ...Conventions.checkTopLevel(readdirSync(root)),
    ...Conventions.checkVersions("package.json", Project.dependenciesOf(manifest)),
    ...projects.flatMap((project) => Conventions.checkManifest(project)),
    ...projects.flatMap((project) => Conventions.checkFiles(project, projects)),
    ...Boundaries.check(projects)
  ]
  for (const { at, message } of problems) console.error(`${at}: ${message}`)
  console.error(problems.length === 0 ? `${projects.length} projects keep the rules` : `${problems.length} problems`)
  return problems.length === 0 ? 0 : 1
}

const fix = (): number => {
  const projects = Project.loadAll(root)
  for (const project of projects) {
    const wrong = new Set(Conventions.checkFiles(project, projects).map((problem) => problem.at))
    for (const { path, content } of Conventions.wantedFiles(project, projects)) {
      if (!wrong.has(path)) continue
      writeFileSync(join(root, path), content)
      console.error(`wrote ${path}`)
    }
  }
  return 0
}

const command = process.argv[2]
if (command === "check") process.exitCode = check()
else if (command === "fix") process.exitCode = fix()
else {
  console.error("usage: node tools/workspace/src/main.ts check|fix")
  process.exitCode = 2
}
