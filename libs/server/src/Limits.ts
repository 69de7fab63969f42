/** Every bound of the client port, with what happens there. */

/** Connections at once; further ones are closed at once, without a word, because what they speak is not known yet. The log says so. */
export const connectionsMax = 4096

/** Connections that have not said yet what they speak; further ones are closed at once. */
export const handshakesMax = 512

/** At most one log line in this time about connections that were closed for their number. */
export const turnedAwayReportMillis = 10_000

/** Silence after which the operating system asks the other end of a TCP connection whether it is still there. */
export const keepAliveMillis = 30_000

/** A connection that has not said what it speaks after this time is closed. The native hello has as long again. */
export const handshakeMillis = 10_000

/** Longest time that a batch may ask for; a longer one is cut to it. */
export const batchTimeoutMillisMax = 120_000

/** Operations of one batch connection that are not answered yet; beyond it the connection is not read until some are. */
export const inflightOperationsMax = 16_384

/** Bytes of requests being worked on and replies not yet sent, per batch connection; beyond it the connection is not read until there are fewer. */
export const inflightBytesMax = 16 * 1024 * 1024

/** What an operation being worked on takes in memory besides its key and value. */
export const operationOverheadBytes = 128

/**
 * The same bytes, and those of half-sent frames, over all batch connections. Beyond it only those connections are read that hold less than `inflightFloorBytes`,
 * and one other at a time.
 */
export const inflightBytesTotalMax = 256 * 1024 * 1024
export const inflightFloorBytes = 64 * 1024

/**
 * Reads of keys have room for their answer set aside within `inflightBytesTotalMax` before they begin: a share of what is free, but no more than the one, and no less
 * than the other. Those that need more are read in turn, as scans are.
 */
export const answerShare = 1 / 32
export const answerBytesMax = 4 * 1024 * 1024
export const answerBytesMin = 16 * 1024

/**
 * Reads with scans, or of keys whose answer is large, that are carried out at once for all connections, by consistency; more wait, as long as they have time, and
 * are then answered by `Busy`. Each may answer 16 MiB.
 */
export const scanReadsMax = 16

/** Bytes of replies that were not taken yet, over all batch connections; beyond it those reads wait too, in the same way. */
export const unsentBytesTotalMax = 256 * 1024 * 1024

/** Bytes of replies handed to the socket at once; more goes out once these are taken, which counts as progress. */
export const writeBytesMax = 1024 * 1024

/** How often connections for batches and rare calls are looked at for progress. */
export const stallCheckMillis = 5_000

/**
 * A batch connection that makes no progress with a half-sent frame or an unread reply in this many looks is closed with a `Stalled` notice. One for rare calls is
 * closed if it takes nothing of its answers for so long, or if it has no call under way and makes none.
 */
export const stallChecksMax = 6

/** On shutdown, connections get this long to receive what is outstanding and to leave by themselves; then they are closed. */
export const drainMillis = 3_000

/** On shutdown, a batch connection with nothing outstanding gets this long to leave by itself, so that what is on its way is still refused in words. */
export const farewellMillis = 200

/** A connection that is over gets this long to take its last bytes; then they are lost with it. */
export const lingerMillis = 1_000

/** Rare calls of one connection that run, or whose answers are not sent; beyond it the connection is not read until there are fewer. */
export const rpcCallsMax = 8

/** Rare calls being worked on at once; further ones wait. */
export const rpcConcurrency = 256

/** Longest wait that a rare call may ask for; longer ones are cut to it. */
export const rpcTimeoutMillisMax = 120_000

/** Bytes of an HTTP request's head; more is answered by 431. */
export const httpHeadBytesMax = 16 * 1024

/** An HTTP request whose head, or whole, has not arrived in this time is answered by 408 and closed; so is one whose answer is not taken, without the 408. */
export const httpHeadMillis = 10_000
export const httpRequestMillis = 60_000

/** An HTTP connection without a request is closed after this time. */
export const httpIdleMillis = 30_000

/** How often HTTP connections are looked at for those. */
export const httpCheckMillis = 500

/** A rare call that no leader has confirmed in this time goes back as `NoLeader`, with nothing changed: another member may know of one. */
export const confirmMillis = 2_000

/** A rare call that has changed something stops bringing its own member up to date so long before its time is over, and answers. */
export const answerMarginMillis = 50

/** A health check that has no answer from the cluster in this time fails. */
export const healthMillis = 2_000

/** Bytes of names and addresses in a membership change; longer is `Invalid`. */
export const nameBytesMax = 256
