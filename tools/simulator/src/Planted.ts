/**
 * Bugs that the simulator has to find: each a patch on a copy of the sources, so that shipped code has no switch for it. Many were made by others before
 * (`@dkv/testkit`'s README, "Historic bugs"); those of our own were found by the simulator in the first place.
 */
import * as Protocol from "./Protocol.ts"

export interface Planted extends Patch {
  /** How it may be found: rules by their names, `answers` and `liveness`. Nothing else counts, and that the simulator itself throws least of all. */
  readonly breaks: ReadonlyArray<string>
}

export interface Patch extends Edit {
  readonly name: string
  /** What else it takes, in other files. */
  readonly and?: ReadonlyArray<Edit>
}

export interface Edit {
  /** From the root of the workspace. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly find: string
  readonly replace: string
}

export const editsOf = ({ and = [], file, find, replace }: Edit & Pick<Patch, "and">): ReadonlyArray<Edit> => [
  { file, find, replace },
  ...and
]

/** Whether a failure shows the bug, and is not that of something else. */
export const isFoundBy = ({ breaks }: Pick<Planted, "breaks">, failure: string): boolean =>
  !Protocol.isCrash(failure) && breaks.includes(Protocol.ruleOf(failure))

// Rules that break together: which of them comes first depends on the seed.

/** What clients were told. */
const answers = "not linearizable"

const turnedDown = "a proposal that is turned down never takes effect"

/** Something counts before it is durable. */
const syncs = [
  "an acknowledgement follows its sync",
  "a quorum holds what is committed",
  "there are as many copies as promised",
  "a witness is told of what a disk holds with its data"
]

const restarts = ["what was synced survives a restart", "term and vote survive a restart"]

/** Logs, or states, that are not the same everywhere. */
const logs = [
  "log matching",
  "leader completeness",
  "state machine safety",
  "a quorum holds what is committed",
  "there are as many copies as promised",
  "members that applied the same hold the same"
]

const elections = ["election safety", "a quorum of durable votes elects"]

const votes = [
  "a vote is durable before it is told",
  "one vote per term",
  "a leader's own vote is durable",
  ...elections
]

const liveness = ["liveness", "a call is carried out where nothing fails"]

const leases = ["nobody leads after a leader that has a lease", answers]

const witnesses = ["a witness holds no data", "a witness is told of what a disk holds with its data"]

/** A member that finds what cannot be, such as a broken invariant, stops and says what. */
const stops = "a member stops for a reason"

const core = "libs/raft/src/core"

export const planted: ReadonlyArray<Planted> = [
  {
    name: "lose the sessions on snapshot",
    breaks: [answers, "state machine safety"],
    file: "libs/raft/src/SnapshotReceiver.ts",
    find: "new Sessions(meta.records, replaced.group)",
    replace: "new Sessions([], replaced.group)"
  },
  {
    name: "forget the sessions on restart",
    breaks: [answers, "state machine safety"],
    file: "libs/raft/src/Recovery.ts",
    find: "new Sessions(records, group)",
    replace: "new Sessions([], group)"
  },
  {
    name: "skip a sync",
    breaks: [...restarts, ...logs, "one vote per term", ...elections, ...liveness, stops],
    file: "libs/storage/src/SegmentWriter.ts",
    find: "{ access: \"write\", durableWrites: true }",
    replace: "{ access: \"write\" }"
  },
  {
    name: "acknowledge before the sync",
    breaks: [...syncs, ...restarts, ...logs],
    file: `${core}/Replication.ts`,
    find: "hintIndex: 0, hintTerm: 0 },\n    core.writeNumber\n",
    replace: "hintIndex: 0, hintTerm: 0 },\n    0\n"
  },
  {
    name: "tell a vote before its sync",
    breaks: [...votes, "an answer's term is durable"],
    file: `${core}/Core.ts`,
    find: "after = this.hardStateWrite",
    replace: "after = 0"
  },
  {
    name: "count oneself before the sync",
    breaks: [...syncs, ...logs],
    file: `${core}/Replication.ts`,
    find: "id === core.id ? core.durableIndex",
    replace: "id === core.id ? core.log.lastIndex"
  },
  {
    name: "commit an older term by counting",
    breaks: [...logs, answers, stops],
    file: `${core}/Replication.ts`,
    find: "if (index <= core.commitIndex || core.log.termAt(index) !== core.term) return",
    replace: "if (index <= core.commitIndex) return"
  },
  {
    name: "forget the vote on restart",
    breaks: votes,
    file: "libs/raft/src/Node.ts",
    find: "hardState: log.hardState,",
    replace: "hardState: { term: log.hardState.term, vote: \"\" },"
  },
  {
    name: "two writes for term and vote",
    breaks: [...votes, "term and vote survive a restart"],
    file: "libs/raft/src/LogWriter.ts",
    find: "let ordered = 0\n",
    replace: "let ordered = 0\n  let term = 0\n",
    and: [{
      file: "libs/raft/src/LogWriter.ts",
      find: "Effect.map(logStore.write(writes), () => mailbox",
      replace: "Effect.map(\n        Effect.andThen(\n" +
        "          Effect.forEach(writes, (write) => {\n" +
        "            if (write._tag !== \"HardState\") return Effect.void\n" +
        "            const former = term === 0 ? write.hardState.term : term\n" +
        "            term = write.hardState.term\n" +
        "            return logStore.write([{ _tag: \"HardState\", hardState: { term: former, vote: write.hardState.vote } }])\n" +
        "          }),\n          logStore.write(writes)\n        ), () => mailbox"
    }]
  },
  {
    name: "vote for whoever asks, however short its log",
    breaks: [...logs, answers, stops],
    file: `${core}/LogShape.ts`,
    find: "return term > lastTerm || (term === lastTerm && index >= this.lastIndex)",
    replace: "return term + lastTerm + index >= 0"
  },
  {
    name: "apply twice",
    breaks: [answers, "state machine safety", "applied indexes grow", stops],
    file: "libs/raft/src/Applier.ts",
    find: "new Meta(next, plan.changes)",
    replace: "new Meta(head, plan.changes)"
  },
  {
    name: "truncate an acknowledged entry",
    breaks: [...syncs, ...logs, answers, stops],
    file: `${core}/Replication.ts`,
    find: "const fresh = firstFresh(core, entries)",
    replace: "const fresh = firstFresh(core, entries) < entries.length ? firstFresh(core, entries) : 0"
  },
  {
    name: "take entries in, whatever they follow",
    breaks: [...logs, answers, stops],
    file: `${core}/Replication.ts`,
    find: "if (core.log.termAt(previousIndex) !== message.previousTerm) {",
    replace: "if (core.log.termAt(previousIndex) < 0) {"
  },
  {
    name: "serve a read without a quorum",
    breaks: [answers],
    file: `${core}/Read.ts`,
    find: "  reads.round = core.round\n  confirm(core)",
    replace: "  reads.round = core.round\n  release(core, core.reads.confirming, core.reads.index)"
  },
  {
    name: "confirm a read with a stale acknowledgement",
    breaks: [answers],
    file: `${core}/Read.ts`,
    find: "if (message.round > progress.round) {\n    progress.round = message.round",
    replace: "{\n    progress.round = core.round"
  },
  {
    name: "ignore stickiness (with leases on)",
    breaks: leases,
    file: `${core}/Election.ts`,
    find: "(hearsLeader(core) || Lease.isBound(core))",
    replace: "Lease.isBound(core)",
    and: [{ file: `${core}/Lease.ts`, find: "Math.max(core.contactAt, core.startedAt)", replace: "core.startedAt" }]
  },
  {
    name: "a lease from when the answer came",
    breaks: leases,
    file: `${core}/Read.ts`,
    find: "Lease.sentAt(core, message.round)",
    replace: "core.now"
  },
  {
    name: "vote right after a restart (with leases on)",
    breaks: leases,
    file: `${core}/Lease.ts`,
    find: "Math.max(core.contactAt, core.startedAt)",
    replace: "core.contactAt"
  },
  {
    name: "keep the lease after asking for an election",
    breaks: leases,
    file: `${core}/Lease.ts`,
    find: "if (core.askedToStand || core.transfer !== undefined || ",
    replace: "if ("
  },
  {
    name: "read before an entry of the own term is committed",
    breaks: [answers],
    file: `${core}/Read.ts`,
    find: " || core.commitIndex < core.leaderSince) return",
    replace: ") return"
  },
  {
    name: "a joint configuration's new half alone commits",
    breaks: [...logs, ...elections, answers, stops],
    file: `${core}/Quorum.ts`,
    find: ": Math.min(majorityValue(configuration.voters, valueOf), majorityValue(configuration.outgoing, valueOf))",
    replace: ": majorityValue(configuration.voters, valueOf)"
  },
  {
    name: "a joint configuration's new half alone elects",
    breaks: [...elections, ...logs, answers, stops],
    file: `${core}/Quorum.ts`,
    find: "if (configuration.outgoing.length === 0) return incoming",
    replace: "if (configuration.voters.length > 0) return incoming"
  },
  {
    name: "go to another configuration in one step",
    breaks: ["quorums of one configuration and the next overlap", ...elections, ...logs],
    file: `${core}/Membership.ts`,
    find: "changesVoters(core.configuration, next) ? joint(core.configuration, next) : next",
    replace: "next"
  },
  {
    name: "let a learner count",
    breaks: [...logs, ...elections, answers, stops],
    file: `${core}/Quorum.ts`,
    find: ": Math.min(majorityValue(configuration.voters, valueOf), majorityValue(configuration.outgoing, valueOf))",
    replace: ": Math.min(\n" +
      "      configuration.members.map(({ id }) => id)\n" +
      "        .filter((id) => configuration.voters.includes(id) || !configuration.outgoing.includes(id)).map(valueOf)\n" +
      "        .sort((a, b) => b - a)[majority(configuration.voters.length) - 1]!,\n" +
      "      majorityValue(configuration.outgoing, valueOf)\n    )"
  },
  {
    name: "let a witness stand for election",
    breaks: [...witnesses, ...liveness, stops],
    file: `${core}/Core.ts`,
    find: "return this.witness ? \"Witness\" : this.isElectable",
    replace: "return this.isElectable"
  },
  {
    name: "tell a witness before a disk has the data",
    breaks: [...witnesses, ...logs, ...liveness],
    file: `${core}/Replication.ts`,
    find: "  progress.witness\n    ? Math.min(",
    replace: "  progress.match < 0\n    ? Math.min("
  },
  {
    name: "match completions by what was ordered last",
    breaks: [...syncs, ...logs],
    file: "libs/raft/src/LogWriter.ts",
    find: "mailbox.complete({ _tag: \"Written\", number }))",
    replace: "mailbox.complete({ _tag: \"Written\", number: ordered }))"
  },
  {
    name: "match completions by index alone",
    breaks: [...syncs, ...logs, stops],
    file: `${core}/Core.ts`,
    find: "    for (const pending of this.pendingAppends) pending.lastIndex = Math.min(pending.lastIndex, index - 1)\n",
    replace: "",
    and: [{
      file: `${core}/Replication.ts`,
      find: "hintIndex: 0, hintTerm: 0 },\n    core.writeNumber\n",
      replace: "hintIndex: 0, hintTerm: 0 },\n    Math.max(\n      core.hardStateWrite,\n" +
        "      core.pendingAppends.find(({ lastIndex }) => lastIndex >= index)?.number ?? 0\n    )\n"
    }]
  },
  {
    name: "ignore a failed sync",
    breaks: [...syncs, ...votes, ...restarts, ...logs],
    file: "libs/raft/src/LogWriter.ts",
    find: "Effect.map(logStore.write(writes), ",
    replace: "Effect.map(Effect.ignore(logStore.write(writes)), "
  },
  {
    name: "shorten the log by a state that was not flushed",
    breaks: [...liveness, stops],
    file: "libs/raft/src/Compactor.ts",
    find: "let flushedIndex = 0",
    replace: "let flushedIndex = applier.head().index"
  },
  {
    name: "rely on what a failed sync left readable",
    breaks: [...liveness, ...restarts, stops],
    file: "libs/storage/src/LogRecovery.ts",
    find: "for (let at = Math.max(markOffset, segment.headerBytes); at < segment.bytes;",
    replace: "for (let at = segment.bytes; at < segment.bytes;"
  },
  {
    name: "carry out a repeated forward",
    breaks: [answers],
    file: "libs/raft/src/Receiving.ts",
    find: "if (!member.forwards.isNew(from, id)) return",
    replace: "member.forwards.isNew(from, id)"
  },
  {
    name: "call lost what another leader replaced in one log",
    breaks: [turnedDown, answers],
    file: "libs/raft/src/Proposals.ts",
    find: "this.displaced = [...this.displaced, ...this.appended.slice(kept)].filter(({ done }) => !done)",
    replace: "for (const group of this.appended.slice(kept)) this.fail(group, \"Lost\", \"Replaced.\")"
  },
  {
    name: "client: give a write another number when it is sent again",
    breaks: [answers],
    file: "libs/client/src/WriteSession.ts",
    find: "    if (call.session === this.id) return true\n    if (call.isDoubtful) return false\n",
    replace: ""
  },
  {
    name: "client: say that all answers are there",
    breaks: [answers, ...liveness, "a call fails in words that fit"],
    file: "libs/client/src/WriteSession.ts",
    find: "lowestUnanswered: this.lowestUnanswered, runs }",
    replace: "lowestUnanswered: this.nextSequence, runs }"
  },
  {
    name: "client port: forget whose writes they are",
    breaks: [answers],
    file: "libs/server/src/BatchConnection.ts",
    find: "...stamp === undefined ? {} : { session: stamp }",
    replace: "...stamp === undefined ? {} : {}"
  },
  {
    name: "client: call a write that was sent unavailable",
    breaks: [answers],
    file: "libs/client/src/Calls.ts",
    find: "else if (call.state === \"out\" || call.isDoubtful) this.fail(call, \"Unknown\", late)\n    ",
    replace: "",
    and: [{
      file: "libs/client/src/Calls.ts",
      find: "const error = reason === \"Unknown\" || call.isDoubtful\n",
      replace: "const error = reason === \"Unknown\"\n"
    }]
  },
  {
    name: "client: forget the deadline of what was sent",
    breaks: ["a call ends by its deadline", ...liveness],
    file: "libs/client/src/Calls.ts",
    find: "if (call.state !== \"done\" && call.deadline <= now) this.expire(call)\n    }\n    for",
    replace: "if (call.state === \"queued\" && call.deadline <= now) this.expire(call)\n    }\n    for"
  },
  {
    name: "client: ask for stale reads",
    breaks: [answers],
    file: "libs/client/src/BatchSession.ts",
    find: "consistency: consistencyOf(calls),",
    replace: "consistency: \"stale\","
  },
  {
    name: "client port: pass an unknown outcome on as a refusal",
    breaks: [answers, "a call fails in words that fit"],
    file: "libs/server/src/BatchConnection.ts",
    find: "return { _tag: \"Failed\", reason: error.reason,",
    replace: "return { _tag: \"Failed\", reason: error.reason === \"Unknown\" ? \"Lost\" : error.reason,"
  },
  {
    name: "send beyond the window",
    breaks: ["queues stay within their limits"],
    file: `${core}/Replication.ts`,
    find: "progress.next <= sendable && !progress.window.isFull",
    replace: "progress.next <= sendable"
  },
  {
    name: "take in proposals without limit",
    breaks: ["queues stay within their limits"],
    file: "libs/raft/src/Proposals.ts",
    find: "this.groups.size >= this.groupsMax || ",
    replace: ""
  },
  {
    name: "let any number of reads wait",
    breaks: ["queues stay within their limits"],
    file: "libs/raft/src/Readers.ts",
    find: "if (this.count >= this.readsMax) {",
    replace: "if (this.count > this.nextId) {"
  },
  {
    name: "take rot for a torn tail",
    breaks: [...restarts, ...logs, stops],
    file: "libs/storage/src/LogRecovery.ts",
    find: "if (rest.mark !== undefined) {",
    replace: "if (rest.mark === -1) {"
  },
  {
    name: "do not look at the checksum of what is read",
    breaks: ["what is read is what was written", ...logs, answers, stops],
    file: "libs/storage/src/SegmentReader.ts",
    find:
      "view.getUint32(record + 4) === length &&\n      LogFormat.isSound(bytes, view, record, length, segment.salt)",
    replace: "view.getUint32(record + 4) === length"
  }
]
