/** Where variables come from: the real environment, then `.env.local`, then `.env` of the working directory. The first that has a variable wins. */
import { ConfigProvider, Effect, FileSystem, Layer } from "effect"
import type { PlatformError } from "effect"

/** Variables as flags fall back on them. A missing file is no error; an unreadable one is. An empty variable counts as not set. */
export const layerFrom = (
  env: Record<string, string | undefined>
): Layer.Layer<never, PlatformError.PlatformError, FileSystem.FileSystem> =>
  ConfigProvider.layer(
    Effect.gen(function*() {
      const files = yield* Effect.forEach([".env.local", ".env"], readOptional)
      const present = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined)
      return files.reduce(
        (provider, content) => ConfigProvider.orElse(provider, ConfigProvider.fromDotEnvContents(content)),
        ConfigProvider.fromEnv({ env: Object.fromEntries(present) })
      )
    })
  )

export const layer = Layer.suspend(() => layerFrom(process.env))

const readOptional = Effect.fnUntraced(function*(path: string) {
  const fileSystem = yield* FileSystem.FileSystem
  return yield* fileSystem.readFileString(path).pipe(
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeed(""))
  )
})
