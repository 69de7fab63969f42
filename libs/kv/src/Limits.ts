/**
 * Every bound of this library, with what happens at it. Sizes are in bytes.
 *
 * The four marked *replicated* decide results: all members must agree on them, so they change only together with the
 * layout version. The others may differ between members.
 */

/** A longer key is refused as `KeyTooLarge` before it reaches the log. */
export const keyBytesMax = 8 * 1024

/** A longer value is refused as `ValueTooLarge` before it reaches the log. As large as etcd's default request. */
export const valueBytesMax = 1536 * 1024

/**
 * *Replicated.* A key that is longer than this in a command is answered as `Malformed`. Larger than `keyBytesMax`, so that the limit for
 * callers can grow without a new layout.
 */
export const commandKeyBytesMax = 64 * 1024

/** *Replicated.* A delete that meets more live keys than this is answered as `RangeTooLarge` and changes nothing. */
export const deleteKeysMax = 100_000

/**
 * Deletes of ranges that are applied in one batch; the next batch begins with a further one. The rows of a batch are in memory until it is over, of each such delete up to
 * `deleteKeysMax`; all others have one.
 */
export const batchRangeDeletesMax = 4

/**
 * *Replicated.* A longer value is stored in the revision log only, and the current row says where; and a failed comparison does not show it, or one small batch of them
 * against a large value would make gigabytes of results, on every member.
 */
export const inlineValueBytesMax = 1024

/** Changes, and bytes, of one row of the revision log; further ones go into the next row. A larger change has a row of its own. */
export const historyRowChangesMax = 64
export const historyRowBytesMax = 16 * 1024

/** *Replicated.* Trees that a chain of revisions can have at once: enough for 2^48 changes of one key. */
export const chainRootsMax = 64

/** Rows kept in memory for reads and for the next commands; the least recently used half is dropped beyond it. */
export const cacheBytesMax = 32 * 1024 * 1024

/** What one row costs in the cache besides its key and value: objects, map entry and string headers, measured. */
export const cacheRowOverheadBytes = 400

/** A longer value is not cached; a read fetches it from storage. */
export const cacheValueBytesMax = 16 * 1024

/** A write that has more time than this is given back as `NoLeader` after it, if this member knows of no leader until then: another one may. */
export const leaderWaitMillis = 2000

/**
 * Applied changes wait this long for more to be written with them, unless there are so many bytes of them, or somebody waits. With ten callers a cluster
 * of three on two cores answers up to 6 % more at 50 ms than at 20, and no more at 100.
 */
export const lingerMillis = 50
export const lingerBytes = 256 * 1024

/** Applied changes that may wait for the storage; beyond it, `apply` waits before it takes the next batch. */
export const pendingBytesMax = 8 * 1024 * 1024

/** Keys and values in one range result; it stops there with `more`. At least one key is returned. */
export const rangeBytesMax = 4 * 1024 * 1024

/** Keys and values in all results of one read; operations beyond it are answered as `AnswerTooLarge`. */
export const readBytesMax = 16 * 1024 * 1024

/** What a key adds to the size of an answer besides its bytes and those of its value. */
export const keyValueOverheadBytes = 64

/** Rows that one scan asks of the storage; longer ranges take several. */
export const scanRowsMax = 1024

/** Bytes that one scan asks of the storage, but for its last row; longer ranges take several. */
export const scanBytesMax = 1024 * 1024

/** Keys that one bulk read asks of the storage; longer lists take several. */
export const bulkKeysMax = 4096

/** Rows of a snapshot chunk end at this size; a chunk holds at least one row, so that a large value makes it larger by that much. */
export const snapshotChunkBytes = 512 * 1024

/** Rows of a snapshot chunk at most. */
export const snapshotChunkRowsMax = 8192

/** A snapshot chunk above this is refused as foreign: no row makes it, neither a value nor a record of raft's, which has 1 MiB at most. */
export const snapshotChunkBytesMax = 4 * 1024 * 1024

/** Size of the blocks that rows are encoded into; larger rows get one of their own. */
export const arenaBlockBytes = 64 * 1024
