/**
 * What a benchmark run may use. Each figure says what happens when it is reached.
 */

/** Different keys that puts and reads go through in turn. */
export const keys = 10_000

/** Size of a key; numbers are padded with zeros. */
export const keyBytes = 16

/** Size of a value, the one that the published figures are about. */
export const valueBytes = 256

/** More callers than this are refused: a generator needs a slot for each. */
export const callersMax = 100_000

/** Connections to one etcd member that the search for the best number tries at most. */
export const connectionsPerMemberMax = 32

/** A cluster that does not answer this long after its start fails the row. */
export const startMillis = 60_000

/** A member that does not tell its status in this time is asked again. */
export const statusMillis = 5_000

/** A process that has not ended this long after SIGTERM gets SIGKILL. */
export const stopMillis = 10_000

/** A generator whose last calls are not answered this long after the end of a measurement fails the row. */
export const drainMillis = 30_000

/** A load of a fixed number of calls that takes longer than this fails the row. */
export const countedMillis = 600_000

/** Below this many puts per second of etcd at 100 callers, its generator or the machine is to blame, and no ratio is given. */
export const etcdPutsPerSecondMin = 5_000

/** A frame longer than this breaks the connection to a ceiling process. */
export const ceilingFrameBytesMax = 64 * 1024 * 1024

/** How long a failover may take before the row fails. */
export const failoverMillis = 60_000

/** Deaths of the leader that the failover row waits for. */
export const failovers = 20

/** Puts of the memory row, and the callers that make them. */
export const memoryPuts = 1_000_000
export const memoryCallers = 100

/** What every fresh cluster is given to do before anything counts: programs that are compiled while they run are slow at first, and none runs for seconds only. */
export const warmupCallers = 100
export const warmupMillis = 6000
