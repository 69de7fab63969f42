/**
 * Who may import whom. The edges are the architecture: an edge that is not listed here is a build failure, whether it is declared in a
 * package.json or only written in an import.
 */
import { posix } from "node:path"
import { dependenciesOf, packageOf } from "./Project.ts"
import type { Import, Project, Source } from "./Project.ts"

export interface Problem {
  /** `file:line` or a file, relative to the workspace. */
  readonly at: string
  readonly message: string
}

const scope = "@dkv/"

/** What each project may import of the others. `"*"` is every library but the test kit; tools may import anything. */
export const allowed: Readonly<Record<string, ReadonlyArray<string>>> = {
  "libs/raft": [],
  "libs/storage": ["raft"],
  "libs/transport": ["raft"],
  "libs/kv": ["raft", "storage"],
  "libs/protocol": [],
  "libs/server": ["kv", "raft", "protocol"],
  "libs/client": ["protocol"],
  "libs/gossip": ["storage", "transport", "protocol"],
  "libs/member": ["raft", "storage", "transport", "kv", "protocol", "server", "client", "gossip"],
  "libs/testkit": ["*"],
  "apps/node": ["member"],
  "apps/ctl": ["client", "protocol"]
}

/** Libraries that use `effect` and nothing else, not even Node. */
export const pure: ReadonlyArray<string> = ["libs/raft", "libs/protocol"]

/** A folder that imports nothing outside itself. */
export const closed: ReadonlyArray<string> = ["libs/raft/src/core"]

/** Native or heavy packages: never loaded by a library's `index.ts`, only by an entry point of their own. */
export const heavy: ReadonlyArray<string> = ["rocksdb-native", "fs-native-extensions", "ssh2"]

/** Packages of the root that tests use without declaring them. */
export const testing: ReadonlyArray<string> = ["vitest", "@effect/vitest"]

export const check = (projects: ReadonlyArray<Project>): ReadonlyArray<Problem> => {
  const byName = new Map(projects.map((project) => [project.manifest.name, project]))
  return [
    ...projects.flatMap((project) => checkDeclared(project, byName)),
    ...projects.flatMap((project) =>
      project.sources.flatMap((source) =>
        source.imports.flatMap((imported) => checkImport(project, source, imported, byName))
      )
    ),
    ...projects.flatMap((project) => checkEntryPoint(project)),
    ...circles(projects, byName)
  ]
}

const mayImport = (from: Project, to: Project): boolean => {
  if (from.kind === "tools") return true
  if (to.kind !== "libs") return from.root === "libs/testkit" && to.kind === "apps"
  const list = allowed[from.root] ?? []
  return list.includes(to.id) || (list.includes("*") && to.id !== from.id)
}

const checkDeclared = (project: Project, byName: ReadonlyMap<string, Project>): ReadonlyArray<Problem> => {
  const at = `${project.root}/package.json`
  if (project.kind !== "tools" && !Object.hasOwn(allowed, project.root)) {
    return [{
      at,
      message: `${project.root} has no place in the architecture: list what it may import in Boundaries.ts`
    }]
  }
  return Object.keys(dependenciesOf(project.manifest)).flatMap((name) => {
    const target = byName.get(name)
    if (target !== undefined) {
      return mayImport(project, target) ? [] : [{ at, message: `${project.root} may not depend on ${target.root}` }]
    }
    if (name.startsWith(scope)) return [{ at, message: `${name} is not a package of this workspace` }]
    return pure.includes(project.root) && name !== "effect"
      ? [{ at, message: `${project.root} uses effect and nothing else, so not ${name}` }]
      : []
  })
}

const checkImport = (
  project: Project,
  source: Source,
  imported: Import,
  byName: ReadonlyMap<string, Project>
): ReadonlyArray<Problem> => {
  const { specifier } = imported
  const at = `${project.root}/${source.path}:${imported.line}`
  const problem = (message: string): ReadonlyArray<Problem> => [{ at, message }]
  const file = `${project.root}/${source.path}`
  const home = closed.find((folder) => file.startsWith(`${folder}/`))

  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(file), specifier)
    if (!target.startsWith(`${project.root}/`)) {
      return problem(`${specifier} leaves ${project.root}: import the other project by its package name`)
    }
    return home !== undefined && !target.startsWith(`${home}/`)
      ? problem(`${home} imports nothing outside itself, so not ${specifier}`)
      : []
  }
  if (home !== undefined) return problem(`${home} imports nothing outside itself, so not ${specifier}`)
  const shipped = source.path.startsWith("src/")
  if (specifier.startsWith("node:")) {
    return shipped && pure.includes(project.root)
      ? problem(`${project.root} uses effect and nothing else, so not ${specifier}`)
      : []
  }
  const name = packageOf(specifier)
  if (name === project.manifest.name) {
    return shipped
      ? problem(`${specifier} is this package: import its files by relative paths`)
      : checkExported(at, specifier, project)
  }
  const target = byName.get(name)
  if (target !== undefined && !mayImport(project, target)) {
    return problem(`${project.root} may not import ${target.root}`)
  }
  const declared = shipped ? project.manifest.dependencies ?? {} : dependenciesOf(project.manifest)
  if (!Object.hasOwn(declared, name) && (shipped || !testing.includes(name))) {
    return problem(
      `${name} is imported but is not in the ${shipped ? "dependencies" : "package.json"} of ${project.manifest.name}`
    )
  }
  return target === undefined ? [] : checkExported(at, specifier, target)
}

const checkExported = (at: string, specifier: string, target: Project): ReadonlyArray<Problem> =>
  isExported(target.manifest.exports ?? {}, `.${specifier.slice(target.manifest.name.length)}`)
    ? []
    : [{ at, message: `${specifier} is not among the exports of ${target.manifest.name}` }]

/** An exact entry wins over a pattern, and a longer pattern over a shorter one, as in Node. */
const isExported = (exports: Readonly<Record<string, string | null>>, entry: string): boolean => {
  if (Object.hasOwn(exports, entry)) return exports[entry] !== null
  const pattern = Object.keys(exports)
    .filter((key) => {
      const [before, after] = key.split("*") as [string, string | undefined]
      return after !== undefined && entry.length > key.length - 1 && entry.startsWith(before) && entry.endsWith(after)
    })
    .sort((a, b) => b.length - a.length)[0]
  return pattern !== undefined && exports[pattern] !== null
}

/** The index of a library, followed through its own files, must not load a heavy package. */
const checkEntryPoint = (project: Project): ReadonlyArray<Problem> => {
  if (project.kind !== "libs") return []
  const sources = new Map(project.sources.map((source) => [source.path, source]))
  const seen = new Set<string>()
  const problems: Array<Problem> = []
  const visit = (path: string): void => {
    const source = sources.get(path)
    if (source === undefined || seen.has(path)) return
    seen.add(path)
    for (const { specifier, line } of source.imports) {
      if (specifier.startsWith(".")) visit(posix.join(posix.dirname(path), specifier))
      else if (heavy.includes(packageOf(specifier))) {
        problems.push({
          at: `${project.root}/${path}:${line}`,
          message: `src/index.ts loads ${packageOf(specifier)} through this file: give it an entry point of its own`
        })
      }
    }
  }
  visit("src/index.ts")
  return problems
}

/** Declared dependencies among the workspace's packages form no circle. */
const circles = (projects: ReadonlyArray<Project>, byName: ReadonlyMap<string, Project>): ReadonlyArray<Problem> => {
  const done = new Set<Project>()
  const problems: Array<Problem> = []
  const visit = (project: Project, path: ReadonlyArray<Project>): void => {
    const start = path.indexOf(project)
    if (start >= 0) {
      const names = [...path.slice(start), project].map((member) => member.manifest.name)
      problems.push({ at: `${project.root}/package.json`, message: `circle: ${names.join(" -> ")}` })
      return
    }
    if (done.has(project)) return
    for (const name of Object.keys(dependenciesOf(project.manifest))) {
      const target = byName.get(name)
      if (target !== undefined) visit(target, [...path, project])
    }
    done.add(project)
  }
  for (const project of projects) visit(project, [])
  return problems
}
