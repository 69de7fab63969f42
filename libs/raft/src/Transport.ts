/**
 * How members reach each other. Raft tolerates loss, delay, duplication and reordering, so a layer of this service may
 * drop a frame at any time; it must never block a sender, deliver a damaged frame, or name a wrong sender.
 */
import { Context, Schema } from "effect"
import type { Effect, Scope } from "effect"
import type { MemberId } from "./core/Entry.ts"

/** A member as others dial it. Names are resolved at each dial, so a member may change its IP address. */
export interface Peer {
  readonly id: MemberId
  /** `host:port`, or whatever the layer understands. */
  readonly address: string
}

/** `raft`: small, urgent, in order. `bulk`: snapshots, on a connection of their own. */
export type Lane = "raft" | "bulk"

export interface Handlers {
  /** One whole frame from `peer`, in the order it was sent on that lane. Runs synchronously: hand over and return. */
  readonly onFrame: (peer: MemberId, lane: Lane, frame: Uint8Array) => void
  /** The raft lane to `peer` has come up (frames sent from now on may arrive). */
  readonly onUp: (peer: MemberId) => void
  /** The raft lane to `peer` has broken: frames sent before may be lost. */
  readonly onDown: (peer: MemberId) => void
}

/** The transport cannot serve at all (for instance, its port is taken). Stop the member and say why. */
export class TransportError extends Schema.TaggedError<TransportError>()("TransportError", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}

export class Transport extends Context.Service<Transport, {
  /** Delivers incoming frames to `handlers` until the scope closes. Called once. */
  readonly serve: (handlers: Handlers) => Effect.Effect<void, TransportError, Scope.Scope>

  /** From now on exactly these peers may be dialled and heard (the member itself excluded). */
  readonly setPeers: (peers: ReadonlyArray<Peer>) => Effect.Effect<void>

  /**
   * Queues one frame, made of `chunks` in order, for `peer`; false if it was dropped because the peer is not connected or its queue is full.
   * The chunks must not change afterwards.
   */
  readonly sendUnsafe: (peer: MemberId, lane: Lane, chunks: ReadonlyArray<Uint8Array>) => boolean
}>()("@dkv/raft/Transport") {}
