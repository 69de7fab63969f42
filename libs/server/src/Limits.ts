/** Every bound of the client port, with what happens there. */

/** Connections at once; further ones are closed at once, without a word, because what they speak is not known yet. */
export const connectionsMax = 4096

/** Connections that have not said yet what they speak; further ones are closed at once. */
export const handshakesMax = 512

/** A connection that has not said what it speaks after this time is closed. The native hello has as long again. */
export const handshakeMillis = 10_000

/** Operations of one batch connection that are not answered yet; beyond it the connection is not read until some are. */
export const inflightOperationsMax = 16_384

/** Bytes of requests being worked on and replies not yet sent, per batch connection; beyond it the connection is not read until there are fewer. */
export const inflightBytesMax = 16 * 1024 * 1024

/** Scans (as opposed to reads of one key) that are served together; more are served in turn, so that their answers do not pile up in memory. */
export const scansPerReadMax = 32

/** How often batch connections are looked at for progress. */
export const stallCheckMillis = 5_000

/** A batch connection that makes no progress with a half-sent frame or an unread reply in this many looks is closed with a `Stalled` notice. */
export const stallChecksMax = 6

/** On shutdown, connections get this long to receive what is outstanding and to leave by themselves; then they are closed. */
export const drainMillis = 3_000

/** Rare calls being worked on at once; further ones wait. */
export const rpcConcurrency = 256

/** Longest wait that a rare call may ask for; longer ones are cut to it. */
export const rpcTimeoutMillisMax = 120_000

/** Bytes of an HTTP request's head; more is answered by 431. */
export const httpHeadBytesMax = 16 * 1024

/** An HTTP request whose head, or whole, has not arrived in this time is answered by 408 and closed. */
export const httpHeadMillis = 10_000
export const httpRequestMillis = 60_000

/** An HTTP connection without a request is closed after this time. */
export const httpIdleMillis = 30_000

/** A health check that has no answer from the cluster in this time fails. */
export const healthMillis = 2_000

/** Bytes of names and addresses in a membership change; longer is `Invalid`. */
export const nameBytesMax = 256
