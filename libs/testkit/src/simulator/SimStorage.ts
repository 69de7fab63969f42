/** The storage under a member's state: it takes its time, and refuses, as told. What it holds outlives it, in whatever is underneath. */
import { Storage } from "@dkv/storage"
import { Effect, Layer } from "effect"

export type StorageOperation = "write" | "flush"

const nobody = () => {}

export class SimStorage {
  readonly layer: Layer.Layer<Storage.Storage>
  /** When it became slow last. */
  slowedAt = -Infinity
  private delayMillis = 0
  private failing: StorageOperation | undefined
  /** Called once something comes of what is to fail, or is slow. */
  private failed = nobody
  private slowed = nobody
  private hasFailed = false

  constructor(underneath: Layer.Layer<Storage.Storage>) {
    const guarded = <A>(operation: StorageOperation, use: Effect.Effect<A, Storage.StorageError>) =>
      Effect.suspend(() => {
        if (this.failing === operation) {
          this.failing = undefined
          this.hasFailed = true
          this.failed()
          const message = `${operation} failed by order`
          return Effect.fail(new Storage.StorageError({ reason: "Io", message }))
        }
        if (this.delayMillis === 0) return use
        this.slowed()
        this.slowed = nobody
        return Effect.andThen(Effect.sleep(this.delayMillis), use)
      })
    this.layer = Layer.effect(
      Storage.Storage,
      Effect.map(Effect.service(Storage.Storage), (storage) => ({
        ...storage,
        write: (batch: Parameters<typeof storage.write>[0]) => guarded("write", storage.write(batch)),
        flush: guarded("flush", storage.flush)
      }))
    ).pipe(Layer.provide(underneath))
  }

  get isSlow(): boolean {
    return this.delayMillis > 0
  }

  /** A member starts with it. */
  begin(): void {
    this.hasFailed = false
  }

  /** Whether an error of this reason is what was done to it since it was begun with. */
  accountsFor(reason: string): boolean {
    return reason === "Io" && this.hasFailed
  }

  /** From now on each write and each flush takes so long. */
  slow(millis: number, now: number, hit = nobody): void {
    this.slowed = hit
    this.slowedAt = now
    this.delayMillis = millis
  }

  /** The next one fails, and does nothing. */
  fail(operation: StorageOperation, hit = nobody): void {
    this.failed = hit
    this.failing = operation
  }

  speedUp(): void {
    this.delayMillis = 0
  }

  /** No fault is left to come. */
  heal(): void {
    this.failing = undefined
    this.speedUp()
  }
}
