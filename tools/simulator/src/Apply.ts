/**
 * `npm run check` plants every bug in a copy of the sources: each patch must fit exactly, and what comes of it must be sound TypeScript, or a run of it would show
 * anything but the bug. Patches of different files go into one copy, those of the same file into the next, and one run of the compiler looks at all copies.
 */
import { Console, Effect, FileSystem, Path, Schema, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Copy from "./Copy.ts"
import { editsOf } from "./Planted.ts"
import type { Patch } from "./Planted.ts"

/** Patched sources are no sound TypeScript; the message says which bugs they have, and why. */
export class UnsoundError extends Schema.TaggedError<UnsoundError>()("UnsoundError", { message: Schema.String }) {}

/** As few copies as possible, in each of which no file is patched twice. */
export const layers = (patches: ReadonlyArray<Patch>): ReadonlyArray<ReadonlyArray<Patch>> => {
  const found: Array<{ readonly patches: Array<Patch>; readonly files: Set<string> }> = []
  for (const patch of patches) {
    const files = editsOf(patch).map(({ file }) => file)
    let layer = found.find((others) => files.every((file) => !others.files.has(file)))
    if (layer === undefined) found.push(layer = { patches: [], files: new Set() })
    layer.patches.push(patch)
    for (const file of files) layer.files.add(file)
  }
  return found.map(({ patches }) => patches)
}

/** As in tests, and what a patch leaves unused is its own affair. */
const options = {
  composite: false,
  declaration: false,
  declarationMap: false,
  sourceMap: false,
  noEmit: true,
  allowImportingTsExtensions: true,
  rewriteRelativeImportExtensions: false,
  noUnusedLocals: false,
  incremental: false,
  tsBuildInfoFile: null,
  rootDir: ".",
  plugins: []
}

/** Plants them all, and has the types checked. */
export const apply = Effect.fnUntraced(function*(patches: ReadonlyArray<Patch>) {
  const files = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const spawner = yield* ChildProcessSpawner.ChildProcessSpawner
  const directory = yield* Copy.withModules()
  const planted = yield* Effect.forEach(
    layers(patches),
    Effect.fnUntraced(function*(layer, number) {
      yield* Copy.copyTo(path.join(directory, String(number)))
      return yield* Effect.forEach(layer, (patch) =>
        Effect.as(
          Copy.plant(path.join(directory, String(number)), patch),
          editsOf(patch).map(({ file }) => ({ name: patch.name, file: `${number}/${file}` }))
        ))
    })
  )
  const bugs = planted.flat(2)
  const project = { compilerOptions: { ...(yield* compilerOptions), ...options }, files: bugs.map(({ file }) => file) }
  yield* files.writeFileString(path.join(directory, "tsconfig.json"), JSON.stringify(project))
  const compiler = path.join(Copy.root, "tools/workspace/tsc.mjs")
  const handle = yield* spawner.spawn(
    ChildProcess.make(process.execPath, [compiler, "--pretty", "false", "-p", "."], {
      cwd: directory,
      extendEnv: true,
      stderr: "inherit"
    })
  )
  const said = yield* handle.stdout.pipe(Stream.decodeText(), Stream.mkString)
  if ((yield* handle.exitCode) !== 0) {
    const names = bugs.filter(({ file }) => said.includes(`${file}(`)).map(({ name }) => `"${name}"`)
    return yield* new UnsoundError({ message: `mend the patches of ${names.join(", ")}:\n${said}` })
  }
  yield* Console.log(`${patches.length} planted bugs fit the sources`)
}, Effect.scoped)

const Configured = Schema.fromJsonString(
  Schema.Struct({ compilerOptions: Schema.Record(Schema.String, Schema.Unknown) })
)

const compilerOptions = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const text = yield* files.readFileString(`${Copy.root}tsconfig.base.json`)
  return (yield* Schema.decodeEffect(Configured)(text)).compilerOptions
})
