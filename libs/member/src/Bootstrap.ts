/**
 * From a fresh data directory to a place in a cluster. The member answers questions all the while (`Answers`), asks the other listed members in rounds,
 * and acts on what they say (`Decision`); or it is told by one of them first. A crash at any point leads back here with the
 * same member id, and the next rounds find out how far things went.
 */
import type { Control } from "@dkv/transport"
import { Clock, Deferred, Effect, Option } from "effect"
import * as ControlMessage from "./ControlMessage.ts"
import { decide } from "./Decision.ts"
import type { Decision, Heard } from "./Decision.ts"
import * as Limits from "./Limits.ts"
import * as MemberId from "./MemberId.ts"
import type { MemberRecordError, Record } from "./MemberRecord.ts"
import * as Peers from "./Peers.ts"
import * as Rounds from "./Rounds.ts"
import { configurationEntry, contactsOf } from "./Self.ts"
import type { Self } from "./Self.ts"

/** Succeeds with the record of a member that belongs to a cluster. `Answers.serve` must be running. Waits for as long as it takes, and logs what for. */
export const run = Effect.fnUntraced(function*(self: Self): Effect.fn.Return<
  Record,
  MemberRecordError,
  Control.Control
> {
  const record = self.record()
  if (Option.isSome(record.clusterId)) {
    if (self.options.forceNewCluster) {
      yield* Effect.logWarning(
        `--force-new-cluster has no effect: this member belongs to cluster ${record.clusterId.value} already`
      )
    }
    return record
  }
  const report = yield* makeReporter
  const startedAt = yield* Clock.monotonicTimeNanos
  const rounds = Rounds.until(Effect.gen(function*() {
    const heard = yield* askAround(self)
    const waitedMillis = Number((yield* Clock.monotonicTimeNanos) - startedAt) / 1e6
    const forceNewCluster = self.options.forceNewCluster && waitedMillis >= Limits.forceAfterMillis
    const decision = decide(record.memberId, { ...self.options, forceNewCluster }, heard)
    return yield* act(self, decision, report)
  }))
  return yield* Effect.raceFirst(
    Deferred.await(self.initialised),
    Effect.andThen(rounds, Deferred.await(self.initialised))
  )
})

/** Asks the other listed members who they are. */
export const askAround = (self: Self): Effect.Effect<ReadonlyArray<Heard>, never, Control.Control> => {
  const { initialCluster, name } = self.options
  const request = { _tag: "Probe", version: ControlMessage.version, name, memberId: self.record().memberId } as const
  return Effect.forEach(
    initialCluster.filter((listed) => listed.name !== name),
    (listed) =>
      Peers.ask(listed.peerAddress, request, Limits.probeTimeoutMillis).pipe(
        Effect.option,
        Effect.map((answer) => ({ listed, answer }))
      ),
    { concurrency: "unbounded" }
  )
}

export type Report = (reason: string) => Effect.Effect<void>

/** Logs what the member waits for when that changes, and again now and then. */
export const makeReporter: Effect.Effect<Report> = Effect.sync(() => {
  let last = ""
  let at = -Infinity
  return Effect.fnUntraced(function*(reason: string) {
    const now = Number(yield* Clock.monotonicTimeNanos) / 1e6
    if (reason === last && now - at < Limits.reminderMillis) return
    last = reason
    at = now
    yield* Effect.logInfo(reason)
  })
})

/** True once the member belongs to a cluster. */
const act = Effect.fnUntraced(function*(self: Self, decision: Decision, report: Report): Effect.fn.Return<
  boolean,
  MemberRecordError,
  Control.Control
> {
  switch (decision._tag) {
    case "Wait":
      yield* report(decision.reason)
      return false
    case "Found": {
      const { configuration, pending } = decision
      const clusterId = yield* MemberId.make
      const names = configuration.members.map((member) => member.name).join(", ")
      yield* Effect.logInfo(`all agree: founding cluster ${clusterId} of ${names}`)
      yield* self.initialise({ clusterId, founding: Option.some(configuration), pending, contacts: [] })
      return true
    }
    case "Adopt":
      yield* self.initialise({
        clusterId: decision.clusterId,
        founding: decision.founding,
        pending: [],
        contacts: contactsOf(decision.configuration)
      })
      return true
    case "Rejoin":
      return yield* rejoin(self, decision, report)
  }
})

const rejoin = Effect.fnUntraced(function*(
  self: Self,
  rejoin: Rejoin,
  report: Report
): Effect.fn.Return<boolean, MemberRecordError, Control.Control> {
  const { memberId } = self.record()
  if (!(yield* askForPlace(self, memberId, rejoin, report))) return false
  const { clusterId, configuration } = rejoin
  yield* Effect.logInfo(
    `the data of ${self.options.name} is gone: it comes back to cluster ${clusterId} as member ${memberId}, a learner at first`
  )
  yield* self.initialise({ clusterId, founding: Option.none(), pending: [], contacts: contactsOf(configuration) })
  return true
})

type Rejoin = Extract<Decision, { readonly _tag: "Rejoin" }>

/**
 * Asks one member after the other to let this one in again, as `memberId`. Being let in without hearing of it is no harm: the next round finds this id in the
 * configuration.
 */
export const askForPlace = Effect.fnUntraced(function*(
  self: Self,
  memberId: string,
  { clusterId, via }: Rejoin,
  report: Report
): Effect.fn.Return<boolean, never, Control.Control> {
  const request = {
    _tag: "Join",
    version: ControlMessage.version,
    clusterId,
    member: configurationEntry(self, memberId, true),
    forwarded: false
  } as const
  let refusal = "nobody answered"
  for (const address of via) {
    const answer = yield* Peers.ask(address, request, Limits.joinTimeoutMillis).pipe(
      Effect.catch((silence) => Effect.succeed(ControlMessage.refused("NotReady", silence.message)))
    )
    if (answer._tag === "Accepted") return true
    if (answer._tag === "Refused") refusal = answer.message
  }
  yield* report(`${self.options.name} asks cluster ${clusterId} for its place: ${refusal}`)
  return false
})
