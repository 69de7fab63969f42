/**
 * Voters that have been silent for so long that somebody has to do something about it. The leader says so once per silence, and again when it hears them; what
 * else it does is up to the settings of the cluster (`Membership` gives the place of a dead voter to a learner that stands by).
 *
 * A silence is counted by what this leader heard, from when it began to lead or to follow the member; one that was itself stopped for a while begins anew, since it could
 * hear nobody.
 */
import * as Configuration from "./Configuration.ts"
import type { Core } from "./Core.ts"
import type { MemberId } from "./Entry.ts"

/** Once per election timeout, `lateMillis` after its time, on a leader that a quorum answers. */
export const onQuorum = (core: Core, lateMillis: number): void => {
  const { configuration, now, settings } = core
  const { deadMemberMillis, deadMembers } = configuration.settings
  const wasStopped = lateMillis >= settings.electionTimeoutMillis
  for (const progress of core.progress.values()) {
    if (wasStopped) progress.watchedSince = now
    const silentMillis = now - Math.max(progress.heardAt, progress.watchedSince)
    const isSilent = deadMembers !== "off" && silentMillis >= deadMemberMillis &&
      Configuration.isVoter(configuration, progress.id)
    if (isSilent && !progress.isSilent) core.out.silent.push(progress.id)
    if (progress.isSilent && core.answers(progress.id)) core.out.heardAgain.push(progress.id)
    progress.isSilent = isSilent
  }
}

/** Whether the member is taken for dead, and has not answered a moment ago after all. */
export const isDead = (core: Core, id: MemberId): boolean =>
  core.progress.get(id)?.isSilent === true && !core.answers(id)
