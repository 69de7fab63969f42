/**
 * What the rest of a member sees of raft and of the state, while incarnations come and go behind it: clients keep their connections, and an embedding program its
 * layer. Between two incarnations the member is fenced: whatever is asked of it is refused, and changed nothing.
 */
import { KvReader } from "@dkv/kv"
import { Configuration, MembershipError, MemberStopped, RaftError, RaftNode, StateMachine } from "@dkv/raft"
import type { Control, PeerPort } from "@dkv/transport"
import { Cause, Context, Deferred, Effect, Exit, Layer, Option, PubSub, Scope, Stream } from "effect"
import * as Damage from "./Damage.ts"
import type { DkvError, Options } from "./Dkv.ts"
import * as Incarnation from "./Incarnation.ts"
import * as Limits from "./Limits.ts"
import type { Parts } from "./Parts.ts"
import * as Rebuild from "./Rebuild.ts"
import type { Self } from "./Self.ts"

type Attempt =
  | { readonly _tag: "Running"; readonly incarnation: Incarnation.Incarnation; readonly scope: Scope.Closeable }
  | { readonly _tag: "Damaged"; readonly damage: Damage.Damage }

/** Fails if the first incarnation cannot be opened, unless that is for damage. */
export const layer = <E, R>(options: Options, parts: Parts<E, R>, self: Self): Layer.Layer<
  RaftNode.RaftNode | KvReader,
  E | DkvError,
  R | Control.Control | PeerPort.PeerPort
> => Layer.effectContext(make(options, parts, self))

const make = Effect.fnUntraced(function*<E, R>(options: Options, parts: Parts<E, R>, self: Self) {
  const scope = yield* Effect.scope
  const stopped = yield* Deferred.make<never, MemberStopped>()
  const leader = yield* PubSub.sliding<Option.Option<string>>({ capacity: 1, replay: 1 })
  const events = yield* PubSub.sliding<RaftNode.Event>(Limits.eventsMax)
  let current: Incarnation.Incarnation | undefined
  let last: RaftNode.Status | undefined
  let eventsBefore = 0
  let ended: string | undefined

  const attempt: Effect.Effect<Attempt, E | DkvError, R | Control.Control | PeerPort.PeerPort> = Effect.gen(
    function*() {
      const { rebuild } = self.record()
      if (Option.isSome(rebuild)) {
        return { _tag: "Damaged", damage: { message: rebuild.value.reason, isLog: false, isHidden: false } }
      }
      const inner = yield* Scope.fork(scope)
      const exit = yield* Effect.exit(Scope.provide(Incarnation.open(options, parts, self), inner))
      if (Exit.isSuccess(exit)) return { _tag: "Running", incarnation: exit.value, scope: inner }
      const damage = Damage.of(Cause.squash(exit.cause))
      if (damage !== undefined) yield* Rebuild.note(self, damage)
      yield* Scope.close(inner, exit)
      return damage === undefined ? yield* Effect.failCause(exit.cause) : { _tag: "Damaged", damage }
    }
  )

  /** Serves until there is damage. */
  const serve = Effect.fnUntraced(function*({ incarnation, scope: inner }: Extract<Attempt, { _tag: "Running" }>) {
    yield* Effect.forkIn(Stream.runForEach(incarnation.node.leader, (known) => PubSub.publish(leader, known)), inner)
    const before = eventsBefore
    yield* Effect.forkIn(
      Stream.runForEach(incarnation.node.events, (event) => {
        eventsBefore = before + event.number
        return PubSub.publish(events, { ...event, number: eventsBefore })
      }),
      inner
    )
    const error = yield* Effect.flip(incarnation.stopped)
    const damage = Damage.of(error)
    if (damage === undefined) return yield* Effect.fail(error)
    yield* Rebuild.note(self, damage)
    last = yield* incarnation.node.status
    current = undefined
    self.setFenced(damage.message)
    yield* Scope.close(inner, Exit.void)
    yield* PubSub.publish(leader, Option.none())
    return damage
  })

  let running: Scope.Closeable | undefined
  const enter = (attempt: Attempt): void => {
    current = attempt._tag === "Running" ? attempt.incarnation : undefined
    running = attempt._tag === "Running" ? attempt.scope : undefined
    self.setFenced(attempt._tag === "Running" ? undefined : attempt.damage.message)
  }

  /** From here on it answers nobody, neither clients nor other members, even if its disk hangs while it is closed. */
  const stop = Effect.fnUntraced(function*(reason: MemberStopped) {
    if (current !== undefined) last = yield* current.node.status
    current = undefined
    ended = reason.message
    self.setNode(undefined)
    yield* PubSub.publish(leader, Option.none())
    yield* Deferred.fail(stopped, reason)
    if (running !== undefined) yield* Scope.close(running, Exit.void)
  }, Effect.uninterruptible)

  const first = yield* attempt
  enter(first)
  yield* Effect.gen(function*() {
    let present = first
    let isMended = false
    while (true) {
      if (present._tag === "Running") isMended = false
      const damage = present._tag === "Running" ? yield* serve(present) : present.damage
      const configuration = last?.configuration ?? Configuration.empty
      isMended = yield* Rebuild.run(self, parts, { damage, isMended, configuration })
      present = yield* attempt
      enter(present)
    }
  }).pipe(
    Effect.catchCause((cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.void
      const error = Cause.squash(cause)
      const message = error instanceof Error ? error.message : String(error)
      return stop(error instanceof MemberStopped ? error : new MemberStopped({ message, cause: error }))
    }),
    Effect.forkIn(scope)
  )

  const why = () =>
    ended === undefined
      ? `${options.name} is fenced: ${self.fenced() ?? "it starts again"}`
      : `${options.name} has stopped: ${ended}`
  const refused = Effect.suspend(() => Effect.fail(new RaftError({ reason: "Stopped", message: why() })))
  const unchanged = Effect.suspend(() => Effect.fail(new MembershipError({ reason: "Stopped", message: why() })))
  const node: RaftNode.RaftNode["Service"] = {
    get id() {
      return self.record().memberId
    },
    propose: (commands, callOptions) => current === undefined ? refused : current.node.propose(commands, callOptions),
    proposeEach: (commands, callOptions) =>
      current === undefined ? refused : current.node.proposeEach(commands, callOptions),
    openSession: (callOptions) => current === undefined ? refused : current.node.openSession(callOptions),
    configuration: (callOptions) => current === undefined ? refused : current.node.configuration(callOptions),
    readBarrier: (callOptions) => current === undefined ? refused : current.node.readBarrier(callOptions),
    changeMembership: (change, callOptions) =>
      current === undefined ? unchanged : current.node.changeMembership(change, callOptions),
    transferLeadership: (to, callOptions) =>
      current === undefined ? unchanged : current.node.transferLeadership(to, callOptions),
    status: Effect.suspend(() =>
      current === undefined ? Effect.succeed(fencedStatus(self.record().memberId, last)) : current.node.status
    ),
    gauges: Effect.suspend(() => current === undefined ? Effect.succeed([]) : current.node.gauges),
    leader: Stream.fromPubSub(leader),
    events: Stream.fromPubSub(events),
    latency: Effect.suspend(() => current === undefined ? Effect.succeed(RaftNode.noLatency) : current.node.latency),
    stopped: Deferred.await(stopped)
  }
  const unreadable = Effect.suspend(() =>
    Effect.fail(new StateMachine.StateMachineError({ reason: "Io", message: why() }))
  )
  const reader = KvReader.of({
    read: (...asked) => current === undefined ? unreadable : current.reader.read(...asked),
    revision: Effect.suspend(() => current === undefined ? Effect.succeed(0) : current.reader.revision)
  })
  return Context.make(RaftNode.RaftNode, node).pipe(Context.add(KvReader, reader))
})

/** What a fenced member says of itself: what it knew last, and that it takes no part. */
const fencedStatus = (id: string, last: RaftNode.Status | undefined): RaftNode.Status => ({
  id,
  role: "Learner",
  term: last?.term ?? 0,
  leader: Option.none(),
  commitIndex: last?.commitIndex ?? 0,
  appliedIndex: last?.appliedIndex ?? 0,
  lastIndex: last?.lastIndex ?? 0,
  previousIndex: last?.previousIndex ?? 0,
  configuration: last?.configuration ?? Configuration.empty,
  copies: 0,
  peers: [],
  hasLease: false,
  removed: false
})
