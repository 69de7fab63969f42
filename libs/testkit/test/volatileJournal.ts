/** A volatile state machine for tests: remembers every command, and answers each with what depends on all before it. */
import { StateMachine, type VolatileStateMachine } from "@dkv/raft"
import { Effect, Stream } from "effect"

export const bytes = (words: string): Uint8Array => new TextEncoder().encode(words)
export const text = (value: Uint8Array): string => new TextDecoder().decode(value)

export class Journal {
  lines: Array<string> = []
  private length = 0

  service(): VolatileStateMachine.VolatileStateMachine["Service"] {
    return {
      apply: (commands) =>
        Effect.sync(() =>
          commands.map(({ data }) => {
            const line = text(data)
            if (!line.startsWith("+")) return bytes("no such command")
            this.lines.push(line)
            this.length += line.length
            return bytes(`${this.lines.length} lines, ${this.length} characters`)
          })
        ),
      capture: Effect.sync(() => Stream.fromIterable(this.lines.slice()).pipe(Stream.map(bytes))),
      restore: (chunks) =>
        Effect.flatMap(Stream.runCollect(chunks), (found) => {
          const lines = found.map(text)
          if (!lines.every((line) => line.startsWith("+"))) {
            return Effect.fail(
              new StateMachine.StateMachineError({ reason: "Snapshot", message: "this is no journal" })
            )
          }
          this.lines = lines
          this.length = lines.reduce((sum, line) => sum + line.length, 0)
          return Effect.void
        })
    }
  }
}
