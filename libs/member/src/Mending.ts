/** The missing part of a damaged log, from the other members: committed entries, asked for in pieces. */
import { Entry, EntryKind } from "@dkv/raft"
import type { LogRepair } from "@dkv/storage"
import type { Control } from "@dkv/transport"
import { Effect, Option } from "effect"
import * as ControlMessage from "./ControlMessage.ts"
import * as Limits from "./Limits.ts"
import * as Peers from "./Peers.ts"

type Entries = ReadonlyArray<Entry.Entry>
type Position = LogRepair.Position

/** Asks the members at `addresses`, one after the other, until one has all the entries with the terms that this member had at both ends. */
export const entriesFrom = (clusterId: string, addresses: ReadonlyArray<string>) =>
  Effect.fnUntraced(function*(before: Position, behind: Position): Effect.fn.Return<
    Option.Option<Entries>,
    never,
    Control.Control
  > {
    for (const address of addresses) {
      const entries = yield* fetchAll(clusterId, address, before, behind)
      if (Option.isSome(entries)) return entries
    }
    return Option.none()
  })

const fetchAll = Effect.fnUntraced(function*(clusterId: string, address: string, before: Position, behind: Position) {
  const entries: Array<Entry.Entry> = []
  let bytes = 0
  for (let from = Math.max(before.index, 1); from <= behind.index;) {
    const request = { _tag: "Fetch", version: ControlMessage.version, clusterId, from, to: behind.index } as const
    const answer = yield* Effect.option(Peers.ask(address, request, Limits.joinTimeoutMillis))
    if (Option.isNone(answer) || answer.value._tag !== "Fetched") return Option.none()
    for (const { data, index, kind, term } of answer.value.entries) {
      if (index !== from || !isKind(kind)) return Option.none()
      if (index === before.index && term !== before.term) return Option.none()
      bytes += data.length
      entries.push(Entry.make(index, term, kind, data))
      from++
    }
    if (answer.value.entries.length === 0 || bytes > Limits.mendBytesMax) return Option.none()
  }
  return entries.at(-1)?.term === behind.term ? Option.some<Entries>(entries) : Option.none()
})

const kinds: ReadonlySet<number> = new Set(Object.values(EntryKind))

const isKind = (kind: number): kind is EntryKind => kinds.has(kind)
