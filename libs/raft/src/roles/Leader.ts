/**
 * The member that others follow. Alive meanwhile: a replicator per peer, as the configuration has it; the heartbeat; the check that a quorum
 * still answers; the timer that tells the commit index to those to whom no append has carried it.
 */
import { Effect, FiberMap } from "effect"
import type { Scope } from "effect"
import type { RoleName } from "../core/Core.ts"
import type { MemberId } from "../core/Entry.ts"
import { LogStore } from "../LogStore.ts"
import type { Member } from "../Member.ts"
import { vital } from "../Member.ts"
import * as Replicator from "../Replicator.ts"
import { serve, slotOf } from "../Serve.ts"
import { Transport } from "../Transport.ts"
import * as Timer from "./Timer.ts"

export const run = (member: Member): Effect.Effect<RoleName, never, Scope.Scope> => {
  const { core } = member
  return replicators(member).pipe(
    Effect.andThen(Effect.forkScoped(
      Timer.run(member, () => core.heartbeatDeadline, { _tag: "HeartbeatTimer" })
    )),
    Effect.andThen(Effect.forkScoped(Timer.run(member, () => core.quorumDeadline, { _tag: "QuorumTimer" }))),
    Effect.andThen(Effect.forkScoped(commitTimer(member))),
    Effect.andThen(serve(member))
  )
}

/** Sleeps while there is nothing to tell. */
const commitTimer = (member: Member): Effect.Effect<never> => {
  const { core } = member
  return Effect.forever(Effect.andThen(
    member.commitWakeup.wait,
    Timer.until(member, () => core.commitDeadline, { _tag: "CommitTimer" })
  ))
}

/** Those present when the leadership begins start at once; later ones when the configuration says so. */
const replicators = Effect.fnUntraced(function*(member: Member) {
  const { slots } = member
  const started = new Set<MemberId>()
  const fibers = yield* FiberMap.make<MemberId>()
  yield* Effect.addFinalizer(() => Effect.sync(() => slots.clear()))

  const follow = Effect.gen(function*() {
    const { progress } = member.core
    for (const peer of started) {
      if (progress.has(peer)) continue
      started.delete(peer)
      slots.delete(peer)
      yield* FiberMap.remove(fibers, peer)
    }
    for (const peer of progress.keys()) {
      if (started.has(peer)) continue
      started.add(peer)
      yield* FiberMap.run(fibers, peer, vital(member, start(member, peer, slotOf(member, peer))))
    }
  })

  yield* follow
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(member.replicatorsWakeup.wait, follow)))
})

const start = (member: Member, peer: MemberId, slot: Replicator.Slot) =>
  Replicator.run({
    peer,
    slot,
    cache: member.cache,
    encoded: member.core.progress.get(peer)?.witness === true ? member.encodedBare : member.encoded,
    mailbox: member.mailbox
  }).pipe(
    Effect.provideService(LogStore, member.logStore),
    Effect.provideService(Transport, member.transport)
  )
