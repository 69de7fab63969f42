/**
 * One member of a dkv cluster as a layer: finds or founds its cluster, runs raft over log and state, serves clients, and keeps its place. What it is made of is
 * chosen by `Parts`, so the same composition serves a process on disks and sockets and three members inside one test.
 */
import type { Client } from "@dkv/client"
import { Kv } from "@dkv/kv"
import { LogStore, RaftNode, WitnessStateMachine } from "@dkv/raft"
import type { MemberStopped, StateMachine, Transport } from "@dkv/raft"
import { Control, PeerTransport } from "@dkv/transport"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import * as Answers from "./Answers.ts"
import * as Bootstrap from "./Bootstrap.ts"
import * as ClientSide from "./ClientSide.ts"
import * as FirstContact from "./FirstContact.ts"
import * as Founding from "./Founding.ts"
import * as Limits from "./Limits.ts"
import type { MemberRecordError, Record } from "./MemberRecord.ts"
import type { Parts } from "./Parts.ts"
import * as Self from "./Self.ts"
import * as Upkeep from "./Upkeep.ts"

export interface Options extends Self.Options {
  /** Of the program, as `status` and `/version` tell it. */
  readonly version: string
  /** Default 1000. */
  readonly electionTimeoutMillis?: number
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

export class Dkv extends Context.Service<Dkv, {
  readonly name: string
  /** 16 hex digits each. */
  readonly memberId: string
  readonly clusterId: string
  readonly status: Effect.Effect<RaftNode.Status>
  /** Never succeeds; fails when the member has to stop: its disk failed, an invariant broke, or it was removed from the cluster. */
  readonly stopped: Effect.Effect<never, MemberStopped | MemberRecordError>
}>()("@dkv/member/Dkv") {}

/** What a built member provides. */
export type Services = Dkv | Client.Client | RaftNode.RaftNode | Kv.Kv

/**
 * Builds once the member belongs to a cluster and serves, which may take as long as the others take to come: an operator is told by log lines what it waits for.
 * Closing it hands leadership over, lets clients finish, and stops.
 */
export const layer = <E, R>(
  options: Options,
  parts: Parts<E, R>
): Layer.Layer<Services, E | DkvError, R> =>
  Layer.unwrap(Effect.gen(function*() {
    const self = yield* Self.make(options)
    yield* Answers.serve(self)
    const record = yield* Bootstrap.run(self)
    return composed(options, parts, self, record)
  })).pipe(
    Layer.provide(Layer.mergeAll(parts.record, Layer.provideMerge(Control.Control.layer, parts.peerPort)))
  )

const composed = <E, R>(options: Options, parts: Parts<E, R>, self: Self.Self, record: Record) => {
  const { memberId } = record
  const clusterId = Option.getOrElse(record.clusterId, () => "")
  const node = RaftNode.layer({
    id: memberId,
    witness: record.witness,
    configuration: record.founding,
    electionTimeoutMillis: options.electionTimeoutMillis ?? 1000,
    heartbeatMillis: options.heartbeatMillis ?? 100,
    ...options.logMaxBytes === undefined ? {} : { compactAfterBytes: options.logMaxBytes },
    ...options.logRetainEntries === undefined ? {} : { trailingEntries: options.logRetainEntries }
  }).pipe(
    Layer.provide(Layer.provide(FirstContact.layer(self), PeerTransport.layer({ clusterId, memberId }))),
    Layer.provide(noted(self, parts.log(record)))
  )
  const kv = record.witness
    ? Layer.provideMerge(
      Kv.layerWitness,
      Layer.provide(node, Layer.provide(WitnessStateMachine.layer, parts.snapshots))
    )
    : Layer.provideMerge(Kv.layer, Layer.provideMerge(node, parts.state))
  return Layer.effect(Dkv, run(options, self, clusterId)).pipe(
    Layer.provideMerge(ClientSide.layer(options, self, parts.clientPort)),
    Layer.provideMerge(kv)
  )
}

/** From the moment that the log is there, its absence is a loss; so this is written down before raft can write anything into it. */
const noted = <E, R>(self: Self.Self, log: Layer.Layer<LogStore.LogStore, E, R>) =>
  Layer.effect(
    LogStore.LogStore,
    Effect.gen(function*() {
      const context = yield* Layer.build(log)
      if (!self.record().hasLog) yield* self.update((record) => ({ ...record, hasLog: true }))
      return Context.get(context, LogStore.LogStore)
    })
  )

const run = Effect.fnUntraced(function*(options: Options, self: Self.Self, clusterId: string) {
  const node = yield* RaftNode.RaftNode
  const electionTimeoutMillis = options.electionTimeoutMillis ?? 1000
  self.setNode(node)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(handOver(node, electionTimeoutMillis), Effect.sync(() => self.setNode(undefined)))
  )
  yield* Effect.forkScoped(Founding.tell(self))
  yield* Effect.forkScoped(Upkeep.announce(self, node))
  yield* Effect.forkScoped(Upkeep.reportLeader(node, electionTimeoutMillis))
  const removal = yield* Effect.forkScoped(Upkeep.watchRemoval(self, node, electionTimeoutMillis))
  const pending = yield* Effect.forkScoped(Effect.andThen(Upkeep.admitPending(self, node), Effect.never))
  const failures = [node.stopped, Fiber.join(removal), Fiber.join(pending)]
  yield* Effect.logInfo(`${options.name} (member ${node.id}) runs in cluster ${clusterId}`)
  return Dkv.of({
    name: options.name,
    memberId: node.id,
    clusterId,
    status: node.status,
    stopped: Effect.raceAllFirst(failures)
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
