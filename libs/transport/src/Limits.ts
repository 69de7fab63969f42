/** Every bound of this library, each with what happens when it is reached. */

/** Largest message of a frame in bytes. A larger one is not sent (`sendUnsafe` answers false); a peer that announces one is cut off. */
export const frameBytesMax = 8 * 1024 * 1024

/** Bytes queued or being written to one peer, by lane. Beyond it `sendUnsafe` answers false. A lane can always hold one whole frame. */
export const queueBytesMax = { raft: 16 * 1024 * 1024, bulk: frameBytesMax + 64 * 1024 } as const

/** Frames queued or being written to one peer, on either lane. Beyond it `sendUnsafe` answers false. */
export const queueFramesMax = 16_384

/** Bytes handed to the socket at once. A longer queue goes out in several writes, so that one peer's backlog does not hold up the others. */
export const writeBytesMax = 1024 * 1024

/** Chunks up to this size are copied together for one write; larger ones are handed to the socket as they are. */
export const copyBytesMax = 8 * 1024

/** Longest hello or answer in bytes. A peer that announces a longer one is cut off, having made us hold no more than that. */
export const handshakeBytesMax = 1024

/** Time for dialling and for both halves of the handshake. The side that waits closes the connection. */
export const handshakeMillisMax = 3_000

/** Time that a refused peer gets to read why, before its connection is destroyed. */
export const lingerMillisMax = 1_000

/** Connections that have not finished their handshake. The oldest is destroyed when one more arrives. */
export const unauthenticatedMax = 64

/** Open control connections. A further one is refused as `Busy`. */
export const controlConnectionsMax = 64

/** Largest control request or answer in bytes. A caller's larger one is not sent; a peer that announces one is cut off. */
export const controlBytesMax = 1024 * 1024

/** Time for a control request to arrive and to be answered. The connection is destroyed after it, and the caller gets `Failed`. */
export const controlMillisMax = 30_000

/** Time between two pings on a connection, and the unit in which silence is counted. */
export const pingMillis = 1_000

/** Pings without any sign of life after which a link counts as broken. Counted in our own pings, so that a paused process does not blame its peers. */
export const silentPingsMax = 5

/** Pings without a frame after which a bulk connection is closed; the next frame opens it again. */
export const bulkIdlePings = 30

/**
 * Pause before the first and, growing twofold, before any later attempt to dial a peer. A random part of up to half is taken off.
 * `refused` is the longest pause after a refusal that time alone will not lift.
 */
export const redialMillis = { first: 50, max: 1_000, refused: 15_000 } as const

/** A link that has been up for so many pings has proven itself: when it breaks, it is dialled again at once. */
export const steadyPings = 2

/** So many connections of one peer, each replacing one that had not proven itself, and it is said that two processes may have one identity. */
export const hastyConnectionsMax = 5

/** Ids of former peers that are remembered, so that they hear `Removed` instead of `Unknown`. The oldest is forgotten. */
export const removedMax = 1_024

/** Log lines about strangers and broken links: this many at once, and one per `logMillis` after that. What was left out is counted in the next line. */
export const logBurst = 10
export const logMillis = 1_000

/** The same line is not written again within this time, as far back as this many lines. */
export const logRepeatMillis = 60_000
export const logRemembered = 100

/** Bytes on their way in one direction of an in-process connection. A writer waits beyond it, as on a full kernel buffer. */
export const memoryBufferBytesMax = 256 * 1024

/** Silence after which the operating system probes a TCP connection, as a second line behind our own pings. */
export const keepAliveMillis = 5_000

/** Times that a free port is looked for which both loopback addresses have. After that the layer fails with `TransportError`. */
export const portAttempts = 8
