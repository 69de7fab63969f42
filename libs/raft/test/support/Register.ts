/** A state machine for tests: remembers every command in order, and answers each with its position. */
import { Effect, Option } from "effect"
import type { StateMachine } from "../../src/index.ts"
import type { StateMachineError } from "../../src/StateMachine.ts"

export class Register {
  commands: Array<string> = []
  head: Uint8Array | undefined
  /** What the next snapshots are refused with. */
  refusal: StateMachineError | undefined
  installs = 0

  service(): StateMachine.StateMachine["Service"] {
    return {
      recover: Effect.sync(() => ({ head: Option.fromNullishOr(this.head), records: [] })),
      apply: (commands, meta) =>
        Effect.sync(() => {
          this.head = meta.head
          return commands.map((entry) => {
            this.commands.push(text(entry.data))
            return bytes(String(this.commands.length))
          })
        }),
      flush: Effect.void,
      snapshot: Effect.sync(() => {
        const { commands, head } = this
        const all = commands.slice()
        return {
          read: (cursor) =>
            Effect.sync(() => {
              const from = cursor.length === 0 ? 0 : Number(text(cursor))
              const part = all.slice(from, from + 10)
              const data = bytes(JSON.stringify({ head: Array.from(head ?? []), part }))
              const next = from + 10
              return { data, next: next < all.length ? Option.some(bytes(String(next))) : Option.none() }
            })
        }
      }),
      install: Effect.sync(() => {
        const received: Array<string> = []
        let head: Uint8Array | undefined
        return {
          write: (chunk) =>
            Effect.suspend(() => {
              if (this.refusal !== undefined) return Effect.fail(this.refusal)
              const value = JSON.parse(text(chunk)) as { head: Array<number>; part: Array<string> }
              head = Uint8Array.from(value.head)
              received.push(...value.part)
              return Effect.void
            }),
          commit: Effect.sync(() => {
            this.installs++
            this.commands = received
            this.head = head
          })
        }
      })
    }
  }
}

export const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
export const text = (value: Uint8Array): string => new TextDecoder().decode(value)
