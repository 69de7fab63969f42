/**
 * A library as npm users get it: the compiled files instead of the sources. In the workspace a package's `exports` name its TypeScript sources;
 * npm, unlike pnpm, has no way to replace them when packing, so the package is put together in a folder of its own.
 */
import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Manifest } from "./Project.ts"

export interface Entry {
  readonly types: string
  readonly default: string
}

/** `./src/rocksdb.ts` becomes `./dist/rocksdb.js` and its declarations. */
export const publishedExports = (
  exports: Readonly<Record<string, string | null>>
): Readonly<Record<string, Entry | null>> =>
  Object.fromEntries(
    Object.entries(exports).map(([name, path]) => {
      if (path === null) return [name, null]
      const match = /^\.\/src\/(.+)\.ts$/.exec(path)
      if (match === null) throw new Error(`the export ${name} is to be a file ./src/….ts, not ${path}`)
      return [name, { types: `./dist/${match[1]}.d.ts`, default: `./dist/${match[1]}.js` }]
    })
  )

export const publishedManifest = (manifest: Manifest): unknown => {
  const { devDependencies: _, nx: __, ...rest } = manifest as Manifest & { readonly nx?: unknown }
  return { ...rest, exports: publishedExports(manifest.exports ?? {}), files: ["dist"], engines: { node: ">=24" } }
}

/**
 * Packs the built library at `project` into a tarball in `destination` and returns its path. `stage` is emptied first and holds the
 * package's content afterwards.
 */
export const pack = (project: string, workspace: string, stage: string, destination: string): string => {
  if (!existsSync(join(project, "dist", "index.js"))) {
    throw new Error(`${project} is not built: \`npm run build\` builds it`)
  }
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage, { recursive: true })
  mkdirSync(destination, { recursive: true })
  cpSync(join(project, "dist"), join(stage, "dist"), {
    recursive: true,
    filter: (path) => !path.endsWith(".tsbuildinfo") && !path.startsWith(stage) && !path.endsWith(".tgz")
  })
  const manifest = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as Manifest
  writeFileSync(join(stage, "package.json"), `${JSON.stringify(publishedManifest(manifest), undefined, 2)}\n`)
  for (const file of ["README.md", "LICENSE"]) {
    const source = [join(project, file), join(workspace, file)].find((path) => existsSync(path))
    if (source !== undefined) cpSync(source, join(stage, file))
  }
  const npm = spawnSync("npm", ["pack", "--json", "--pack-destination", destination], {
    cwd: stage,
    encoding: "utf8",
    shell: process.platform === "win32"
  })
  if (npm.status !== 0) throw new Error(`npm pack failed: ${npm.stderr}`)
  return join(destination, tarballName(npm.stdout))
}

/** npm 10 and 11 answer with a list, later ones with an object by package name. */
const tarballName = (json: string): string => {
  const answer = JSON.parse(json) as ReadonlyArray<{ readonly filename: string }>
  return Object.values(answer)[0]!.filename
}
