/** A store for one snapshot in memory, for tests of the library itself: it can stall, stop, and rot. */
import { Effect, Latch, Option } from "effect"
import type { SnapshotStore } from "../../src/index.ts"
import { StateMachineError } from "../../src/StateMachine.ts"

export class SnapshotMedium {
  stored: ReadonlyArray<Uint8Array> | undefined
  commits = 0
  writes = 0
  /** Closed: drafts or commits hang, as on a stalled disk. */
  readonly writing = Latch.makeUnsafe(true)
  readonly committing = Latch.makeUnsafe(true)
  /** What reading, or the next commits, fail with. */
  damage: StateMachineError | undefined
  failure: StateMachineError | undefined
  private boot = 0

  /** The machine stops: nothing that is still under way takes effect. */
  crash(): void {
    this.boot++
    this.writing.openUnsafe()
    this.committing.openUnsafe()
  }

  service(): SnapshotStore.SnapshotStore["Service"] {
    const { boot } = this
    const alive = Effect.suspend(() =>
      boot === this.boot
        ? Effect.void
        : Effect.fail(new StateMachineError({ reason: "Io", message: "the machine has stopped" }))
    )
    const readerOf = (chunks: ReadonlyArray<Uint8Array>): SnapshotStore.StoredSnapshot["read"] => (position) =>
      Effect.suspend(() => {
        if (this.damage !== undefined) return Effect.fail(this.damage)
        const data = chunks[position]
        return Effect.succeed(data === undefined ? Option.none() : Option.some({ data, next: position + 1 }))
      })
    return {
      stored: Effect.map(
        alive,
        () => Option.map(Option.fromUndefinedOr(this.stored), (chunks) => ({ read: readerOf(chunks) }))
      ),
      draft: Effect.map(Effect.andThen(this.writing.await, alive), () => {
        const chunks: Array<Uint8Array> = []
        return {
          read: readerOf(chunks),
          write: (chunk) =>
            this.writing.await.pipe(
              Effect.andThen(alive),
              Effect.andThen(Effect.sync(() => {
                this.writes++
                chunks.push(chunk)
              }))
            ),
          commit: this.committing.await.pipe(
            Effect.andThen(alive),
            Effect.andThen(Effect.suspend(() => {
              if (this.failure !== undefined) return Effect.fail(this.failure)
              this.commits++
              this.stored = chunks
              return Effect.void
            }))
          )
        }
      })
    }
  }
}
