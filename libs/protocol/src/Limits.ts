/** Every bound of the client port's own protocol, with what happens there. Both ends must agree on the hard ones, so they are part of the version. */

/**
 * A request frame above this closes the connection with a `TooLarge` notice: the client must cut its batches smaller. A member that does not lead passes
 * what it has read on to the leader in one piece, which has to fit a frame between members.
 */
export const requestBytesMax = 4 * 1024 * 1024

/** Operations in one frame; more is malformed and closes the connection. */
export const operationsPerFrameMax = 8192

/** Runs of sequence numbers in one frame: as many as its count can say. */
export const runsPerBatchMax = 255

/**
 * Results that would take a reply beyond this are answered by `AnswerTooLarge`, and the client asks for those again in a smaller batch. One answer
 * alone must stay below it.
 */
export const replyBytesTarget = 16 * 1024 * 1024

/** A reply frame above this closes the connection at the client. It leaves room for the longest possible messages above the target. */
export const replyBytesMax = 32 * 1024 * 1024

/** A message in an error or notice is cut to this many bytes. */
export const messageBytesMax = 1024

/** A frame that is only partly there is held in a buffer that starts at this size and doubles as bytes really arrive. */
export const partialFrameBytes = 64 * 1024

/** A rare call (RPC) whose frame is larger closes its connection. */
export const rpcFrameBytesMax = 256 * 1024

/** An in-process connection holds this many unread bytes before its writer waits. */
export const loopbackBytesMax = 1024 * 1024

/** Longest wait that a frame can ask for; a longer one is malformed. What a member really waits has a limit of its own. */
export const timeoutMillisMax = 0x7fff_ffff
