/** A copy of the sources with one patch, in a directory of its own: whoever runs it runs the bug. */
import { Effect, FileSystem, Path, Schema } from "effect"
import { fileURLToPath } from "node:url"
import { editsOf } from "./Planted.ts"
import type { Edit, Patch } from "./Planted.ts"

export const root = fileURLToPath(new URL("../../../", import.meta.url))

/** The patch does not fit the sources any more: bring it up to date. */
export class PatchError extends Schema.TaggedError<PatchError>()("PatchError", { message: Schema.String }) {}

/** The patched text. */
export const patched = (
  text: string,
  name: string,
  { file, find, replace }: Edit
): Effect.Effect<string, PatchError> => {
  const times = text.split(find).length - 1
  return times === 1
    ? Effect.succeed(text.replace(find, () => replace))
    : Effect.fail(new PatchError({ message: `"${name}": what it replaces stands ${times} times in ${file}` }))
}

/** A directory for copies, which is removed with the scope: they find in it what does not come from this workspace. */
export const withModules = Effect.fnUntraced(function*() {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const directory = yield* files.makeTempDirectoryScoped({ prefix: "dkv-planted-" })
  const modules = path.join(directory, "node_modules")
  yield* files.makeDirectory(modules)
  for (const module of yield* files.readDirectory(path.join(root, "node_modules"))) {
    if (module !== "@dkv") yield* files.symlink(path.join(root, "node_modules", module), path.join(modules, module))
  }
  return directory
})

/** Puts the sources of all projects into a directory, and has them find one another there. */
export const copyTo = Effect.fnUntraced(function*(copy: string) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
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
  const modules = path.join(copy, "node_modules", "@dkv")
  yield* files.makeDirectory(modules, { recursive: true })
  for (const module of yield* files.readDirectory(path.join(root, "node_modules", "@dkv"))) {
    const target = yield* files.realPath(path.join(root, "node_modules", "@dkv", module))
    yield* files.symlink(path.join(copy, path.relative(root, target)), path.join(modules, module))
  }
})

/** Plants a bug in a copy. */
export const plant = Effect.fnUntraced(function*(copy: string, bug: Patch) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (const edit of editsOf(bug)) {
    const file = path.join(copy, edit.file)
    yield* files.writeFileString(file, yield* patched(yield* files.readFileString(file), bug.name, edit))
  }
})

/** The worker program of a copy with one bug. */
export const worker = Effect.fnUntraced(function*(bug: Patch) {
  const path = yield* Path.Path
  const copy = yield* withModules()
  yield* copyTo(copy)
  yield* plant(copy, bug)
  return path.join(copy, "tools/simulator/src/worker.ts")
})
