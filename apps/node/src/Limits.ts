/** Bounds of the process itself; what bounds the member is in its libraries. */

/** A stop that takes longer ends the process, with exit code 1. What was acknowledged is on disk all the same. */
export const stopMillisMax = 20_000

/** Threads for file operations that the process asks Node for, unless `UV_THREADPOOL_SIZE` says otherwise: disk syncs and storage must not wait for each other. */
export const threadPoolSize = 8
