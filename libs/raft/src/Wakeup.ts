/**
 * How an actor sleeps until there is work: any number of rings before it looks count as one, and it wakes in a turn of its own, never on the stack of
 * the one who rang. One waiter.
 */
import { Effect } from "effect"
import type { Scheduler } from "effect"

export class Wakeup {
  /** Waits for a ring since the last wait. */
  readonly wait: Effect.Effect<void>
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private resume: ((effect: Effect.Effect<void>) => void) | undefined
  private rung = false

  constructor(dispatcher: Scheduler.SchedulerDispatcher) {
    this.dispatcher = dispatcher
    const sleep = Effect.callback<void>((resume) => {
      this.resume = resume
      return Effect.sync(() => {
        this.resume = undefined
      })
    })
    this.wait = Effect.suspend(() => {
      if (!this.rung) return sleep
      this.rung = false
      return Effect.void
    })
  }

  ringUnsafe(): void {
    if (this.rung) return
    this.rung = true
    if (this.resume !== undefined) this.dispatcher.scheduleTask(this.wake, 0)
  }

  private readonly wake = (): void => {
    const resume = this.resume
    if (resume === undefined) return
    this.resume = undefined
    this.rung = false
    resume(Effect.void)
  }
}

/** A wake-up whose waiter runs on the scheduler of the fiber that makes it. */
export const make: Effect.Effect<Wakeup> = Effect.withFiber((fiber) =>
  Effect.succeed(new Wakeup(fiber.currentDispatcher))
)

/** Makes wake-ups outside of an effect, on the scheduler of the fiber that asks for the maker. */
export const maker: Effect.Effect<() => Wakeup> = Effect.withFiber((fiber) => {
  const dispatcher = fiber.currentDispatcher
  return Effect.succeed(() => new Wakeup(dispatcher))
})
