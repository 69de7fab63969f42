/** An answer in the three ways that `-w` offers: for people and pipes, for programs, for the eye. */
import type { Admin, Operation } from "@dkv/protocol"
import { Effect, Option } from "effect"
import { ExitCode } from "./ExitCode.ts"
import { Failure } from "./Failure.ts"
import { Screen } from "./Screen.ts"
import type { ScreenError } from "./Screen.ts"
import type { Format } from "./Settings.ts"
import * as Table from "./Table.ts"
import * as Text from "./Text.ts"

export interface Answer {
  /** Exact bytes, or lines of text. */
  readonly simple: Uint8Array | string
  readonly json: unknown
  readonly head: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

/** Writes the answer. Exact bytes get a line break only where a person would otherwise find the prompt behind them. */
export const print = Effect.fnUntraced(function*(format: Format, answer: Answer): Effect.fn.Return<
  void,
  ScreenError,
  Screen
> {
  const screen = yield* Screen
  if (format === "json") return yield* screen.write(Text.encode(`${JSON.stringify(answer.json)}\n`))
  if (format === "table") return yield* screen.write(Text.encode(Table.render(answer.head, answer.rows)))
  if (typeof answer.simple === "string") return yield* screen.write(Text.encode(answer.simple))
  yield* screen.write(answer.simple)
  if (screen.isTerminal && answer.simple.at(-1) !== 0x0a) yield* screen.write(Text.encode("\n"))
})

/** Writes the answer to a change, which is made whether or not anybody can be told. */
export const printChange = (format: Format, answer: Answer): Effect.Effect<void, Failure, Screen> =>
  Effect.mapError(
    print(format, answer),
    ({ message }) =>
      Failure.of(ExitCode.unknown, `the change was made, but its answer could not be printed: ${message}`)
  )

const keyValueHead = ["key", "value", "create revision", "mod revision", "version"]

const keyValueRow = (kv: Operation.KeyValue): ReadonlyArray<string> => [
  Text.oneLine(kv.key),
  Text.oneLine(kv.value),
  String(kv.createRevision),
  String(kv.modRevision),
  String(kv.version)
]

const keyValueJson = (kv: Operation.KeyValue) => ({
  ...Text.jsonField("key", kv.key),
  ...Text.jsonField("value", kv.value),
  createRevision: kv.createRevision,
  modRevision: kv.modRevision,
  version: kv.version
})

/** One key. */
export const keyValue = (kv: Operation.KeyValue): Answer => ({
  simple: kv.value,
  json: keyValueJson(kv),
  head: keyValueHead,
  rows: [keyValueRow(kv)]
})

/** Many keys, one per line as `key TAB value`, both escaped to one line. */
export const keyValues = (kvs: ReadonlyArray<Operation.KeyValue>, revision: number): Answer => ({
  simple: kvs.map((kv) => `${Text.oneLine(kv.key)}\t${Text.oneLine(kv.value)}\n`).join(""),
  json: { revision, kvs: kvs.map(keyValueJson) },
  head: keyValueHead,
  rows: kvs.map(keyValueRow)
})

/** A change of keys: the revision after it, and how many keys went. */
export const changed = (revision: number, deleted: Option.Option<number>): Answer => ({
  simple: Option.match(deleted, { onNone: () => "OK\n", onSome: (count) => `${count}\n` }),
  json: { revision, ...(Option.isSome(deleted) && { deleted: deleted.value }) },
  head: Option.isSome(deleted) ? ["revision", "deleted"] : ["revision"],
  rows: [[String(revision), ...Option.match(deleted, { onNone: () => [], onSome: (count) => [String(count)] })]]
})

const memberHead = ["id", "name", "peer address", "client address", "role", "priority", "leader"]

const memberRow = (member: Admin.MemberView): ReadonlyArray<string> => [
  member.id,
  member.name,
  member.peerAddress,
  member.clientAddress,
  member.role,
  String(member.priority),
  String(member.isLeader)
]

const memberJson = (member: Admin.MemberView) => ({
  id: member.id,
  name: member.name,
  peerAddress: member.peerAddress,
  clientAddress: member.clientAddress,
  role: member.role,
  autoPromote: member.autoPromote,
  priority: member.priority,
  isLeader: member.isLeader
})

const memberLine = ({ clientAddress, id, isLeader, name, peerAddress, role }: Admin.MemberView): string =>
  `${[id, name, peerAddress, clientAddress, role, ...(isLeader ? ["leader"] : [])].join("\t")}\n`

export const members = (list: Admin.MemberListView): Answer => ({
  simple: list.members.map(memberLine).join(""),
  json: { members: list.members.map(memberJson), leader: Option.getOrNull(list.leader), isJoint: list.isJoint },
  head: memberHead,
  rows: list.members.map(memberRow)
})

/** One member, and what happened to it in words. */
export const member = (view: Admin.MemberView, sentence: string): Answer => ({
  simple: `${sentence}\n`,
  json: memberJson(view),
  head: memberHead,
  rows: [memberRow(view)]
})

export const settings = (view: Admin.SettingsView): Answer => {
  const rows = [
    ["leader-leases", view.leaderLeases ? "on" : "off"],
    ["dead-members", view.deadMembers],
    ["dead-member-millis", String(view.deadMemberMillis)]
  ]
  return {
    simple: rows.map((row) => `${row.join("\t")}\n`).join(""),
    json: {
      leaderLeases: view.leaderLeases,
      deadMembers: view.deadMembers,
      deadMemberMillis: view.deadMemberMillis
    },
    head: ["setting", "value"],
    rows
  }
}

/** How a member is, or why it did not say. */
export interface Health {
  readonly endpoint: string
  readonly status: Admin.StatusView | { readonly error: string }
}

const lag = (status: Admin.StatusView): string => String(status.lastIndex - status.appliedIndex)

const healthRow = ({ endpoint, status }: Health): ReadonlyArray<string> =>
  "error" in status
    ? [endpoint, "", "", status.error, "", "", "", "", "", ""]
    : [
      endpoint,
      status.name,
      status.id,
      Option.match(status.fenced, { onNone: () => status.role.toLowerCase(), onSome: (why) => `fenced: ${why}` }),
      String(status.term),
      status.leaderName,
      `${status.voters}/${status.members}`,
      String(status.copies),
      String(status.commitIndex),
      lag(status)
    ]

const healthJson = ({ endpoint, status }: Health) =>
  "error" in status
    ? { endpoint, error: status.error }
    : {
      endpoint,
      id: status.id,
      name: status.name,
      version: status.version,
      clientAddress: status.clientAddress,
      peerAddress: status.peerAddress,
      role: status.role,
      term: status.term,
      leader: Option.getOrNull(status.leader),
      leaderName: status.leaderName,
      commitIndex: status.commitIndex,
      appliedIndex: status.appliedIndex,
      lastIndex: status.lastIndex,
      previousIndex: status.previousIndex,
      members: status.members,
      voters: status.voters,
      copiesAcknowledged: status.copies,
      fenced: Option.getOrNull(status.fenced),
      peers: status.peers.map(({ active, id, matchIndex, name }) => ({ id, name, matchIndex, active }))
    }

const healthLine = (one: Health): string => {
  const { endpoint, status } = one
  const columns = "error" in status
    ? [endpoint, status.error]
    : [
      endpoint,
      status.name,
      healthRow(one)[3],
      `term ${status.term}`,
      `leader ${status.leaderName || "unknown"}`,
      `commit ${status.commitIndex}`,
      `copies ${status.copies}`
    ]
  return `${columns.join("\t")}\n`
}

export const health = (all: ReadonlyArray<Health>): Answer => ({
  simple: all.map(healthLine).join(""),
  json: all.map(healthJson),
  head: ["endpoint", "name", "id", "role", "term", "leader", "voters/members", "copies", "commit", "lag"],
  rows: all.map(healthRow)
})
