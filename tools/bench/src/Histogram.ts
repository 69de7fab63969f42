/**
 * Counts of latencies in buckets that widen with the value, so that a percentile of any load is known to better than 1 %
 * from a fixed array, and recording is arithmetic only. The layout is HdrHistogram's: 128 linear steps per power of two.
 */

/** The unit of the buckets: tenths of a microsecond. */
const unitsPerMilli = 10_000

const stepBits = 7
const steps = 1 << stepBits
const bucketCount = (31 - stepBits + 1) * steps

/** Owns and mutates its counts. Values beyond 214 s are counted as 214 s. */
export class Histogram {
  readonly counts = new Float64Array(bucketCount)
  count = 0
  maxMillis = 0

  /** Counts one latency in milliseconds; a negative one counts as 0. */
  record(millis: number): void {
    if (millis > this.maxMillis) this.maxMillis = millis
    const index = bucketOf(millis)
    this.counts[index]! += 1
    this.count += 1
  }

  /** The latency in milliseconds that `fraction` of the recorded ones do not exceed; `NaN` if nothing was recorded. */
  percentile(fraction: number): number {
    if (this.count === 0) return Number.NaN
    const rank = Math.max(1, Math.ceil(fraction * this.count))
    let seen = 0
    for (let index = 0; index < bucketCount; index++) {
      seen += this.counts[index]!
      if (seen >= rank) return Math.min(upperMillis(index), this.maxMillis)
    }
    return this.maxMillis
  }
}

const bucketOf = (millis: number): number => {
  const units = Math.min(Math.max(Math.round(millis * unitsPerMilli), 0), 0x7fff_ffff)
  if (units < steps) return units
  const shift = 31 - Math.clz32(units) - stepBits
  return (shift << stepBits) + (units >>> shift)
}

const upperMillis = (index: number): number => {
  if (index < steps * 2) return index / unitsPerMilli
  const shift = (index >>> stepBits) - 1
  const units = ((index & (steps - 1)) + steps + 1) * 2 ** shift - 1
  return units / unitsPerMilli
}
