/**
 * A wake-up for the one fiber that waits. Any number of notifications before the fiber looks count as one, and the fiber
 * runs in a turn of its own, never on the notifier's stack: so all that happens in one turn is handled as one batch.
 */
import { Effect, Queue } from "effect"

export class Signal {
  readonly #queue: Queue.Queue<void>
  /** Succeeds once it has been notified since the last wait. */
  readonly wait: Effect.Effect<void>

  constructor(queue: Queue.Queue<void>) {
    this.#queue = queue
    this.wait = Queue.take(queue)
  }

  /** Must run inside the program: the waiter is scheduled by the creator's scheduler. */
  static readonly make: Effect.Effect<Signal> = Effect.map(Queue.dropping<void>(1), (queue) => new Signal(queue))

  readonly notify = (): void => {
    Queue.offerUnsafe(this.#queue, undefined)
  }
}
