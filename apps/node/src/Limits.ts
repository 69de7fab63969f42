/** Bounds of the process itself; what bounds the member is in its libraries. */

/** A stop that takes longer ends the process, with exit code 1. What was acknowledged is on disk all the same. */
export const stopMillisMax = 20_000
