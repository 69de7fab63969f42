/** How much may wait in a member, or be on its way from it, for programs that have less memory to give than the limits of this library ask for. */
import * as Limits from "./Limits.ts"

/** Each default is the limit of that name in `Limits`, which says what happens at it. */
export interface Capacity {
  /** At least 1. */
  readonly proposalsMax: number
  /** At least 1. */
  readonly readsMax: number
  /** At least 1. */
  readonly peerFramesMax: number
  /** At least 1. */
  readonly pendingAppendsMax: number
  /** At least 1. Give all members the same: a follower takes in as many of its leaders' windows as it has itself. */
  readonly windowMessagesMax: number
}

export const standard: Capacity = {
  proposalsMax: Limits.proposalsMax,
  readsMax: Limits.readsMax,
  peerFramesMax: Limits.peerFramesMax,
  pendingAppendsMax: Limits.pendingAppendsMax,
  windowMessagesMax: Limits.windowMessagesMax
}
