/** A state machine for tests: remembers every command in order, and answers each with its position. */
import { Effect, Option } from "effect"
import { VolatileMeta } from "../../src/VolatileMeta.ts"
import type { StateMachine } from "../../src/index.ts"
import type { StateMachineError } from "../../src/StateMachine.ts"

interface Picture {
  readonly raft: {
    readonly head: ReadonlyArray<number>
    readonly records: ReadonlyArray<readonly [key: ReadonlyArray<number>, value: ReadonlyArray<number>]>
  }
  readonly part: ReadonlyArray<string>
}

export class Register {
  commands: Array<string> = []
  /** Raft's bookkeeping. */
  meta = new VolatileMeta({ head: Option.none(), records: [] })
  /** What the next snapshots are refused with. */
  refusal: StateMachineError | undefined
  installs = 0
  /** Fills answers up to so many bytes. */
  answerBytes = 0

  service(): StateMachine.StateMachine["Service"] {
    return {
      recover: Effect.sync(() => this.meta.copy()),
      apply: (commands, meta) =>
        Effect.sync(() => {
          const results = commands.map((entry) => {
            this.commands.push(text(entry.data))
            return bytes(String(this.commands.length).padEnd(this.answerBytes))
          })
          this.meta.keep(meta, results)
          return results
        }),
      flush: Effect.void,
      snapshot: Effect.sync(() => {
        const { head, records } = this.meta.copy()
        const raft = {
          head: Array.from(Option.getOrThrow(head)),
          records: records.map(([key, value]) => [Array.from(key), Array.from(value)] as const)
        }
        const all = this.commands.slice()
        return {
          read: (cursor) =>
            Effect.sync(() => {
              const from = cursor.length === 0 ? 0 : Number(text(cursor))
              const part = all.slice(from, from + 10)
              const data = bytes(JSON.stringify({ raft, part }))
              const next = from + 10
              return { data, next: next < all.length ? Option.some(bytes(String(next))) : Option.none() }
            })
        }
      }),
      install: Effect.sync(() => {
        const received: Array<string> = []
        let raft: Picture["raft"] | undefined
        return {
          write: (chunk) =>
            Effect.suspend(() => {
              if (this.refusal !== undefined) return Effect.fail(this.refusal)
              const value = JSON.parse(text(chunk)) as Picture
              raft = value.raft
              received.push(...value.part)
              return Effect.void
            }),
          commit: Effect.sync(() => {
            this.installs++
            this.commands = received
            this.meta = new VolatileMeta({
              head: Option.some(Uint8Array.from(raft!.head)),
              records: raft!.records.map(([key, value]) => [Uint8Array.from(key), Uint8Array.from(value)])
            })
          })
        }
      })
    }
  }
}

export const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)
export const text = (value: Uint8Array): string => new TextDecoder().decode(value)
