/**
 * Wakes one waiting fiber from synchronous code, once however often it is raised: the bell between what fills a buffer and the fiber that empties it.
 * A raise that nobody waits for is remembered.
 */
import { Effect } from "effect"

export class Signal {
  private raised = false
  private waiter: ((effect: Effect.Effect<void>) => void) | undefined

  /** Wakes the waiter, which runs at once, on the stack of the caller, until it suspends again. */
  raise(): void {
    const waiter = this.waiter
    if (waiter === undefined) {
      this.raised = true
      return
    }
    this.waiter = undefined
    waiter(Effect.void)
  }

  /** Suspends until the next raise. One fiber at a time. */
  readonly wait: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.raised) {
      this.raised = false
      return resume(Effect.void)
    }
    this.waiter = resume
    return Effect.sync(() => {
      if (this.waiter === resume) this.waiter = undefined
    })
  })
}
