/**
 * Bugs that the simulator has to find: each a patch on a copy of the sources, so that shipped code has no switch for it. Where a bug was made by others before, its
 * number in the list of historic bugs is given; those of our own were found by the simulator in the first place.
 */
export interface Planted {
  readonly name: string
  /** From the root of the workspace. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly find: string
  readonly replace: string
}

const core = "libs/raft/src/core"

export const planted: ReadonlyArray<Planted> = [
  {
    name: "lose the sessions on snapshot",
    file: "libs/raft/src/SnapshotReceiver.ts",
    find: "new Sessions(meta.records, replaced.group)",
    replace: "new Sessions([], replaced.group)"
  },
  {
    name: "forget the sessions on restart",
    file: "libs/raft/src/Recovery.ts",
    find: "new Sessions(records, group)",
    replace: "new Sessions([], group)"
  },
  {
    name: "skip a sync",
    file: "libs/storage/src/SegmentWriter.ts",
    find: "{ access: \"write\", durableWrites: true }",
    replace: "{ access: \"write\" }"
  },
  {
    name: "acknowledge before the sync",
    file: `${core}/Replication.ts`,
    find: "hintIndex: 0, hintTerm: 0 },\n    core.writeNumber\n",
    replace: "hintIndex: 0, hintTerm: 0 },\n    0\n"
  },
  {
    name: "tell a vote before its sync",
    file: `${core}/Core.ts`,
    find: "after = this.hardStateWrite",
    replace: "after = 0"
  },
  {
    name: "count oneself before the sync",
    file: `${core}/Replication.ts`,
    find: "id === core.id ? core.durableIndex",
    replace: "id === core.id ? core.log.lastIndex"
  },
  {
    name: "commit an older term by counting",
    file: `${core}/Replication.ts`,
    find: "if (index <= core.commitIndex || core.log.termAt(index) !== core.term) return",
    replace: "if (index <= core.commitIndex) return"
  },
  {
    name: "forget the vote on restart",
    file: "libs/raft/src/Node.ts",
    find: "hardState: log.hardState,",
    replace: "hardState: { term: log.hardState.term, vote: \"\" },"
  },
  {
    name: "two writes for term and vote",
    file: "libs/raft/src/LogWriter.ts",
    find: "Effect.map(logStore.write(writes), () => mailbox.complete({ _tag: \"Written\", number }))",
    replace: "Effect.andThen(\n" +
      "        Effect.map(logStore.write(writes.map((write) => write._tag === \"HardState\" ?\n" +
      "          { _tag: \"HardState\", hardState: { term: write.hardState.term, vote: \"\" } } as const : write)),\n" +
      "          () => mailbox.complete({ _tag: \"Written\", number })),\n" +
      "        logStore.write(writes.filter(({ _tag }) => _tag === \"HardState\")))"
  },
  {
    name: "vote for whoever asks, however short its log",
    file: `${core}/LogShape.ts`,
    find: "return term > lastTerm || (term === lastTerm && index >= this.lastIndex)",
    replace: "return term + lastTerm + index >= 0"
  },
  {
    name: "apply twice",
    file: "libs/raft/src/Applier.ts",
    find: "const meta: RaftMeta = { head: MetaCodec.encodeHead(next), changes: plan.changes }",
    replace: "const meta: RaftMeta = { head: MetaCodec.encodeHead(head), changes: plan.changes }"
  },
  {
    name: "truncate an acknowledged entry",
    file: `${core}/Replication.ts`,
    find: "const fresh = firstFresh(core, entries)",
    replace: "const fresh = firstFresh(core, entries) < entries.length ? firstFresh(core, entries) : 0"
  },
  {
    name: "serve a read without a quorum",
    file: `${core}/Read.ts`,
    find: "  reads.round = core.round\n  confirm(core)",
    replace: "  reads.round = core.round\n  release(core, core.reads.confirming, core.reads.index)"
  },
  {
    name: "confirm a read with a stale acknowledgement",
    file: `${core}/Read.ts`,
    find: "if (message.round > progress.round) {\n    progress.round = message.round",
    replace: "{\n    progress.round = core.round"
  },
  {
    name: "ignore stickiness (with leases on)",
    file: `${core}/Election.ts`,
    find: "if (!message.transfer && (hearsLeader(core) || Lease.isBound(core))) return",
    replace: ""
  },
  {
    name: "a lease from when the answer came",
    file: `${core}/Read.ts`,
    find: "Lease.sentAt(core, message.round)",
    replace: "core.now"
  },
  {
    name: "vote right after a restart (with leases on)",
    file: `${core}/Lease.ts`,
    find: "Math.max(core.contactAt, core.startedAt)",
    replace: "core.contactAt"
  },
  {
    name: "keep the lease after asking for an election",
    file: `${core}/Lease.ts`,
    find: "if (core.askedToStand || core.transfer !== undefined || ",
    replace: "if ("
  },
  {
    name: "read before an entry of the own term is committed",
    file: `${core}/Read.ts`,
    find: " || core.commitIndex < core.leaderSince) return",
    replace: ") return"
  },
  {
    name: "a joint configuration's new half alone commits",
    file: `${core}/Quorum.ts`,
    find: ": Math.min(majorityValue(configuration.voters, valueOf), majorityValue(configuration.outgoing, valueOf))",
    replace: ": majorityValue(configuration.voters, valueOf)"
  },
  {
    name: "a joint configuration's new half alone elects",
    file: `${core}/Quorum.ts`,
    find: "if (configuration.outgoing.length === 0) return incoming",
    replace: "if (configuration.voters.length > 0) return incoming"
  },
  {
    name: "go to another configuration in one step",
    file: `${core}/Membership.ts`,
    find: "changesVoters(core.configuration, next) ? joint(core.configuration, next) : next",
    replace: "next"
  },
  {
    name: "let a learner count",
    file: `${core}/Quorum.ts`,
    find: ": Math.min(majorityValue(configuration.voters, valueOf), majorityValue(configuration.outgoing, valueOf))",
    replace:
      ": configuration.members.map(({ id }) => valueOf(id)).sort((a, b) => b - a)[majority(configuration.voters.length) - 1]!"
  },
  {
    name: "let a witness stand for election",
    file: `${core}/Core.ts`,
    find: "return this.witness ? \"Witness\" : this.isElectable",
    replace: "return this.isElectable"
  },
  {
    name: "tell a witness before a disk has the data",
    file: `${core}/Replication.ts`,
    find: "  progress.witness\n    ? Math.min(",
    replace: "  progress.match < 0\n    ? Math.min("
  },
  {
    name: "match completions by what was ordered last",
    file: "libs/raft/src/LogWriter.ts",
    find: "mailbox.complete({ _tag: \"Written\", number }))",
    replace: "mailbox.complete({ _tag: \"Written\", number: ordered }))"
  },
  {
    name: "ignore a failed sync",
    file: "libs/raft/src/LogWriter.ts",
    find: "Effect.map(logStore.write(writes), ",
    replace: "Effect.map(Effect.ignore(logStore.write(writes)), "
  },
  {
    name: "shorten the log by a state that was not flushed",
    file: "libs/raft/src/Compactor.ts",
    find: "let flushedIndex = 0",
    replace: "let flushedIndex = applier.head().index"
  },
  {
    name: "rely on what a failed sync left readable",
    file: "libs/storage/src/LogRecovery.ts",
    find: "for (let at = Math.max(markOffset, segment.headerBytes); at < segment.bytes;",
    replace: "for (let at = segment.bytes; at < segment.bytes;"
  },
  {
    name: "carry out a repeated forward",
    file: "libs/raft/src/Receiving.ts",
    find: "if (!member.forwards.isNew(from, id)) return",
    replace: "member.forwards.isNew(from, id)"
  },
  {
    name: "call lost what another leader replaced in one log",
    file: "libs/raft/src/Proposals.ts",
    find: "this.displaced = [...this.displaced, ...this.appended.slice(kept)].filter(({ done }) => !done)",
    replace: "for (const group of this.appended.slice(kept)) this.fail(group, \"Lost\", \"Replaced.\")"
  },
  {
    name: "client: give a write another number when it is sent again",
    file: "libs/client/src/WriteSession.ts",
    find: "    if (call.session === this.id) return true\n    if (call.isDoubtful) return false\n",
    replace: ""
  },
  {
    name: "client: say that all answers are there",
    file: "libs/client/src/WriteSession.ts",
    find: "lowestUnanswered: this.lowestUnanswered, runs }",
    replace: "lowestUnanswered: this.nextSequence, runs }"
  },
  {
    name: "client port: forget whose writes they are",
    file: "libs/server/src/BatchConnection.ts",
    find: "...stamp === undefined ? {} : { session: stamp }",
    replace: "...stamp === undefined ? {} : {}"
  },
  {
    name: "client: call a write that was sent unavailable",
    file: "libs/client/src/Calls.ts",
    find: "if (call.state === \"out\") this.fail(call, \"Unknown\", late)",
    replace: "if (call.state === \"out\") this.fail(call, \"Unavailable\", late)"
  },
  {
    name: "client: forget the deadline of what was sent",
    file: "libs/client/src/Calls.ts",
    find: "if (call.state !== \"done\" && call.deadline <= now) this.expire(call)\n    }\n    for",
    replace: "if (call.state === \"queued\" && call.deadline <= now) this.expire(call)\n    }\n    for"
  },
  {
    name: "client: ask for stale reads",
    file: "libs/client/src/BatchSession.ts",
    find: "consistency: consistencyOf(calls),",
    replace: "consistency: \"stale\","
  },
  {
    name: "client port: pass an unknown outcome on as a refusal",
    file: "libs/server/src/BatchConnection.ts",
    find: "return { _tag: \"Failed\", reason: error.reason,",
    replace: "return { _tag: \"Failed\", reason: error.reason === \"Unknown\" ? \"Lost\" : error.reason,"
  },
  {
    name: "send beyond the window",
    file: `${core}/Replication.ts`,
    find: "progress.next <= sendable && !progress.window.isFull",
    replace: "progress.next <= sendable"
  },
  {
    name: "take rot for a torn tail",
    file: "libs/storage/src/LogRecovery.ts",
    find: "if (rest.mark !== undefined) {",
    replace: "if (rest.mark === -1) {"
  },
  {
    name: "do not look at the checksum of what is read",
    file: "libs/storage/src/SegmentReader.ts",
    find:
      "view.getUint32(record + 4) === length &&\n      LogFormat.isSound(bytes, view, record, length, segment.salt)",
    replace: "view.getUint32(record + 4) === length"
  }
]
