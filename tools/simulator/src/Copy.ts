/** A copy of the sources with one patch, in a directory of its own: whoever runs it runs the bug. */
import { Effect, FileSystem, Path, Schema } from "effect"
import { fileURLToPath } from "node:url"
import type { Planted } from "./Planted.ts"

export const root = fileURLToPath(new URL("../../../", import.meta.url))

/** The patch does not fit the sources any more: bring it up to date. */
export class PatchError extends Schema.TaggedError<PatchError>()("PatchError", { message: Schema.String }) {}

/** The patched text. */
export const patched = (text: string, { file, find, name, replace }: Planted): Effect.Effect<string, PatchError> => {
  const times = text.split(find).length - 1
  return times === 1
    ? Effect.succeed(text.replace(find, () => replace))
    : Effect.fail(new PatchError({ message: `"${name}": what it replaces stands ${times} times in ${file}` }))
}

/** Makes the copy, which is removed with the scope, and gives the path of its worker program. */
export const make = Effect.fnUntraced(function*(bug: Planted) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const copy = yield* files.makeTempDirectoryScoped({ prefix: "dkv-planted-" })
  for (const group of ["libs", "tools"]) {
    for (const project of yield* files.readDirectory(path.join(root, group))) {
      const from = path.join(root, group, project)
      const to = path.join(copy, group, project)
      if (!(yield* files.exists(path.join(from, "src")))) continue
      yield* files.makeDirectory(to, { recursive: true })
      yield* files.copy(path.join(from, "src"), path.join(to, "src"))
      yield* files.copyFile(path.join(from, "package.json"), path.join(to, "package.json"))
    }
  }
  const modules = path.join(copy, "node_modules")
  yield* files.makeDirectory(path.join(modules, "@dkv"), { recursive: true })
  for (const module of yield* files.readDirectory(path.join(root, "node_modules"))) {
    if (module !== "@dkv") yield* files.symlink(path.join(root, "node_modules", module), path.join(modules, module))
  }
  for (const module of yield* files.readDirectory(path.join(root, "node_modules", "@dkv"))) {
    const target = yield* files.realPath(path.join(root, "node_modules", "@dkv", module))
    yield* files.symlink(path.join(copy, path.relative(root, target)), path.join(modules, "@dkv", module))
  }
  const file = path.join(copy, bug.file)
  yield* files.writeFileString(file, yield* patched(yield* files.readFileString(file), bug))
  return path.join(copy, "tools/simulator/src/worker.ts")
})
