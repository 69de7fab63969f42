/** Every bound of the client, with what happens at it. */

/** Deadline of a call that names none. */
export const callTimeoutMillis = 5000

/** Calls that wait for an answer; more fail with `Busy`. */
export const callsMax = 100_000

/**
 * Operations, and their bytes, in one batch; the rest goes into the next one. A single larger operation travels alone. Small enough that a member has something to work
 * on while the next batch is made: with 1000 callers 512 serves 5 % more writes and 40 % more reads than 2048.
 */
export const batchOperationsMax = 512
export const batchBytesMax = 1024 * 1024

/**
 * Batches, operations and bytes on their way on one connection; with more, further calls wait for a reply. Less than a member reads ahead, so that it always has
 * room for a probe.
 */
export const batchesInFlightMax = 64
export const operationsInFlightMax = 8192
export const bytesInFlightMax = 8 * 1024 * 1024

/** A connection that is not up, hello included, in this time is given up. */
export const connectMillis = 2000

/** A connection that says nothing for so long with batches outstanding is probed. */
export const probeMillis = 750

/** One that says nothing at all for so long, not even to a probe, is given up: its member may be frozen. Reads go elsewhere; writes are `Unknown`. */
export const silenceMillis = 2500

/** A member that has left a batch unanswered for so long, though it is alive, gets no further calls: it may be cut off from the others. */
export const answerMillis = 1500

/**
 * A call that may be repeated is sent again, to another member if need be, when a member has not carried it out in this time. A range
 * has twice the time with each attempt. A rare call gives an endpoint so much at least.
 */
export const attemptMillis = 2000

/** Writes beyond the first unanswered one that may be on their way; with more, further ones wait. A member refuses what is farther ahead. */
export const sessionWindowMax = 65_536

/** A member is asked to answer so much before a call's deadline, or a quarter of the time left, so that its own word comes first. */
export const answerMarginMillis = 50

/** Write batches that a member passes on before a second connection is opened, to the leader: who writes a little needs none. */
export const detoursMax = 16

/** The longest wait before the leader is looked for again when no endpoint leads; it begins like that between connections, and ends when the leader changes. */
export const searchMaxMillis = 10_000

/** Connections at once: those in use, and those that still owe answers; a further one waits until one of them is done. */
export const connectionsMax = 8

/** Wait before another connection is tried: the shortest until every endpoint has failed once, then doubling each round, with jitter. */
export const backoffMinMillis = 20
export const backoffMaxMillis = 1000

/** A write that certainly was not carried out, or a read, is tried again after so long, doubling with each refusal. */
export const retryMinMillis = 30
export const retryMaxMillis = 500

/** How often deadlines, retries and silence are looked at, while there are calls. */
export const sweepMillis = 25
