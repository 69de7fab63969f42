/** What the serving loop lets observers know: events, and how long the stages of proposals took. */
import { Option } from "effect"
import type { Input } from "./core/Input.ts"
import type { Outputs } from "./core/Output.ts"
import type { Member } from "./Member.ts"

/** A completion, before it is stepped through. */
export const completed = (member: Member, input: Input, time: number): void => {
  switch (input._tag) {
    case "Applied":
      return member.stages.applied(input.index, time)
    case "SnapshotInstalled":
      return member.events.add({ _tag: "SnapshotInstalled", index: input.index }, time)
    case "SnapshotSent": {
      const { delivered, index, peer } = input
      return member.events.add({ _tag: "SnapshotSent", peer, index, delivered }, time)
    }
  }
}

/** A batch, once all of it was stepped through. */
export const settled = (member: Member, out: Outputs, time: number): void => {
  const { core, events, known } = member
  member.stages.progressed(core.durableIndex, core.commitIndex, time)
  if (core.epoch !== known.epoch || core.term !== known.term) {
    events.add({ _tag: "Role", role: core.role, term: core.term }, time)
  }
  if (core.leader !== known.leader || core.term !== known.term) {
    const leader = core.leader === "" ? Option.none() : Option.some(core.leader)
    events.add({ _tag: "Leader", leader, term: core.term }, time)
  }
  if (out.configurationChanged) {
    const { configuration, configurationIndex } = core
    events.add({ _tag: "Configuration", configuration, index: configurationIndex }, time)
  }
  for (const voter of out.silent) events.add({ _tag: "Silent", voter }, time)
  for (const voter of out.heardAgain) events.add({ _tag: "HeardAgain", voter }, time)
  if (out.removed && !member.removed) events.add({ _tag: "Removed" }, time)
}
