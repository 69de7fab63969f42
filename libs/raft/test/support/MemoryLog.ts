/** A log in memory for tests of the library itself: whatever is written is durable at once, or when the test says so. */
import { Effect, Latch } from "effect"
import type { LogStore } from "../../src/index.ts"
import type { LogStoreError } from "../../src/LogStore.ts"
import type { Entry } from "../../src/index.ts"
import { HardState } from "../../src/index.ts"

export class MemoryLog {
  hardState = HardState.initial
  previousIndex = 0
  previousTerm = 0
  entries: Array<Entry.Entry> = []
  /** Closed: writes hang, as on a stalled disk. */
  readonly disk = Latch.makeUnsafe(true)
  writes = 0
  /** Sees each change of the log as it becomes durable. */
  watch: (write: LogStore.LogWrite) => void = () => {}
  /** What the next write fails with. */
  failure: LogStoreError | undefined

  get lastIndex(): number {
    return this.previousIndex + this.entries.length
  }

  recovered(): LogStore.Recovered {
    const termRuns: Array<{ index: number; term: number }> = []
    for (const entry of this.entries) {
      if (termRuns.at(-1)?.term !== entry.term) termRuns.push({ index: entry.index, term: entry.term })
    }
    return {
      hardState: this.hardState,
      previousIndex: this.previousIndex,
      previousTerm: this.previousTerm,
      lastIndex: this.lastIndex,
      termRuns,
      configurations: this.entries.filter((entry) => entry.kind === 2)
    }
  }

  service(): LogStore.LogStore["Service"] {
    return {
      recovered: this.recovered(),
      write: (writes) =>
        Effect.andThen(
          this.disk.await,
          Effect.suspend(() => {
            if (this.failure !== undefined) return Effect.fail(this.failure)
            this.writes++
            for (const write of writes) {
              this.apply(write)
              this.watch(write)
            }
            return Effect.void
          })
        ),
      read: (from, to, bytesMax) =>
        Effect.sync(() => {
          const found: Array<Entry.Entry> = []
          let bytes = 0
          for (let index = from; index <= Math.min(to, this.lastIndex); index++) {
            const entry = this.entries[index - this.previousIndex - 1]
            if (entry === undefined) break
            bytes += entry.bytes
            if (found.length > 0 && bytes > bytesMax) break
            found.push(entry)
          }
          return found
        }),
      compact: (index) =>
        Effect.sync(() => {
          const count = Math.min(index, this.lastIndex) - this.previousIndex
          if (count > 0) {
            const dropped = this.entries.splice(0, count)
            this.previousIndex = dropped.at(-1)!.index
            this.previousTerm = dropped.at(-1)!.term
          }
          return { previousIndex: this.previousIndex, previousTerm: this.previousTerm }
        }),
      sizeBytes: Effect.sync(() => this.entries.reduce((sum, entry) => sum + entry.bytes, 0))
    }
  }

  private apply(write: LogStore.LogWrite): void {
    switch (write._tag) {
      case "HardState":
        this.hardState = write.hardState
        break
      case "Append": {
        const first = write.entries[0]!.index
        this.entries.length = Math.min(this.entries.length, first - this.previousIndex - 1)
        for (const entry of write.entries) this.entries.push(entry)
        break
      }
      case "Reset":
        this.entries = []
        this.previousIndex = write.index
        this.previousTerm = write.term
    }
  }
}
