/** What tests of whole members share. */
import type { Effect } from "effect"
import type * as Cluster from "./Cluster.ts"

export type Running = Cluster.Running
export type Members = Effect.Success<ReturnType<typeof Cluster.make>>

/** First bytes of frames. */
export const tag = {
  append: 3,
  readIndex: 7,
  changeRequest: 19,
  forward: 16,
  forwardDone: 17,
  snapshotOffer: 10,
  snapshotChunk: 21,
  snapshotProgress: 22
} as const

export const followersOf = (cluster: Members, leader: Running): ReadonlyArray<Running> =>
  [...cluster.running.values()].filter((member) => member !== leader)

export const numberOf = (member: Running): number => Number.parseInt(member.id, 16)
