/** The terminal or pipe that the person looks at: bytes out, bytes in. The only file that touches the process's streams. */
import { Context, Effect, Layer, Schema } from "effect"
import { stdinBytesMax } from "./Limits.ts"

/** Input or output broke, for instance because the reader of a pipe has gone. */
export class ScreenError extends Schema.TaggedError<ScreenError>()("ScreenError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export class Screen extends Context.Service<Screen, {
  /** Someone reads along; a last line break is then worth more than exact bytes. */
  readonly isTerminal: boolean
  /** Succeeds once the bytes have been handed to the operating system. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, ScreenError>
  /** All of the input, to its end. */
  readonly readAll: Effect.Effect<Uint8Array, ScreenError>
}>()("@dkv/ctl/Screen") {
  static readonly layer: Layer.Layer<Screen> = Layer.sync(Screen, () => {
    // The write that failed hears of it by itself; an event that nobody hears would end the process with a stack trace.
    process.stdout.on("error", () => {})
    return Screen.of({
      isTerminal: process.stdout.isTTY === true,
      write: (bytes) =>
        Effect.callback((resume) => {
          process.stdout.write(bytes, (cause) =>
            resume(
              cause === undefined || cause === null
                ? Effect.void
                : Effect.fail(new ScreenError({ message: `the output broke: ${cause.message}`, cause }))
            ))
        }),
      readAll: Effect.callback((resume) => {
        const chunks: Array<Uint8Array> = []
        let bytes = 0
        const finish = (result: Effect.Effect<Uint8Array, ScreenError>) => {
          process.stdin.removeAllListeners()
          process.stdin.pause()
          resume(result)
        }
        process.stdin.on("data", (chunk: Uint8Array) => {
          chunks.push(chunk)
          bytes += chunk.length
          if (bytes > stdinBytesMax) {
            finish(
              Effect.fail(
                new ScreenError({ message: `the input has more than ${stdinBytesMax} bytes, too many for a value` })
              )
            )
          }
        })
        process.stdin.on("end", () => finish(Effect.succeed(Buffer.concat(chunks))))
        process.stdin.on(
          "error",
          (cause) => finish(Effect.fail(new ScreenError({ message: `the input broke: ${cause.message}`, cause })))
        )
      })
    })
  })
}
