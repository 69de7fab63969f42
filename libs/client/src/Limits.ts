/** Every bound of the client, with what happens at it. */

/** Deadline of a call that names none. */
export const callTimeoutMillis = 5000

/** The longest key that a server takes; it says so itself, this is only to name the end of all keys. */
export const keyBytesMax = 8192

/** Calls that wait for an answer; more fail with `Busy`. */
export const callsMax = 100_000

/** Operations, and their bytes, in one batch; the rest goes into the next one. */
export const batchOperationsMax = 2048
export const batchBytesMax = 1024 * 1024

/** Batches on their way on one connection; further calls wait for a reply. */
export const batchesInFlightMax = 64

/** A connection that is not up, hello included, in this time is given up. */
export const connectMillis = 2000

/** A connection that says nothing for so long with batches outstanding is given up: its member may be frozen. */
export const silenceMillis = 2500

/** Wait before an endpoint is tried after a failed connection: doubles from the first to the second, with jitter. */
export const backoffMinMillis = 20
export const backoffMaxMillis = 1000

/** A write that certainly was not carried out, or a read, is tried again after about so long. */
export const retryMillis = 30

/** How often deadlines and retries are looked at, while there are calls. */
export const sweepMillis = 25
