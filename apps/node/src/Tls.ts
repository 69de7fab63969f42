/** TLS for the two ports. Not available yet; asking for it is refused, so that nobody talks in the clear while believing otherwise. */
import { Effect, FileSystem } from "effect"
import { UsageError } from "./Settings.ts"
import type { TlsFiles } from "./Settings.ts"

/** Fails if a named file cannot be read, and, until TLS is available, if any file is named at all. */
export const check = Effect.fnUntraced(function*({ files }: TlsFiles): Effect.fn.Return<
  void,
  UsageError,
  FileSystem.FileSystem
> {
  const fileSystem = yield* FileSystem.FileSystem
  for (const { flag, path } of files) {
    yield* Effect.mapError(
      fileSystem.access(path, { readable: true }),
      () => new UsageError({ message: `${flag} "${path}" cannot be read: name an existing PEM file` })
    )
  }
  if (files.length > 0) {
    const flags = files.map(({ flag }) => flag).join(", ")
    return yield* new UsageError({
      message: `TLS is not available yet: start without ${flags}, on a network that you trust`
    })
  }
})
