/** Every bound of the runner, and what happens at it. */

/** More members than this are refused: a majority of seven already survives three losses, and each costs a process. */
export const nodesMax = 7

/** A member that dies is started again after this; the delay doubles with each further death up to the maximum. */
export const restartDelayMinMillis = 500
export const restartDelayMaxMillis = 30_000

/** A member that has lived this long is taken to be well: its next death counts as the first. */
export const healthyAfterMillis = 30_000

/** How long a member has after SIGTERM to hand over and finish; then it is killed. */
export const stopGraceMillis = 15_000

/** How often each member is asked for its status, and how long it has to answer; then its role is shown as unknown. */
export const statusIntervalMillis = 500
export const statusTimeoutMillis = 2_000

/** A second Ctrl-C after this kills at once. One Ctrl-C may arrive twice within it: from the terminal and passed on by npm. */
export const secondSignalMillis = 1_000

/** A log file larger than this is set aside as `.old` (replacing the previous one) when its member starts. */
export const logBytesMax = 16 * 1024 * 1024

/** How much of the end of a log is searched for the reason of a death, and how much of that line is shown. */
export const logTailBytes = 4096
export const reasonLengthMax = 200

/** Messages that wait to be printed; the oldest are dropped beyond this. */
export const eventsMax = 1000

/** The table on a terminal is drawn at most this often. */
export const drawIntervalMillis = 100

/** How often the runner looks whether npm, which started it, is still there. */
export const parentIntervalMillis = 500
