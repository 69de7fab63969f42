/** A member under one id, on data that it trusts: log, state, the raft node on them, and what keeps its place in the cluster. */
import { KvReader } from "@dkv/kv"
import { LogStore, RaftNode, StateMachine, WitnessStateMachine } from "@dkv/raft"
import { PeerTransport } from "@dkv/transport"
import type { Control, PeerPort } from "@dkv/transport"
import { Context, Deferred, Effect, Fiber, Layer, Option } from "effect"
import type { Scope } from "effect"
import * as Damage from "./Damage.ts"
import type { DkvError, Options } from "./Dkv.ts"
import * as FirstContact from "./FirstContact.ts"
import * as Founding from "./Founding.ts"
import type { Parts } from "./Parts.ts"
import type { Self } from "./Self.ts"
import * as Upkeep from "./Upkeep.ts"

export interface Incarnation {
  readonly node: RaftNode.RaftNode["Service"]
  readonly reader: KvReader["Service"]
  /** Never succeeds; fails with the reason when it cannot go on. */
  readonly stopped: Effect.Effect<never, unknown>
}

/** Opens log and state and takes part, until the scope closes. */
export const open = Effect.fnUntraced(
  function*<E, R>(options: Options, parts: Parts<E, R>, self: Self): Effect.fn.Return<
    Incarnation,
    E | DkvError,
    R | Control.Control | PeerPort.PeerPort | Scope.Scope
  > {
    const record = self.record()
    const { memberId } = record
    const clusterId = Option.getOrElse(record.clusterId, () => "")
    const electionTimeoutMillis = options.electionTimeoutMillis ?? 1000
    const raft = RaftNode.layer({
      id: memberId,
      witness: record.witness,
      configuration: record.founding,
      electionTimeoutMillis,
      heartbeatMillis: options.heartbeatMillis ?? 100,
      ...options.logMaxBytes === undefined ? {} : { compactAfterBytes: options.logMaxBytes },
      ...options.logRetainEntries === undefined ? {} : { trailingEntries: options.logRetainEntries }
    }).pipe(
      Layer.provide(Layer.provide(FirstContact.layer(self), PeerTransport.layer({ clusterId, memberId }))),
      Layer.provideMerge(noted(self, parts.log(record))),
      Layer.provideMerge(record.witness ? nothingOf(parts) : parts.state)
    )
    // What an earlier incarnation was built of is closed, and must not be handed out again.
    const context = yield* Layer.build(Layer.fresh(raft))
    const node = Context.get(context, RaftNode.RaftNode)
    const state = Context.get(context, KvReader)
    const unreadable = yield* Deferred.make<never, StateMachine.StateMachineError | LogStore.LogStoreError>()
    self.setNode(node, watched(Context.get(context, LogStore.LogStore), (error) => Deferred.fail(unreadable, error)))
    yield* Effect.addFinalizer(() => Effect.sync(() => self.setNode(undefined)))

    yield* Effect.forkScoped(Founding.tell(self))
    yield* Effect.forkScoped(Upkeep.announce(self, node))
    yield* Effect.forkScoped(Upkeep.reportLeader(node, electionTimeoutMillis))
    const removal = yield* Effect.forkScoped(Upkeep.watchRemoval(self, node, electionTimeoutMillis))
    const pending = yield* Effect.forkScoped(Effect.andThen(Upkeep.admitPending(self, node), Effect.never))
    const failures: ReadonlyArray<Effect.Effect<never, unknown>> = [
      node.stopped,
      Fiber.join(removal),
      Fiber.join(pending),
      Deferred.await(unreadable)
    ]
    yield* Effect.logInfo(`${options.name} (member ${memberId}) runs in cluster ${clusterId}`)
    return {
      node,
      reader: {
        read: (...asked) => Effect.tapError(state.read(...asked), (error) => Deferred.fail(unreadable, error)),
        revision: state.revision
      },
      stopped: Effect.raceAllFirst(failures)
    }
  }
)

/** What others ask for is read from the disk, and may show damage that this member has not met itself. Anything else that keeps it from reading concerns the question alone. */
const watched = (
  log: LogStore.LogStore["Service"],
  onUnreadable: (error: LogStore.LogStoreError) => Effect.Effect<unknown>
): LogStore.LogStore["Service"] => ({
  ...log,
  read: (from, to, bytesMax) =>
    Effect.tapError(
      log.read(from, to, bytesMax),
      (error) => Damage.of(error) === undefined ? Effect.void : onUnreadable(error)
    )
})

/** What a witness has in the place of a state. */
const nothingOf = <E, R>(parts: Parts<E, R>) =>
  Layer.merge(
    Layer.provide(WitnessStateMachine.layer, parts.snapshots),
    Layer.succeed(KvReader, {
      read: () =>
        Effect.fail(new StateMachine.StateMachineError({ reason: "Io", message: "a witness has nothing to read" })),
      revision: Effect.succeed(0)
    })
  )

/** From the moment that the log is there, its absence is a loss; so this is written down before raft can write anything into it. */
const noted = <E, R>(self: Self, log: Layer.Layer<LogStore.LogStore, E, R>) =>
  Layer.effect(
    LogStore.LogStore,
    Effect.gen(function*() {
      const context = yield* Layer.build(log)
      if (!self.record().hasLog) yield* self.update((record) => ({ ...record, hasLog: true }))
      return Context.get(context, LogStore.LogStore)
    })
  )
