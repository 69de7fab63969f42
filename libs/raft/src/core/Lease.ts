/**
 * Leader leases: while a quorum is bound to elect nobody else, the leader is the only one, and reads need no round to find that out. Off unless the settings
 * of the cluster say otherwise, because they rest on clocks: every member goes by the same election timeout, and no clock runs faster or slower than
 * real time by more than `clockDriftMax`.
 *
 * The two sides of the bargain: whoever answers a heartbeat helps nobody to replace its sender for one election timeout from its receipt (`isBound`); the leader relies
 * on that for a little less, from when it sent it (`holds`).
 *
 * Sources: dissertation §6.4.1; openraft `docs/data/leader-lease.md`.
 */
import type { Core } from "./Core.ts"
import * as Quorum from "./Quorum.ts"

/** How much faster or slower than real time a member's clock may run. */
export const clockDriftMax = 0.05

/** Send times of so many rounds are kept; an answer to an older one renews nothing. */
export const roundsRememberedMax = 64

/** A round of heartbeats begins: `core.round` is its number. */
export const roundSent = (core: Core): void => {
  core.roundsSentAt[core.round % roundsRememberedMax] = core.now
}

/** When round `round` of this leadership was sent; -Infinity if that is forgotten. */
export const sentAt = (core: Core, round: number): number =>
  round > core.round - roundsRememberedMax ? core.roundsSentAt[round % roundsRememberedMax]! : -Infinity

/**
 * Whether this leader has a lease at `now`. Everything is looked at anew, with the configuration that is in force now: the lease is not stored, so nothing has to
 * take it back.
 *
 * - An answer counts if the member has this leader's log up to the configuration in force and the leader's first entry. Only then is it certain that the member
 *   goes by that configuration, with leases on, and that no tail of another leader's log behind it says otherwise.
 * - A leader that has asked somebody to stand for election has no lease in that term any more: the request may arrive at any later time, and votes that a leader
 *   asked for are given in spite of every promise.
 */
export const holds = (core: Core, now: number): boolean => {
  const { configuration, settings } = core
  if (core.role !== "Leader" || !configuration.settings.leaderLeases) return false
  if (core.askedToStand || core.transfer !== undefined || core.commitIndex < core.leaderSince) return false
  const known = Math.max(core.leaderSince, core.configurationIndex)
  const since = Quorum.reachedValue(configuration, (id) => {
    if (id === core.id) return now
    const progress = core.progress.get(id)
    return progress !== undefined && progress.match >= known ? progress.confirmedAt : -Infinity
  })
  // The leader's clock may be slow and that of a member fast.
  return now < since + settings.electionTimeoutMillis * (1 - 2 * clockDriftMax)
}

/**
 * Until when this member helps nobody, itself included, to replace a leader that it may have bound itself to: one election timeout since it heard one, whatever
 * became of the link or of its belief in that leader since, or since it started, for its former run may have answered a moment before.
 */
export const boundUntil = (core: Core): number =>
  core.configuration.settings.leaderLeases
    ? Math.max(core.contactAt, core.startedAt) + core.settings.electionTimeoutMillis
    : -Infinity

export const isBound = (core: Core): boolean => core.now < boundUntil(core)
