import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import { startProgram } from "./Process.ts"

const signalled = fileURLToPath(new URL("signalled.ts", import.meta.url))

describe("signals", () => {
  it.live(
    "a service that is interrupted has done its work; of anything else, the exit code tells which signal cut it off",
    () =>
      Effect.gen(function*() {
        for (
          const [kind, signal, code] of [
            ["service", "SIGTERM", 0],
            ["service", "SIGINT", 0],
            ["task", "SIGTERM", 143],
            ["task", "SIGINT", 130]
          ] as const
        ) {
          const running = yield* startProgram(signalled, [kind, signal])
          assert.strictEqual(yield* running.ended, code, `${kind} after ${signal}`)
        }
      }),
    60_000
  )
})
