/**
 * One member of a dkv cluster as a layer: finds or founds its cluster, runs raft over log and state, serves clients, and keeps its place. What it is made of is
 * chosen by `Parts`, so the same composition serves a process on disks and sockets and three members inside one test.
 */
import type { Client } from "@dkv/client"
import { Kv } from "@dkv/kv"
import { RaftNode } from "@dkv/raft"
import type { LogStore, MembershipError, MemberStopped, StateMachine, Transport } from "@dkv/raft"
import { Control } from "@dkv/transport"
import { Context, Effect, Layer, Option } from "effect"
import * as Answers from "./Answers.ts"
import * as Bootstrap from "./Bootstrap.ts"
import * as ClientSide from "./ClientSide.ts"
import * as Incarnations from "./Incarnations.ts"
import * as Limits from "./Limits.ts"
import type { MemberRecordError } from "./MemberRecord.ts"
import type { Parts } from "./Parts.ts"
import * as Self from "./Self.ts"
import * as TakeOver from "./TakeOver.ts"

export interface Options extends Self.Options {
  /** Of the program, as `status` and `/version` tell it. */
  readonly version: string
  /** Default 100. */
  readonly heartbeatMillis?: number
  /** Once the log has grown by so much, the state is made durable and old entries are dropped. Default 64 MiB. */
  readonly logMaxBytes?: number
  /** Entries kept all the same, for members that are a little behind. Default 10000. */
  readonly logRetainEntries?: number
}

/** What the composition itself can fail with, besides what its parts do. */
export type DkvError =
  | MemberRecordError
  | LogStore.LogStoreError
  | StateMachine.StateMachineError
  | Transport.TransportError
  | MemberStopped
  | MembershipError

export class Dkv extends Context.Service<Dkv, {
  readonly name: string
  /** 16 hex digits. Another one after a rebuild. */
  readonly memberId: string
  readonly clusterId: string
  readonly status: Effect.Effect<RaftNode.Status>
  /** Why the member takes no part although it is up: its data is damaged, and it is being rebuilt or waits for that. */
  readonly fenced: Effect.Effect<Option.Option<string>>
  /** Never succeeds; fails when the member has to stop: its disk failed, an invariant broke, or it was removed from the cluster. */
  readonly stopped: Effect.Effect<never, MemberStopped>
}>()("@dkv/member/Dkv") {}

/** What a built member provides. */
export type Services = Dkv | Client.Client | RaftNode.RaftNode | Kv.Kv

/**
 * Builds once the member belongs to a cluster and serves, which may take as long as the others take to come: an operator is told by log lines what it waits for. Damaged
 * data does not fail it, at the start or later: the member is `fenced` until it is mended or rebuilt.
 * Closing it hands leadership over, lets clients finish, and stops.
 */
export const layer = <E, R>(
  options: Options,
  parts: Parts<E, R>
): Layer.Layer<Services, E | DkvError, R> =>
  Layer.unwrap(Effect.gen(function*() {
    yield* TakeOver.settle(parts)
    const self = yield* Self.make(options)
    yield* Answers.serve(self)
    yield* Bootstrap.run(self)
    return composed(options, parts, self)
  })).pipe(
    Layer.provide(Layer.mergeAll(parts.record, Layer.provideMerge(Control.Control.layer, parts.peerPort)))
  )

const composed = <E, R>(options: Options, parts: Parts<E, R>, self: Self.Self) => {
  const kv = self.record().witness ? Kv.layerWitness : Kv.layer
  return Layer.effect(Dkv, run(options, self)).pipe(
    Layer.provideMerge(ClientSide.layer(options, self, parts.clientPort)),
    Layer.provideMerge(Layer.provideMerge(kv, Incarnations.layer(options, parts, self)))
  )
}

const run = Effect.fnUntraced(function*(options: Options, self: Self.Self) {
  const node = yield* RaftNode.RaftNode
  yield* Effect.addFinalizer(() => handOver(node, options.electionTimeoutMillis ?? 1000))
  return Dkv.of({
    name: options.name,
    get memberId() {
      return node.id
    },
    clusterId: Option.getOrElse(self.record().clusterId, () => ""),
    status: node.status,
    fenced: Effect.sync(() => Option.fromUndefinedOr(self.fenced())),
    stopped: node.stopped
  })
})

/** A leader that stops asks the best follower to take over, so that clients wait for one round instead of an election timeout. */
const handOver = Effect.fnUntraced(function*(node: RaftNode.RaftNode["Service"], electionTimeoutMillis: number) {
  const { configuration, role } = yield* node.status
  if (role !== "Leader" || configuration.voters.length < 2) return
  const timeoutMillis = Limits.handoverElectionTimeouts * electionTimeoutMillis
  yield* node.transferLeadership(Option.none(), { timeoutMillis }).pipe(
    Effect.matchEffect({
      onSuccess: (id) => Effect.logInfo(`leadership handed over to member ${id}`),
      onFailure: (error) => Effect.logWarning(`leadership could not be handed over: ${error.message}`)
    })
  )
})
