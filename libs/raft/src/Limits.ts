/** Every bound of this library, with what happens at it. */

/**
 * Commands of one proposal group, payload bytes of one command, and payload bytes of a group; more is refused as `TooLarge`. A group is forwarded
 * in one frame, so with 4 bytes more per command it must stay below what the transport carries (8 MiB in `@dkv/transport`).
 */
export const groupCommandsMax = 65_536
export const commandBytesMax = 4 * 1024 * 1024
export const groupBytesMax = 7 * 1024 * 1024

/** Bytes of the answers to a forwarded group, which go back in one frame; of what does not fit the caller is told that it was applied, as `Unknown`. */
export const forwardedAnswersBytesMax = 7 * 1024 * 1024

/**
 * Client sessions, and how far beyond its lowest unanswered command a session may be. Part of the replicated state: another value would make members disagree. With more
 * sessions the one that was not used for longest is evicted; commands beyond the window are refused as `Busy`.
 */
export const sessionsMax = 4096
export const sessionWindowMax = 65_536

/** Bytes of one answer, and of all records of sessions, that are kept for commands that come again; what does not fit is answered by `Unknown` then. */
export const sessionAnswerBytesMax = 64 * 1024
export const sessionsBytesMax = 256 * 1024 * 1024

/** A record of a session has answers for so many bytes; what a batch did beyond them goes into further records. A record is a row of a snapshot, and travels whole. */
export const sessionRecordBytesMax = 1024 * 1024

/** Small records of one session; when there are more, they are made into few. */
export const sessionRecordsMax = 64

/** Proposals that wait for an answer on one member, in groups and in payload bytes; more is refused as `Busy`. */
export const proposalsMax = 100_000
export const proposalBytesMax = 64 * 1024 * 1024

/** Payload bytes that a leader appends beyond its commit index; more is refused as `Busy`. */
export const uncommittedBytesMax = 64 * 1024 * 1024

/**
 * Committed entries that a leader has not applied, and bytes of groups that it appended and has not applied, beyond `uncommittedBytesMax`; more is refused as `Busy`. A
 * state machine that hangs would let them grow: a group whose caller was answered at its deadline is in memory until it is applied.
 */
export { unappliedBytesMax, unappliedEntriesMax } from "./core/Replication.ts"

/** Groups that are in the log and not applied, whose stages are timed; of those beyond only the first stage is. */
export const trackedGroupsMax = 100_000

/** Reads that wait for an answer on one member; more are refused as `Busy`. */
export const readsMax = 200_000

/** Reads of all members that wait for a round of the leader's; more are sent back, and ask again after `retryMillis`. */
export { waitingReadsMax } from "./core/Read.ts"

/** Changes of membership or leadership that wait for an answer on one member; more are refused as `Busy`. */
export const changesMax = 64

/** Forwarded groups per member that are told from repetitions; a frame that comes again after more than so many others is taken for a new one. */
export const forwardsRememberedMax = 4096

/** Members of a cluster, learners included; a further one cannot join, which is `Invalid`. */
export { membersMax } from "./core/Configuration.ts"

/** Events that are kept for an observer that is slow; beyond them it loses the oldest. */
export const eventsMax = 256

/** Unprocessed frames from one peer, in count and bytes; more are dropped, and Raft sends them again. */
export const peerFramesMax = 4096
export const peerFrameBytesMax = 64 * 1024 * 1024

/** Messages that wait until the disk has what they depend on; more are dropped, as the network might have done. */
export const heldMessagesMax = 4096

/**
 * Groups that a leader has appended and its disk has not; more are refused as `Busy`. A follower whose disk hangs takes in what a few leaders may send at once, and is
 * sent the rest again.
 */
export const pendingAppendsMax = 100_000

/** Unacknowledged appends per peer, in messages and payload bytes; a leader waits beyond them. */
export const windowMessagesMax = 64
export const windowBytesMax = 8 * 1024 * 1024

/** A follower takes in the whole windows of so many leaders before its disk has written anything; what comes beyond them is dropped, and sent again. */
export { leadersAtOnce } from "./core/Replication.ts"

/** Payload bytes of one append message; a larger single entry still travels, alone. And its entries, since even empty ones take room in a frame. */
export const messageBytesMax = 1024 * 1024
export const messageEntriesMax = 65_536

/** A new commit index that no append has carried to a follower by then is told by itself. */
export const commitDelayMillis = 5

/** Commands and payload bytes applied in one batch. */
export const applyEntriesMax = 4096
export const applyBytesMax = 4 * 1024 * 1024

/**
 * Entries kept in memory for members that are slow to acknowledge them, in count and payload bytes, beyond those not yet applied; older ones are read
 * from the log. What was appended or received together leaves memory together, once all of it may.
 */
export const cacheEntriesMax = 20_000
export const cacheBytesMax = 8 * 1024 * 1024

/** The same for entries that are durable and wait to be applied, should the state machine fall behind. */
export const cacheBacklogEntriesMax = 200_000
export const cacheBacklogBytesMax = 64 * 1024 * 1024

/** Log bytes, and time, after which applied state is made durable and the log is shortened. */
export const compactAfterBytes = 64 * 1024 * 1024
export const compactAfterMillis = 30_000

/** How often the two conditions are looked at. */
export const compactCheckMillis = 250

/** Rounds of heartbeats whose time of sending a leader remembers; an answer to an older one does not renew its lease. */
export { roundsRememberedMax } from "./core/Lease.ts"

/** Applied entries kept in the log, for members that are a little behind. */
export const trailingEntries = 10_000

/** Snapshot chunks on their way without an acknowledgement. */
export const snapshotWindowChunks = 4

/**
 * Payload bytes appended during a snapshot transfer that are kept for its receiver, or as many as the snapshot itself has, if that is larger: it takes longer to
 * send. Beyond them the receiver will need another snapshot.
 */
export const snapshotPinBytesMax = 256 * 1024 * 1024

/** Snapshot bytes sent per second to one peer, so that a catch-up does not starve the others. */
export const snapshotBytesPerSecond = 64 * 1024 * 1024

/** A snapshot transfer that makes no progress for this long asks the receiver where it is; after `snapshotRetriesMax` questions without any answer it is given up. */
export const snapshotSilenceMillis = 2000
export const snapshotRetriesMax = 5

/** After a transfer that was refused or given up, its receiver is left alone for so long. */
export const snapshotPauseMillis = 2000

/** A proposal or read that was turned away for want of a leader is tried again after this long. */
export const retryMillis = 50

/** A read index that the leader has not answered is asked for again after this long. The answer to the first question counts as well, if it comes. */
export const readRetryMillis = 500

/** Reads in questions that were asked again, each as often as it was asked for; beyond them the oldest questions are forgotten. */
export const lateReadsMax = 1_000_000

/** Deadline of a call that names none. */
export const callTimeoutMillis = 5000

/** At most one log line in this time about frames that make no sense. */
export const malformedReportMillis = 10_000

/** Size of the blocks in which a volatile state machine's snapshot is stored and sent; one above the second limit is refused as foreign. */
export const snapshotBlockBytes = 256 * 1024
export const snapshotBlockBytesMax = 4 * 1024 * 1024

/** A chunk that a volatile state machine gives of its state; it is whole in memory when it is restored. A larger one dies: cut it. */
export const stateChunkBytesMax = 64 * 1024 * 1024
