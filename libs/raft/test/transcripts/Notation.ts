/**
 * How a transcript writes things down: messages, entries, configurations and the state of a member, each on one line.
 *
 * - `1->2` is a message from member 1 to member 2; `3@2` the position "index 3, term 2"; `x@2` an entry with the command `x` of term 2, `N@2` a no-op
 *   and `C@2` a configuration.
 * - An append is `previous position [entries]`, and an answer to it names the index up to which the logs agree, durably (`match`), or the one that was
 *   refused and where they may still agree (`refused`, `hint`).
 */
import * as Configuration from "../../src/core/Configuration.ts"
import type { LogIndex, MemberId, Term } from "../../src/core/Entry.ts"
import type { Message } from "../../src/core/Message.ts"
import type { Write } from "../../src/core/Output.ts"
import type { Progress } from "../../src/core/Progress.ts"
import type { LogEntry, Node } from "../support/Cores.ts"
import { numberOf } from "../support/Script.ts"

type Notations = { readonly [M in Message as M["_tag"]]: (message: M) => string }

export const name = (id: MemberId): string => id === "" ? "-" : String(numberOf(id))

export const names = (ids: ReadonlyArray<MemberId>): string => ids.length === 0 ? "-" : ids.map(name).join(",")

export const position = (index: LogIndex, term: Term): string => `${index}@${term}`

export const list = (entries: ReadonlyArray<LogEntry>): string =>
  `[${entries.map(({ label, term }) => `${label}@${term}`).join(" ")}]`

const notations: Notations = {
  VoteRequest: ({ lastIndex, lastTerm, preVote, term, transfer }) =>
    `${preVote ? "PreVote" : "Vote"} term=${term} last=${position(lastIndex, lastTerm)}${transfer ? " transfer" : ""}`,
  VoteReply: ({ granted, preVote, term }) =>
    `${preVote ? "PreVoteReply" : "VoteReply"} term=${term} ${granted ? "granted" : "refused"}`,
  Append: ({ commit, entries, previousIndex, previousTerm, term }) =>
    `Append term=${term} ${position(previousIndex, previousTerm)} ${
      list(entries as ReadonlyArray<LogEntry>)
    } commit=${commit}`,
  AppendReply: ({ hintIndex, hintTerm, index, success, term }) =>
    `AppendReply term=${term} ${success ? `match=${index}` : `refused=${index} hint=${position(hintIndex, hintTerm)}`}`,
  Heartbeat: ({ commit, round, term }) => `Heartbeat term=${term} commit=${commit} round=${round}`,
  HeartbeatReply: ({ round, term }) => `HeartbeatReply term=${term} round=${round}`,
  ReadIndex: ({ id, term }) => `ReadIndex term=${term} read=${id}`,
  ReadIndexReply: ({ id, index, term }) => `ReadIndexReply term=${term} read=${id} ${readAt(index)}`,
  TimeoutNow: ({ term }) => `TimeoutNow term=${term}`,
  SnapshotOffer: ({ index, indexTerm, snapshot, term }) =>
    `SnapshotOffer term=${term} snapshot=${snapshot} last=${position(index, indexTerm)}`
}

/** The word that a transcript begins a message with, and by which a command picks it. */
export const kind = (message: Message): string => notation(message).split(" ")[0]!

export const kinds: ReadonlyArray<string> = [...Object.keys(notations), "PreVote", "PreVoteReply", "Vote"].filter(
  (kind) => kind !== "VoteRequest"
)

export const notation = (message: Message): string => (notations[message._tag] as (message: Message) => string)(message)

/** When a read may go ahead. The leader that stepped down, or never led, sends its readers to ask again. */
export const readAt = (index: LogIndex): string => index < 0 ? "ask again" : `index=${index}`

export const write = (write: Write, node: Node): string => {
  switch (write._tag) {
    case "HardState":
      return `term=${write.term} vote=${name(write.vote)}`
    case "Proposed":
      return `${write.firstIndex} ${
        list(node.labelsOf(write.group).map((label) => ({ label, term: write.term }) as LogEntry))
      }`
    case "Own":
      return `${write.index} [${write.configuration === undefined ? "N" : "C"}@${write.term}]`
    case "Received":
      return `${write.entries[0]!.index} ${list(write.entries as ReadonlyArray<LogEntry>)}`
    case "Reset":
      return `empty behind ${position(write.index, write.term)}`
  }
}

export const configuration = (configuration: Configuration.Configuration): string => {
  const { members, outgoing, voters } = configuration
  const learners = members.map(({ id }) => id).filter((id) => Configuration.isLearner(configuration, id))
  const lists = [["voters", voters], ["outgoing", outgoing], ["learners", learners]] as const
  return lists.filter(([label, ids]) => label === "voters" || ids.length > 0)
    .map(([label, ids]) => `${label}=${names(ids)}`).join(" ")
}

export const role = ({ core }: Node): string =>
  `${core.role} term=${core.term} vote=${name(core.vote)} leader=${name(core.leader)}`

export const log = ({ entries, previousIndex, core }: Node): string =>
  `${previousIndex === 0 ? "" : position(previousIndex, core.log.previousTerm)}${list(entries)}`

export const status = (node: Node): string =>
  `${role(node)} log=${
    log(node)
  } durable=${node.core.durableIndex} commit=${node.core.commitIndex} applied=${node.applied.length}`

export const progress = ({ match, next, probed, state, window }: Progress): string => {
  const unanswered = window.isEmpty ? "" : ` unanswered=${window.bytes} bytes${window.isFull ? ", full" : ""}`
  return `${state} match=${match} next=${next}${state === "Probe" && probed ? " waits" : ""}${unanswered}`
}
