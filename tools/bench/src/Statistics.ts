/**
 * Medians and spreads. Rounds of a benchmark are compared pairwise: a ratio is taken within each round, where machine and
 * disk were in the same mood, and only the ratios are summarised.
 */

/** A figure over several rounds: the middle one, the smallest and the largest, and all in the order of the rounds. Null where it is not known. */
export interface Spread {
  readonly median: number | null
  readonly min: number | null
  readonly max: number | null
  readonly values: ReadonlyArray<number | null>
}

/** The middle value, or the mean of the two middle ones; null for none. */
export const median = (values: ReadonlyArray<number>): number | null => {
  if (values.length === 0) return null
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Summarises the known ones of `values`. */
export const spread = (values: ReadonlyArray<number | null>): Spread => {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as Array<number>
  return {
    median: median(known),
    min: known.length === 0 ? null : Math.min(...known),
    max: known.length === 0 ? null : Math.max(...known),
    values
  }
}

/** Quotients round by round; a round in which either value is missing has none. */
export const ratios = (values: ReadonlyArray<number | null>, over: ReadonlyArray<number | null>): Spread =>
  spread(
    Array.from({ length: Math.min(values.length, over.length) }, (_, round) => {
      const value = values[round] ?? null
      const base = over[round] ?? null
      return value === null || base === null || base === 0 ? null : value / base
    })
  )
