/** A project of the workspace as the checks see it: its manifest, its sources and what they import. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"

export type Kind = "apps" | "libs" | "tools"

export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly type?: string
  readonly license?: string
  readonly exports?: Readonly<Record<string, string | null>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export interface Import {
  readonly specifier: string
  /** First line is 1. */
  readonly line: number
}

export interface Source {
  /** Relative to the project, with forward slashes: `src/core/Quorum.ts`. */
  readonly path: string
  readonly imports: ReadonlyArray<Import>
}

export interface Project {
  readonly kind: Kind
  /** The folder's name: `raft`. */
  readonly id: string
  /** Relative to the workspace: `libs/raft`. */
  readonly root: string
  readonly manifest: Manifest
  readonly sources: ReadonlyArray<Source>
  /** The folders that hold a TypeScript project, of `src`, `test` and `bench`. */
  readonly folders: ReadonlyArray<string>
  readonly tsconfig: { readonly [folder: string]: string | undefined }
}

export const kinds: ReadonlyArray<Kind> = ["apps", "libs", "tools"]

/** Folders with sources. Those after `src` are TypeScript projects of their own, checked but never built. */
export const sourceFolders: ReadonlyArray<string> = ["src", "test", "bench"]

/** Every project below `workspaceRoot`, in the order apps, libs, tools. */
export const loadAll = (workspaceRoot: string): ReadonlyArray<Project> =>
  kinds.flatMap((kind) =>
    readdirSync(join(workspaceRoot, kind))
      .sort()
      .filter((name) => existsSync(join(workspaceRoot, kind, name, "package.json")))
      .map((name) => load(workspaceRoot, kind, name))
  )

export const load = (workspaceRoot: string, kind: Kind, name: string): Project => {
  const root = `${kind}/${name}`
  const path = join(workspaceRoot, root)
  const sources = sourceFiles(path, "").map((file) => ({
    path: file,
    imports: importsOf(readFileSync(join(path, file), "utf8"))
  }))
  const folders = sourceFolders.filter((folder) => sources.some((source) => source.path.startsWith(`${folder}/`)))
  const read = (file: string) => existsSync(join(path, file)) ? readFileSync(join(path, file), "utf8") : undefined
  return {
    kind,
    id: basename(name),
    root,
    manifest: JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as Manifest,
    sources,
    folders,
    tsconfig: Object.fromEntries(
      sourceFolders.map((folder) => [folder, read(folder === "src" ? "tsconfig.json" : `${folder}/tsconfig.json`)])
    )
  }
}

const sourceFiles = (root: string, folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { withFileTypes: true })
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) {
        return entry.name === "node_modules" || entry.name === "dist"
          ? []
          : sourceFiles(root, path)
      }
      return /\.(?:[cm]?ts|[cm]?js)$/.test(entry.name) ? [path] : []
    })

/**
 * What a source imports: static imports and exports, which the formatter puts at the start of a line, and dynamic imports with a literal.
 * Lines of a comment are skipped, so an example in documentation does not count.
 */
export const importsOf = (text: string): ReadonlyArray<Import> => {
  const found: Array<Import> = []
  const lineOf = (offset: number) => text.slice(0, offset).split("\n").length
  const add = (pattern: RegExp) => {
    for (const match of text.matchAll(pattern)) {
      found.push({ specifier: match[1]!, line: lineOf(match.index) })
    }
  }
  add(/^(?:import|export)\b[^"';]*?\bfrom\s*["']([^"']+)["']/gm)
  add(/^import\s*["']([^"']+)["']/gm)
  add(/^(?!\s*(?:\*|\/\/|\/\*)).*?\bimport\s*\(\s*["']([^"']+)["']/gm)
  return found.sort((a, b) => a.line - b.line)
}

/** The package that a specifier names: `effect/Queue` is of `effect`, `@dkv/storage/rocksdb` of `@dkv/storage`. */
export const packageOf = (specifier: string): string =>
  specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/")

/** Dependencies of all kinds, name to version. */
export const dependenciesOf = (manifest: Manifest): Readonly<Record<string, string>> => ({
  ...manifest.optionalDependencies,
  ...manifest.peerDependencies,
  ...manifest.devDependencies,
  ...manifest.dependencies
})
