/**
 * A member whose data is damaged is fenced: up, but without a vote and a voice. Here it looks for a way back: its log is mended, where nothing is lost for certain; or
 * the others let it in under a new id, as one that has lost its disk, and only then its data is put away. Alone, or without a quorum, it changes nothing.
 *
 * A new id, because the old one may have voted and acknowledged what the damaged data does not show any more. It is written down before anybody hears of it, so a crash
 * at any point leads back here.
 */
import { Configuration } from "@dkv/raft"
import type { Control } from "@dkv/transport"
import { Effect, Option } from "effect"
import * as Bootstrap from "./Bootstrap.ts"
import * as ControlMessage from "./ControlMessage.ts"
import type { Initialised } from "./ControlMessage.ts"
import * as Damage from "./Damage.ts"
import { newest, takePart } from "./Decision.ts"
import * as Limits from "./Limits.ts"
import * as MemberId from "./MemberId.ts"
import type { MemberRecordError } from "./MemberRecord.ts"
import * as Mending from "./Mending.ts"
import type { Parts } from "./Parts.ts"
import * as Peers from "./Peers.ts"
import * as Rounds from "./Rounds.ts"
import { contactsOf } from "./Self.ts"
import type { Self } from "./Self.ts"

export interface Options {
  readonly damage: Damage.Damage
  /** The log was mended just now, and yet it is damaged. */
  readonly isMended: boolean
  /** Whom the member knew when it ran last, besides those that it was told of. */
  readonly configuration: Configuration.Configuration
}

/**
 * Writes down what would else be forgotten with this process, before anything else goes on: the next start would open the data under the old id, and vote. There is no
 * way back to that id then, which is why damage that is found again is not written down before there is a leader.
 */
export const note = Effect.fnUntraced(function*(
  self: Self,
  damage: Damage.Damage
): Effect.fn.Return<void, MemberRecordError> {
  if (damage.isHidden) yield* condemn(self, yield* MemberId.make, damage)
})

const condemn = (self: Self, newId: string, { message }: Damage.Damage) =>
  self.update((record) => ({ ...record, rebuild: Option.some({ memberId: newId, reason: message }) }))

/** Succeeds once the member may be opened again; true if its log was mended, false if it starts anew. Waits for as long as it takes, and logs what for. */
export const run = Effect.fnUntraced(function*<E, R>(
  self: Self,
  parts: Parts<E, R>,
  { configuration, damage, isMended }: Options
): Effect.fn.Return<boolean, E | MemberRecordError, R | Control.Control> {
  const { name } = self.options
  const clusterId = Option.getOrElse(self.record().clusterId, () => "")
  const log = yield* Bootstrap.makeReporter
  const report = (reason: string) =>
    Effect.suspend(() => {
      self.setFenced(`${damage.message}; ${reason}`)
      return log(`${name} is fenced: ${reason}`)
    })
  yield* Effect.logError(`${name} (member ${self.record().memberId}) is fenced, its data is damaged: ${damage.message}`)
  yield* report("looking for a way to mend or rebuild it")

  const mend = Effect.fnUntraced(function*(addresses: ReadonlyArray<string>) {
    const entries = Mending.entriesFrom(clusterId, addresses)
    const context = yield* Effect.context<Control.Control>()
    const outcome = yield* parts.mend((before, behind) => Effect.provideContext(entries(before, behind), context)).pipe(
      Effect.catchIf(
        (error) => Damage.of(error) !== undefined,
        (error) => Effect.succeed({ _tag: "Beyond" as const, why: Damage.of(error)!.message })
      )
    )
    yield* outcome._tag === "Mended"
      ? Effect.logWarning(`the log of ${name} has been mended: ${outcome.how}`)
      : Effect.logWarning(`the log of ${name} cannot be mended: ${outcome.why}`)
    return outcome._tag === "Mended"
  })

  // A witness has little to lose, and nobody's entries are those of its log.
  const isMendable = () => !self.record().witness && damage.isLog && !isMended && Option.isNone(self.record().rebuild)
  const others = addressesOf(self, configuration)
  if (isMendable() && (yield* mend(others))) return true
  if (others.length === 0) {
    yield* report(
      "it is the only member, so nobody can rebuild it, and nothing was changed: bring back its data directory from a backup and start it again"
    )
    return yield* Effect.never
  }

  let newId = Option.getOrUndefined(Option.map(self.record().rebuild, ({ memberId }) => memberId))
  let attempts = 0
  let mended = false
  let addresses = others
  yield* Rounds.until(Effect.gen(function*() {
    const heard = yield* askAround(self, addresses)
    const ours = heard.filter(({ answer }) => answer.clusterId === clusterId)
    const heir = heard.find(({ answer }) => answer.formerClusters?.includes(clusterId) === true)
    if (ours.length === 0) {
      yield* report(
        heir === undefined
          ? "waiting for another member to answer: nothing was changed until now"
          : `${heir.listed.name} has taken the cluster over as ${heir.answer.clusterId} and given this member up: remove its data directory`
      )
      return false
    }
    addresses = addressesOf(self, newest(ours.map(({ answer }) => answer)).configuration, others)
    const hasLeader = ours.some(({ answer }) => answer.isLeader)
    // Others that are starting too know of more that is committed once one of them leads; then it is tried for the last time.
    if (isMendable() && attempts < Limits.mendAttemptsMax + (hasLeader ? 1 : 0)) {
      attempts = hasLeader ? Infinity : attempts + 1
      mended = yield* mend(ours.map(({ listed }) => listed.peerAddress))
      if (mended) return true
    }
    // Once it has asked, it cannot go back to its old id, which may yet be needed for a quorum if nobody can let it in.
    if (!hasLeader && Option.isNone(self.record().rebuild)) {
      yield* report("waiting for a leader that can let it in: nothing was changed until now")
      return false
    }
    newId ??= yield* MemberId.make
    const decision = takePart(newId, self.options, ours)
    switch (decision._tag) {
      case "Adopt":
        yield* startAnew(self, parts, newId, damage, decision.configuration)
        return true
      case "Rejoin": {
        if (Option.isNone(self.record().rebuild)) yield* condemn(self, newId, damage)
        if (!(yield* Bootstrap.askForPlace(self, newId, decision, report))) return false
        yield* startAnew(self, parts, newId, damage, decision.configuration)
        return true
      }
      default:
        yield* report(decision._tag === "Wait" ? decision.reason : "it does not belong to a cluster")
        return false
    }
  }))
  return mended
})

/** The new id is in the cluster: from here on the old data is of no use. */
const startAnew = Effect.fnUntraced(function*<E, R>(
  self: Self,
  parts: Parts<E, R>,
  newId: string,
  damage: Damage.Damage,
  configuration: Configuration.Configuration
) {
  const { memberId } = self.record()
  yield* parts.setAside(memberId)
  yield* self.update((record) => ({
    ...record,
    memberId: newId,
    founding: Option.none(),
    contacts: contactsOf(configuration),
    hasLog: false,
    rebuild: Option.none(),
    damaged: Option.some({ memberId, reason: damage.message })
  }))
  yield* Effect.logWarning(
    `the damaged data of ${self.options.name} is put away: it comes back as member ${newId} in place of ${memberId}, a learner at first`
  )
})

/** Everyone who may know something. */
const addressesOf = (
  self: Self,
  configuration: Configuration.Configuration,
  known: ReadonlyArray<string> = []
): ReadonlyArray<string> => {
  const { contacts, founding } = self.record()
  const { initialCluster, name, peerAddress } = self.options
  const members = [...configuration.members, ...Option.getOrElse(founding, () => Configuration.empty).members]
  const addresses = new Set([
    ...known,
    ...initialCluster.filter((listed) => listed.name !== name).map((listed) => listed.peerAddress),
    ...members.filter((member) => member.name !== name).map((member) => member.peerAddress),
    ...contacts.filter(({ id }) => id !== self.record().memberId).map((contact) => contact.peerAddress)
  ])
  addresses.delete(peerAddress)
  return [...addresses]
}

const askAround = (self: Self, addresses: ReadonlyArray<string>) => {
  const { memberId } = self.record()
  const request = { _tag: "Probe", version: ControlMessage.version, name: self.options.name, memberId } as const
  return Effect.forEach(
    addresses,
    (peerAddress) =>
      Peers.ask(peerAddress, request, Limits.probeTimeoutMillis).pipe(
        Effect.option,
        Effect.map((answer) =>
          Option.isSome(answer) && answer.value._tag === "Initialised" ? [heardOf(peerAddress, answer.value)] : []
        )
      ),
    { concurrency: "unbounded" }
  ).pipe(Effect.map((all) => all.flat()))
}

const heardOf = (peerAddress: string, answer: Initialised) => ({ listed: { name: answer.name, peerAddress }, answer })
