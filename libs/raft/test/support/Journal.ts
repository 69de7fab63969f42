/** A volatile state machine for tests: remembers every command in order, and answers each with its position. */
import { Effect, Latch, Stream } from "effect"
import type { VolatileStateMachine } from "../../src/index.ts"
import { StateMachineError } from "../../src/StateMachine.ts"
import { bytes, text } from "./Register.ts"

export class Journal {
  commands: Array<string> = []
  /** Closed: an apply hangs with half of its commands applied. */
  readonly applying = Latch.makeUnsafe(true)
  /** What the next applies fail with, halfway. */
  failure: StateMachineError | undefined
  restores = 0
  /** Captures whose chunks may still be read. */
  captured = 0

  service(): VolatileStateMachine.VolatileStateMachine["Service"] {
    return {
      apply: (commands) =>
        Effect.gen({ self: this }, function*() {
          const half = commands.length >> 1
          const first = this.append(commands.slice(0, half))
          yield* this.applying.await
          if (this.failure !== undefined) return yield* this.failure
          return [...first, ...this.append(commands.slice(half))]
        }),
      capture: Effect.acquireRelease(
        Effect.sync(() => {
          this.captured++
          return Stream.fromIterable(this.commands.slice()).pipe(Stream.map(bytes))
        }),
        () => Effect.sync(() => void this.captured--)
      ),
      restore: (chunks) =>
        Effect.flatMap(Stream.runCollect(chunks), (found) => {
          const commands = found.map(text)
          if (commands.includes("nonsense")) {
            return Effect.fail(new StateMachineError({ reason: "Snapshot", message: "this is no journal" }))
          }
          this.restores++
          this.commands = commands
          return Effect.void
        })
    }
  }

  private append(commands: ReadonlyArray<{ readonly data: Uint8Array }>): Array<Uint8Array> {
    return commands.map(({ data }) => bytes(String(this.commands.push(text(data)))))
  }
}
