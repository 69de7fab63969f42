/**
 * TypeScript with the Effect diagnostics: runs the compiler that `@effect/tsgo` ships for the installed TypeScript version. Nothing in
 * node_modules is patched, so a fresh install needs no further step. (`@effect/tsgo/lib/getExePath` does this too, but in 0.45.0 it
 * refuses the version of its own index file.)
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

const require = createRequire(import.meta.url)
const typescript = JSON.parse(readFileSync(require.resolve("typescript/package.json"), "utf8"))

/** The platform's package is a dependency of `@effect/tsgo`, not of this workspace, so it is looked up from there. */
const compilers = dirname(
  createRequire(require.resolve("@effect/tsgo/package.json")).resolve(
    `@effect/tsgo-${process.platform}-${process.arch}/package.json`
  )
)
const executable = join(
  compilers,
  "artifacts",
  "typescript",
  typescript.version,
  process.platform === "win32" ? "tsc.exe" : "tsc"
)
if (!existsSync(executable)) {
  console.error(`@effect/tsgo has no compiler for TypeScript ${typescript.version}: pin a version listed in its README`)
  process.exit(1)
}

const result = spawnSync(executable, process.argv.slice(2), { stdio: "inherit" })
if (result.error !== undefined) throw result.error
process.exit(result.status ?? 1)
