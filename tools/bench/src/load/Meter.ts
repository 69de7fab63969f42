/**
 * What the callers of a load share: whether to go on, and where to count a finished call. Only calls that end while `measuring`
 * is set count, so that warm-up and the last calls leave no trace.
 */
import { Histogram } from "../Histogram.ts"

/** Mutated by the measurement (the flags) and by the callers (everything else). */
export class Meter {
  /** Callers start no further call once this is false. */
  running = true
  measuring = false
  readonly histogram = new Histogram()
  /** Calls that have been started and not been answered. */
  outstanding = 0
  /** Calls that were answered, measured or not. */
  answered = 0
  /** The next call's number; callers take keys in turn, whoever comes first. */
  sequence = 0
  /** After this many calls no further one is started. */
  readonly callsMax: number

  constructor(callsMax = Number.POSITIVE_INFINITY) {
    this.callsMax = callsMax
  }

  /** Whether a caller may start a call now; if so, it must, and it is counted. */
  start(): boolean {
    if (!this.running || this.sequence >= this.callsMax) return false
    this.sequence += 1
    this.outstanding += 1
    return true
  }

  /** Counts a call that was answered. Times in milliseconds of one monotonic clock. */
  finish(startedMillis: number, nowMillis: number): void {
    this.outstanding -= 1
    this.answered += 1
    if (this.measuring) this.histogram.record(nowMillis - startedMillis)
  }
}
