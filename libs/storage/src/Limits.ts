/**
 * Every bound of this library, and what happens at it. Sizes are in bytes unless the name says otherwise.
 */

/** A segment file is closed and the next one begun when the next batch would pass this size. A single larger batch gets a segment of its own. */
export const segmentBytes = 64 * 1024 * 1024

/**
 * The log file is grown in steps of this many bytes: a batch that passes the end takes the zeros up to the next step with it, and the
 * batches after it overwrite them in place, which spares each of them a change of the file's metadata.
 */
export const growthBytes = 256 * 1024

/** Largest file of the log: record offsets are 32 bits wide. A batch that would pass it dies; callers bound their batches far below. */
export const segmentBytesMax = 0xffff_ffff

/** The buffer in which batches are encoded is kept between batches up to this size; a larger one is dropped after use. */
export const writeBufferBytes = 4 * 1024 * 1024

/** Most bytes that one read from a log file asks for, unless a single record is larger. A longer range takes several reads. */
export const readBytes = 4 * 1024 * 1024

/** Unneeded bytes between two records up to which one read covers both. Above it they are read one by one. */
export const readGapBytes = 16 * 1024

/** Recovery reads the log in windows of this size; a window grows to hold a larger record. */
export const recoveryWindowBytes = 1024 * 1024

/** An idle log writes the mark that its last batch was synced after this many milliseconds without another batch. */
export const idleMarkMillis = 50

/** Longest name of the candidate that a vote is for, in UTF-8 bytes. A longer one dies. */
export const voteBytesMax = 255

/** Rows that one step of a RocksDB iterator fetches. More steps are made as needed. */
export const scanStepRows = 256

/** Batches that a RocksDB store takes without a flush; then it flushes by itself, and the next batch waits. At most 65536. */
export const ringBatches = 16_384

/** Scans that a RocksDB store runs at the same time; the others wait. Each may occupy a thread of the pool that also syncs the log. */
export const scansMax = 4
