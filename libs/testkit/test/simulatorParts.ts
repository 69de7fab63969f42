/** What tests of the simulator's rules are made of: members that never were, whose disks, messages and looks are made up. */
import { Configuration, Entry, EntryKind } from "@dkv/raft"
import type { LogStore, RaftNode } from "@dkv/raft"
import * as ConfigurationCodec from "@dkv/raft/codec/ConfigurationCodec"
import * as Codec from "@dkv/raft/codec/PeerMessageCodec"
import { Option } from "effect"
import { Names, Watch } from "../src/simulator/index.ts"

export const ids = [1, 2, 3, 4].map(Names.idOf)
export const [a, b, c, d] = ids as [string, string, string, string]

export const of = (
  voters: ReadonlyArray<string>,
  outgoing: ReadonlyArray<string> = []
): Configuration.Configuration => ({
  ...Configuration.empty,
  members: ids.map((_, position) => Names.memberOf(position + 1, false)),
  voters,
  outgoing
})

export const empty: LogStore.Recovered = {
  hardState: { term: 0, vote: "" },
  previousIndex: 0,
  previousTerm: 0,
  lastIndex: 0,
  termRuns: [],
  configurations: []
}

export const entry = (index: number, term: number, text = ""): Entry.Entry =>
  Entry.make(index, term, EntryKind.Command, new TextEncoder().encode(text))

export const entries = (from: number, to: number, term: number) =>
  Array.from({ length: to - from + 1 }, (_, position) => entry(from + position, term))

/** In the log, as of term 1. */
export const reform = (index: number, configuration: Configuration.Configuration): Entry.Entry =>
  Entry.make(index, 1, EntryKind.Configuration, ConfigurationCodec.encode(configuration))

export const idle: RaftNode.Status = {
  id: a,
  role: "Follower",
  term: 0,
  leader: Option.none(),
  commitIndex: 0,
  appliedIndex: 0,
  lastIndex: 0,
  previousIndex: 0,
  configuration: of([a, b, c]),
  copies: 0,
  peers: [],
  hasLease: false,
  removed: false
}

/** Members with empty disks, and what they do to be looked at. */
export const make = () => {
  const watch = new Watch.Watch()
  const status = (id: string, seen: Partial<RaftNode.Status>) => watch.status(id, { ...idle, id, ...seen })
  const begin = (id: string, ...writes: ReadonlyArray<LogStore.LogWrite>) => watch.disks.writing(id, writes)
  const write = (id: string, ...writes: ReadonlyArray<LogStore.LogWrite>) => {
    begin(id, ...writes)
    watch.disks.written(id, writes)
  }
  const vote = (id: string, term: number, candidate: string) =>
    write(id, { _tag: "HardState", hardState: { term, vote: candidate } })
  const append = (id: string, added: ReadonlyArray<Entry.Entry>) => write(id, { _tag: "Append", entries: added })
  const send = (from: string, to: string, message: Parameters<typeof Codec.encode>[0]) =>
    watch.sent(from, to, Codec.encode(message))
  const stand = (id: string, term: number) =>
    send(id, d, { _tag: "VoteRequest", term, lastIndex: 0, lastTerm: 0, preVote: false, transfer: false })
  const say = (leader: string, term: number, said: ReadonlyArray<Entry.Entry>) => {
    const head = Codec.encodeAppend({ term, previousIndex: 0, previousTerm: 0, commit: 0, count: said.length })
    watch.sent(leader, d, Buffer.concat([head, Codec.encodeEntries(said)]))
  }
  const acknowledge = (id: string, term: number, index: number) =>
    send(id, a, { _tag: "AppendReply", term, success: true, index, hintIndex: 0, hintTerm: 0 })
  for (const id of ids) {
    watch.booted(id, empty)
    status(id, {})
  }
  /** The rule that was broken, as it is called. */
  const broken = () => watch.rules.violation?.split(": ")[0]
  return { watch, status, begin, write, vote, append, send, stand, say, acknowledge, broken }
}
