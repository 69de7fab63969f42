/** Every bound of this library, with what happens there. */

/** A question to a peer port is given up after this time; the peer counts as silent in this round. */
export const probeTimeoutMillis = 1000

/** A request to join waits this long for the leader to commit it; then the member looks again whether it was let in. */
export const joinTimeoutMillis = 5000

/** Between two rounds of questions the wait doubles from the first to the second, with jitter; there are as many rounds as it takes. */
export const roundDelayMillis = 100
export const roundDelayMillisMax = 2000

/** `--force-new-cluster` counts after this time: who does not answer until then is taken to be gone, and not only starting. */
export const forceAfterMillis = 10_000

/** While the answer stays the same, what a waiting member waits for is logged this often. */
export const reminderMillis = 60_000

/** How often a member that hears no leader asks the others who is in the cluster. */
export const contactsMillis = 1000

/** How often a member that hears no leader, or finds itself outside its own configuration, asks the others whether it was removed. */
export const removalCheckMillis = 2000

/** Longest list of members that a member is started with; a longer `--initial-cluster` is refused. */
export const initialMembersMax = 64

/** Longest name of a member in bytes of UTF-8, as in a membership change; one that is called by a longer one does not start. */
export const nameBytesMax = 256

/** Payload bytes and entries of one answer to a member whose log has a hole; it asks again for the rest. A larger entry cannot be fetched. */
export const fetchBytesMax = 512 * 1024
export const fetchEntriesMax = 1024

/** Rounds in which a fenced member that hears others, but no leader, tries to mend its log with what they have committed. It tries once more with a leader. */
export const mendAttemptsMax = 5

/** Payload bytes that are fetched to mend a log; one that lacks more is rebuilt. */
export const mendBytesMax = 64 * 1024 * 1024

/** How often a cluster can be taken over until members that it gave up first are no longer told so, but only refused. */
export const formerClustersMax = 16

/** The file with the member's identity; a longer one is damaged. */
export const recordBytesMax = 256 * 1024

/** Stopping waits this many election timeouts for another member to take the leadership over; then this one stops all the same. */
export const handoverElectionTimeouts = 2

/** How often a member looks whether another one leads now, for the log. */
export const leaderCheckMillis = 250

/** Without a leader for this many election timeouts, a member logs that. */
export const leaderlessElectionTimeouts = 5

/** A segment of the log is closed at this size at the latest; old entries are dropped segment by segment. */
export const logSegmentBytesMax = 64 * 1024 * 1024

/** Events of raft that are kept for an observer that is slow, over all incarnations; beyond them it loses the oldest. */
export const eventsMax = 256
