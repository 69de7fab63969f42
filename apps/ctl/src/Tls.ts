/** TLS to the members. Not available yet; asking for it is refused, so that nobody talks in the clear while believing otherwise. */
import { Effect, FileSystem } from "effect"
import { UsageError } from "./Settings.ts"
import type { Settings } from "./Settings.ts"

/** Fails if a named file cannot be read, and, until TLS is available, if any file is named at all. */
export const check = Effect.fnUntraced(function*({ tlsFiles }: Settings): Effect.fn.Return<
  void,
  UsageError,
  FileSystem.FileSystem
> {
  const fileSystem = yield* FileSystem.FileSystem
  for (const { flag, path } of tlsFiles) {
    yield* Effect.mapError(
      fileSystem.access(path, { readable: true }),
      () => new UsageError({ message: `${flag} "${path}" cannot be read: name an existing PEM file` })
    )
  }
  if (tlsFiles.length > 0) {
    const flags = tlsFiles.map(({ flag }) => flag).join(", ")
    return yield* new UsageError({
      message: `TLS is not available yet: ask without ${flags}, on a network that you trust`
    })
  }
})
