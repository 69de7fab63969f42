/**
 * Handing leadership over: stop taking proposals, bring the target up to date, tell it to stand for election at once.
 *
 * Source: dissertation §3.10. It is given up after one election timeout, and the leader goes on.
 */
import type { Core } from "./Core.ts"
import type { MemberId } from "./Entry.ts"
import type { Transfer } from "./Input.ts"
import type { ChangeRefusal } from "./Output.ts"
import type { Progress } from "./Progress.ts"

export const onTransfer = (core: Core, { id, to }: Transfer): void => {
  const refuse = (refusal: ChangeRefusal) => core.out.settled.push({ id, refusal, leader: "" })
  if (core.transfer !== undefined) return void refuse("Pending")
  const target = to === "" ? mostUpToDate(core) : to
  if (target === core.id) return void core.out.settled.push({ id, refusal: undefined, leader: core.id })
  const progress = core.progress.get(target)
  if (progress === undefined) return void refuse(target === "" ? "NotVoter" : "NotFound")
  if (!mayLead(core, progress)) return void refuse("NotVoter")
  core.transfer = { id, to: target, deadline: core.now + core.settings.electionTimeoutMillis, asked: false }
}

export const onTransferElsewhere = (core: Core, { id }: Transfer): void => {
  core.out.settled.push({ id, refusal: "NoLeader", leader: core.leader })
}

/** Part of a leader's settling. */
export const settle = (core: Core): void => {
  const transfer = core.transfer
  if (transfer === undefined) return
  const progress = core.progress.get(transfer.to)
  if (progress === undefined || core.now >= transfer.deadline) {
    core.transfer = undefined
    core.out.settled.push({ id: transfer.id, refusal: "Timeout", leader: "" })
    return
  }
  if (transfer.asked || progress.match < core.log.lastIndex) return
  transfer.asked = true
  askToStand(core, transfer.to)
}

/** A leader that cannot go on asks the best successor to stand for election. */
export const giveWay = (core: Core): void => {
  const successor = mostUpToDate(core)
  if (successor !== "") askToStand(core, successor)
}

const askToStand = (core: Core, to: MemberId): void => {
  core.askedToStand = true
  core.send(to, { _tag: "TimeoutNow", term: core.term })
}

/** A member that was leader learns who leads now. */
export const onLeaderKnown = (core: Core): void => {
  if (core.transfer === undefined || core.leader === "") return
  core.out.settled.push({ id: core.transfer.id, refusal: undefined, leader: core.leader })
  core.transfer = undefined
}

const mostUpToDate = (core: Core): MemberId => {
  let best = ""
  let match = -1
  for (const progress of core.progress.values()) {
    if (!mayLead(core, progress) || !core.answers(progress.id) || progress.match <= match) continue
    best = progress.id
    match = progress.match
  }
  return best
}

const mayLead = (core: Core, { id, witness }: Progress): boolean => !witness && core.configuration.voters.includes(id)
