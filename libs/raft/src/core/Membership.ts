/**
 * Who takes part. Any change of voters goes through a joint configuration; adding a learner, or changing an address, does not touch the quorum
 * and takes one step. A configuration is in force from the moment it is appended.
 *
 * Sources: Raft paper §6; dissertation §4; Ongaro's raft-dev post of July 2015 (no change before an entry of the own term is committed).
 */
import * as ClusterSettings from "./ClusterSettings.ts"
import * as Configuration from "./Configuration.ts"
import type { Core } from "./Core.ts"
import * as DeadMembers from "./DeadMembers.ts"
import * as Election from "./Election.ts"
import { isMemberId } from "./Entry.ts"
import type { LogIndex, MemberId } from "./Entry.ts"
import type { Change, ChangeMembership } from "./Input.ts"
import { invariant } from "./Invariant.ts"
import type { ChangeRefusal } from "./Output.ts"
import type { Progress } from "./Progress.ts"
import * as Quorum from "./Quorum.ts"
import * as Replication from "./Replication.ts"
import * as Transfer from "./Transfer.ts"

export const onChange = (core: Core, { change, id }: ChangeMembership): void => {
  const refuse = (refusal: ChangeRefusal | undefined) => void core.out.settled.push({ id, refusal, leader: core.id })
  if (isOutOfBounds(core, change)) return refuse("Invalid")
  if (core.commitIndex < core.leaderSince) return refuse("NotReady")
  if (isChanging(core) || core.transfer !== undefined) return refuse("Pending")
  const next = plan(core, change)
  if (typeof next === "string") return refuse(next)
  if (next === core.configuration) return refuse(undefined)
  const forced = (change._tag === "Promote" || change._tag === "Leave") && change.force
  if (!forced && changesVoters(core.configuration, next) && !answers(core, next)) return refuse("NoQuorum")
  core.change = { id, index: propose(core, next) }
}

/** What makes no sense need not travel. */
export const onChangeElsewhere = (core: Core, { change, id }: ChangeMembership): void => {
  core.out.settled.push({ id, refusal: isOutOfBounds(core, change) ? "Invalid" : "NoLeader", leader: core.leader })
}

/** Puts a configuration in force that has just been appended at `index`. */
export const adopt = (core: Core, index: LogIndex, configuration: Configuration.Configuration): void => {
  core.configurations.push({ index, configuration })
  core.out.configurationChanged = true
  const own = Configuration.find(configuration, core.id)
  if (own !== undefined) invariant(own.witness === core.witness, mistaken(own))
  if (core.role === "Leader") Replication.followConfiguration(core)
}

/** Why a member cannot be what the configuration takes it for. */
export const mistaken = ({ name, witness }: Configuration.Member): string =>
  witness
    ? `the cluster has ${name} as a witness, but it was started as a full member: start it as a witness`
    : `the cluster has ${name} as a full member, but it was started as a witness: start it as a full member`

/** The leader's commit index has moved: finish a joint change, answer who asked, and leave, with a successor asked to stand, if it is no longer a member. */
export const onCommitted = (core: Core): void => {
  if (core.commitIndex < core.leaderSince || isUncommitted(core)) return
  const configuration = core.configuration
  if (Configuration.isJoint(configuration)) {
    const index = Replication.appendOwn(core, settled(configuration))
    if (core.change !== undefined) core.change = { id: core.change.id, index }
    return
  }
  if (core.out.configurationChanged) Replication.followConfiguration(core)
  if (core.change !== undefined && core.change.index <= core.commitIndex) {
    core.out.settled.push({ id: core.change.id, refusal: undefined, leader: core.id })
    core.change = undefined
  }
  if (!Configuration.isVoter(configuration, core.id)) {
    Replication.broadcastHeartbeat(core)
    Transfer.giveWay(core)
    Election.becomeFollower(core, core.term, "")
  }
}

/** A learner is caught up when it made up a whole round, the log's growth during the former one, within an election timeout (dissertation §4.2.1). */
export const onProgress = (core: Core, progress: Progress): void => {
  if (progress.match < progress.catchUpIndex) return
  progress.caughtUp = core.now - progress.catchUpSince <= core.settings.electionTimeoutMillis
  progress.catchUpIndex = core.log.lastIndex
  progress.catchUpSince = core.now
}

/** A learner that has everything stays caught up while nothing is written. */
export const onHeartbeat = (core: Core): void => {
  for (const progress of core.progress.values()) {
    if (core.answers(progress.id) && progress.match === core.log.lastIndex) onProgress(core, progress)
  }
}

/** Part of a leader's settling: promotes, in one joint change, the learners that are ready together; else makes up for a voter that is dead. */
export const settle = (core: Core): void => {
  if (isChanging(core) || core.commitIndex < core.leaderSince || core.transfer !== undefined) return
  let next = core.configuration
  for (const member of core.configuration.members) {
    if (!member.autoPromote || !isReady(core, member.id)) continue
    // One before it may have been meant for its place.
    if (Configuration.find(next, member.id) === undefined) continue
    const larger = promoted(next, member.id)
    if (Configuration.hasFullVoter(larger)) next = larger
  }
  if (next === core.configuration) next = replaced(core)
  if (next !== core.configuration && answers(core, next)) propose(core, next)
}

/**
 * A learner that stands by takes the place of a dead voter: one that has caught up, and is not meant for a certain place; those that are promoted by themselves have
 * been. One at a time; and no voter goes without another one coming, or a cluster could shrink until its last member is the only copy.
 */
const replaced = (core: Core): Configuration.Configuration => {
  const { configuration } = core
  if (configuration.settings.deadMembers !== "replace") return configuration
  const dead = configuration.voters.find((id) => DeadMembers.isDead(core, id))
  if (dead === undefined) return configuration
  const spare = configuration.members.find((member) =>
    !member.witness && member.replaces === undefined && isReady(core, member.id)
  )
  return spare === undefined ? configuration : promoted(without(configuration, dead), spare.id)
}

const propose = (core: Core, next: Configuration.Configuration): LogIndex =>
  Replication.appendOwn(
    core,
    changesVoters(core.configuration, next) ? joint(core.configuration, next) : next
  )

/** Who leaves still votes until the final configuration, and has to be reached for that. */
const joint = (
  { members, voters }: Configuration.Configuration,
  next: Configuration.Configuration
): Configuration.Configuration => ({
  ...next,
  members: [
    ...next.members,
    ...members.filter(({ id }) => voters.includes(id) && Configuration.find(next, id) === undefined)
  ],
  outgoing: voters
})

/** The final configuration behind a joint one. */
const settled = (joint: Configuration.Configuration): Configuration.Configuration => ({
  ...joint,
  members: joint.members.filter(({ id }) => joint.voters.includes(id) || !joint.outgoing.includes(id)),
  outgoing: []
})

const plan = (core: Core, change: Change): Configuration.Configuration | ChangeRefusal => {
  const configuration = core.configuration
  const { members, voters } = configuration
  switch (change._tag) {
    case "Join": {
      const { member } = change
      const present = Configuration.find(configuration, member.id)
      if (present !== undefined) {
        if (present.name !== member.name || present.witness !== member.witness) return "Conflict"
        return updated(configuration, {
          ...present,
          peerAddress: member.peerAddress,
          clientAddress: member.clientAddress
        })
      }
      // whom it replaces goes when it is promoted
      const room = Configuration.membersMax + (member.replaces === undefined ? 0 : 1)
      if (members.length >= room) return "Invalid"
      const clash = members.find((other) =>
        other.id !== member.replaces && (other.name === member.name || other.peerAddress === member.peerAddress)
      )
      if (clash !== undefined) return "Conflict"
      if (member.replaces !== undefined && Configuration.find(configuration, member.replaces) === undefined) {
        return "NotFound"
      }
      const joined = { ...configuration, members: [...members, member] }
      return member.replaces === undefined || Configuration.hasFullVoter(promoted(joined, member.id))
        ? joined
        : "LastVoter"
    }
    case "Update": {
      const present = Configuration.find(configuration, change.id)
      if (present === undefined) return "NotFound"
      const { clientAddress, peerAddress, priority = present.priority } = change
      return updated(configuration, { ...present, peerAddress, clientAddress, priority })
    }
    case "Configure": {
      const settings = { ...configuration.settings, ...change.settings }
      return ClusterSettings.areEqual(settings, configuration.settings) ? configuration : { ...configuration, settings }
    }
    case "Promote":
      if (Configuration.find(configuration, change.id) === undefined) return "NotFound"
      if (voters.includes(change.id)) return configuration
      if (!change.force && !isReady(core, change.id)) return "NotReady"
      return withData(promoted(configuration, change.id))
    case "Leave":
      if (Configuration.find(configuration, change.id) === undefined) return "NotFound"
      return withData(without(configuration, change.id))
  }
}

/** Witnesses alone hold nothing and elect nobody. */
const withData = (next: Configuration.Configuration): Configuration.Configuration | ChangeRefusal =>
  Configuration.hasFullVoter(next) ? next : "LastVoter"

const isOutOfBounds = (core: Core, change: Change): boolean => {
  switch (change._tag) {
    case "Join":
      return !isMemberId(change.member.id) || !isPriority(change.member.priority)
    case "Update":
      return change.priority !== undefined && !isPriority(change.priority)
    case "Configure":
      return !ClusterSettings.areValid(change.settings, core.settings.electionTimeoutMillis)
    default:
      return false
  }
}

/** A priority is stored in 32 bits. */
const isPriority = (priority: number): boolean => priority === (priority | 0)

/** A present member with another address, or another priority. Addresses belong to one member each, except that a learner may have that of the member it replaces. */
const updated = (
  configuration: Configuration.Configuration,
  wanted: Configuration.Member
): Configuration.Configuration | ChangeRefusal => {
  const { clientAddress, id, peerAddress, priority } = wanted
  const present = Configuration.find(configuration, id)!
  if (
    present.peerAddress === peerAddress && present.clientAddress === clientAddress && present.priority === priority
  ) return configuration
  const others = configuration.members.filter((other) => other.id !== id && other.id !== present.replaces)
  if (others.some((other) => other.peerAddress === peerAddress)) return "Conflict"
  return {
    ...configuration,
    members: configuration.members.map((member) => member.id === id ? wanted : member)
  }
}

/** A learner becomes a voter; the member that it replaces leaves in the same change. */
const promoted = (configuration: Configuration.Configuration, id: MemberId): Configuration.Configuration => {
  const member = Configuration.find(configuration, id)!
  const { replaces, ...rest } = member
  const base = replaces === undefined ? configuration : without(configuration, replaces)
  return {
    ...base,
    members: base.members.map((other) => other.id === id ? rest : other),
    voters: [...base.voters, id]
  }
}

const without = (configuration: Configuration.Configuration, id: MemberId): Configuration.Configuration => ({
  ...configuration,
  members: configuration.members.filter((member) => member.id !== id),
  voters: configuration.voters.filter((voter) => voter !== id)
})

const isReady = (core: Core, id: MemberId): boolean => {
  const progress = core.progress.get(id)
  return progress !== undefined && Configuration.isLearner(core.configuration, id) && core.answers(id) &&
    progress.state === "Replicate" && progress.caughtUp
}

const isUncommitted = (core: Core): boolean => core.configurationIndex > core.commitIndex

const isChanging = (core: Core): boolean => isUncommitted(core) || Configuration.isJoint(core.configuration)

const changesVoters = (from: Configuration.Configuration, to: Configuration.Configuration): boolean =>
  from.voters.length !== to.voters.length || from.voters.some((id) => !to.voters.includes(id))

/** Whether the members that would form the new quorum answer now, and enough of those that hold data among them. */
const answers = (core: Core, next: Configuration.Configuration): boolean =>
  Quorum.isQuorum(next, (id) => core.answers(id)) && Quorum.copiedValue(next, (id) => core.answers(id) ? 1 : 0) === 1
