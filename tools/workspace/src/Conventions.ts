/** What every project of the workspace has in common: exact versions, one licence, TypeScript projects that mirror the dependencies. */
import { dependenciesOf } from "./Project.ts"
import type { Project } from "./Project.ts"
import type { Problem } from "./Boundaries.ts"

/** The top level of the workspace, apart from dot-files. */
export const topLevel: ReadonlyArray<string> = [
  "LICENSE",
  "README.md",
  "apps",
  "libs",
  "node_modules",
  "nx.json",
  "package-lock.json",
  "package.json",
  "tools",
  "tsconfig.base.json"
]

export interface File {
  readonly folder: string
  /** Relative to the workspace. */
  readonly path: string
  readonly content: string
}

export const checkTopLevel = (names: ReadonlyArray<string>): ReadonlyArray<Problem> =>
  names.filter((name) => !name.startsWith(".") && !topLevel.includes(name)).map((name) => ({
    at: name,
    message: "the top level has no place for this: put it under apps, libs or tools"
  }))

export const checkManifest = (project: Project): ReadonlyArray<Problem> => {
  const at = `${project.root}/package.json`
  const { manifest } = project
  const problems: Array<Problem> = []
  if (manifest.name !== `@dkv/${project.id}`) problems.push({ at, message: `the name is to be @dkv/${project.id}` })
  if (manifest.license !== "Apache-2.0") problems.push({ at, message: "the licence is to be Apache-2.0" })
  if (manifest.type !== "module") problems.push({ at, message: "the type is to be module" })
  problems.push(...checkVersions(at, dependenciesOf(manifest)))
  return problems
}

/** A version is exact: `1.2.3`, with a pre-release if need be, and no range. */
export const checkVersions = (at: string, dependencies: Readonly<Record<string, string>>): ReadonlyArray<Problem> =>
  Object.entries(dependencies)
    .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
    .map(([name, version]) => ({ at, message: `${name} is to be pinned to an exact version, not ${version}` }))

/** The tsconfig files that a project is to have; written by `npm run fix`. */
export const wantedFiles = (project: Project, projects: ReadonlyArray<Project>): ReadonlyArray<File> =>
  project.folders.map((folder) => {
    const shipped = folder === "src"
    const up = shipped ? "../.." : "../../.."
    const references = projects
      .filter((other) =>
        other !== project && other.folders.includes("src") &&
        Object.hasOwn(dependenciesOf(project.manifest), other.manifest.name)
      )
      .map((other) => `${up}/${other.root}`)
    if (!shipped && project.folders.includes("src")) references.unshift("..")
    const list = references.length === 0
      ? "[]"
      : `[\n${references.map((path) => `    { "path": "${path}" }`).join(",\n")}\n  ]`
    return {
      folder,
      path: `${project.root}/${shipped ? "" : `${folder}/`}tsconfig.json`,
      content: `{
  "extends": "${up}/${shipped ? "tsconfig.base.json" : "tools/workspace/tsconfig.test.json"}",
  "include": ["${shipped ? "src" : "."}"],
  "references": ${list}
}
`
    }
  })

export const checkFiles = (project: Project, projects: ReadonlyArray<Project>): ReadonlyArray<Problem> =>
  wantedFiles(project, projects).flatMap(({ folder, path, content }) =>
    essence(project.tsconfig[folder]) === essence(content)
      ? []
      : [{ at: path, message: "does not mirror the dependencies in package.json: `npm run fix` writes it" }]
  )

/** What the rule is about; a project may set further options. */
const essence = (text: string | undefined): string | undefined => {
  if (text === undefined) return undefined
  const config = JSON.parse(text) as { extends?: string; references?: ReadonlyArray<{ readonly path: string }> }
  return JSON.stringify([config.extends, (config.references ?? []).map((reference) => reference.path).sort()])
}
