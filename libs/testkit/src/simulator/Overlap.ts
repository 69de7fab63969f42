/**
 * Whether the quorums of two configurations overlap, each with each: what makes it safe to go from one to the other (Raft paper §6). By trying all sets of members, and
 * without the help of what is looked at.
 */
import type { Configuration, MemberId } from "@dkv/raft"

/** Members that vote in either configuration; more are too many to try. */
const votersMax = 16

export const haveOverlap = (one: Configuration.Configuration, other: Configuration.Configuration): boolean => {
  const ids = [...new Set([...one.voters, ...one.outgoing, ...other.voters, ...other.outgoing])]
  if (ids.length > votersMax) throw new RangeError(`${ids.length} voters are too many to try all sets of them`)
  for (let set = 0; set < 2 ** ids.length; set++) {
    const isIn = (id: MemberId) => (set & (1 << ids.indexOf(id))) !== 0
    if (isQuorum(one, isIn) && isQuorum(other, (id) => !isIn(id))) return false
  }
  return true
}

/** Whether those that are in are most of the voters, and most of those of the outgoing half where there is one. */
export const isQuorum = (
  { outgoing, voters }: Configuration.Configuration,
  isIn: (id: MemberId) => boolean
): boolean => {
  const isMost = (half: ReadonlyArray<MemberId>) => half.length === 0 || half.filter(isIn).length * 2 > half.length
  return isMost(voters) && isMost(outgoing)
}
