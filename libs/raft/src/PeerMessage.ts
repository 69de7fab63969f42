/**
 * Everything members send each other: the protocol's messages, and what the actors around the core need (forwarded calls, snapshot chunks).
 */
import type { MemberId } from "./core/Entry.ts"
import type { Change } from "./core/Input.ts"
import type { Message } from "./core/Message.ts"
import type { ChangeRefusal } from "./core/Output.ts"
import type { Answer, Purpose } from "./Proposals.ts"
import type { Reason } from "./RaftError.ts"

/** A proposal group for the leader. Sent once; a broken link makes its outcome unknown. */
export interface Forward {
  readonly _tag: "Forward"
  readonly id: number
  readonly timeoutMillis: number
  readonly purpose: Purpose
  readonly commands: ReadonlyArray<Uint8Array>
}

export interface ForwardDone {
  readonly _tag: "ForwardDone"
  readonly id: number
  readonly results: ReadonlyArray<Answer>
}

export interface ForwardFailed {
  readonly _tag: "ForwardFailed"
  readonly id: number
  readonly reason: Reason
  readonly message: string
}

/** A change of membership or leadership for the leader. */
export type ChangeWish = Change | { readonly _tag: "Transfer"; readonly to: MemberId }

export interface ChangeRequest {
  readonly _tag: "ChangeRequest"
  readonly id: number
  readonly timeoutMillis: number
  readonly wish: ChangeWish
}

export interface ChangeAnswer {
  readonly _tag: "ChangeAnswer"
  readonly id: number
  readonly refusal: ChangeRefusal | undefined
  readonly leader: MemberId
}

/** One piece of a snapshot. `next` of `SnapshotProgress` numbers the piece that the receiver wants next. */
export interface SnapshotChunk {
  readonly _tag: "SnapshotChunk"
  readonly snapshot: number
  readonly sequence: number
  readonly last: boolean
  readonly checksum: number
  readonly data: Uint8Array
}

export interface SnapshotProgress {
  readonly _tag: "SnapshotProgress"
  readonly snapshot: number
  readonly next: number
  readonly state: "receiving" | "installed" | "refused"
}

export type PeerMessage =
  | Message
  | Forward
  | ForwardDone
  | ForwardFailed
  | ChangeRequest
  | ChangeAnswer
  | SnapshotChunk
  | SnapshotProgress
