/**
 * What a whole cluster goes by, as opposed to what each member is started with. The settings are part of the configuration in the log: they take effect when
 * appended, survive restarts, and are the same for all who go by the same configuration.
 */

/**
 * What the leader does about a voter that has been silent for too long.
 *
 * - `off`: nothing. `warn`: it says so, once per silence.
 * - `replace`: it says so, and if a learner stands by that has caught up and is not promoted by itself, that takes the voter's place.
 */
export type DeadMembers = "off" | "warn" | "replace"

export interface Settings {
  /** Reads go ahead without a round while a quorum is known to elect nobody else. Needs clocks that run alike; see `Lease`. */
  readonly leaderLeases: boolean
  readonly deadMembers: DeadMembers
  /** A voter that the leader has not heard for so long is taken for dead. */
  readonly deadMemberMillis: number
}

/** What a cluster is founded with, and what one has that was founded before there were settings. */
export const defaults: Settings = { leaderLeases: false, deadMembers: "warn", deadMemberMillis: 600_000 }

/** Members that are silent for less have perhaps only lost their leader. */
const deadMemberTimeoutsMin = 10

/** Whether the settings make sense on a leader with this election timeout. */
export const areValid = (settings: Partial<Settings>, electionTimeoutMillis: number): boolean => {
  const { deadMemberMillis } = settings
  return deadMemberMillis === undefined ||
    (Number.isSafeInteger(deadMemberMillis) && deadMemberMillis >= deadMemberTimeoutsMin * electionTimeoutMillis)
}

export const areEqual = (one: Settings, other: Settings): boolean =>
  one.leaderLeases === other.leaderLeases && one.deadMembers === other.deadMembers &&
  one.deadMemberMillis === other.deadMemberMillis
