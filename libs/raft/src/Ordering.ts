/** Turns the numbered writes of the core into entries with their payloads, and orders them from the log's writer. */
import * as ConfigurationCodec from "./codec/ConfigurationCodec.ts"
import * as SessionCodec from "./codec/SessionCodec.ts"
import { EntryKind } from "./core/Entry.ts"
import type { LogIndex, Term } from "./core/Entry.ts"
import type { Outputs } from "./core/Output.ts"
import * as Entry from "./Entry.ts"
import type { LogWrite } from "./LogStore.ts"
import type { Member } from "./Member.ts"
import type { Purpose } from "./Proposals.ts"

export const orderWrites = (member: Member, out: Outputs, time: number): void => {
  const { cache, core, logWriter, proposals } = member
  const writes: Array<LogWrite> = []
  let fresh: Array<Entry.Entry> = []
  const close = () => {
    if (fresh.length === 0) return
    cache.append(fresh)
    for (const entry of fresh) member.appendedBytes += entry.bytes
    writes.push({ _tag: "Append", entries: fresh })
    fresh = []
  }
  for (const write of out.writes) {
    switch (write._tag) {
      case "Proposed": {
        const { firstIndex, term } = write
        const { arrivedAt, commands, purpose } = proposals.appendedAt(write.group, firstIndex, term)
        member.stages.appended(firstIndex + commands.length - 1, arrivedAt, time)
        fresh.push(firstOf(firstIndex, term, commands[0]!, purpose))
        for (let i = 1; i < commands.length; i++) {
          fresh.push(Entry.make(firstIndex + i, term, EntryKind.Command, commands[i]!))
        }
        break
      }
      case "Own": {
        const { configuration, index, term } = write
        fresh.push(
          configuration === undefined
            ? Entry.make(index, term, EntryKind.Noop, new Uint8Array(0))
            : {
              ...Entry.make(index, term, EntryKind.Configuration, ConfigurationCodec.encode(configuration)),
              configuration
            }
        )
        break
      }
      case "Received": {
        const received = write.entries as ReadonlyArray<Entry.Entry>
        close()
        cache.truncate(received[0]!.index)
        cache.append(received)
        // a witness' log grows by what is left of an entry without its payload
        for (const entry of received) member.appendedBytes += core.witness ? Entry.encodedBytes(entry) : entry.bytes
        writes.push({ _tag: "Append", entries: received })
        break
      }
      case "HardState":
        close()
        writes.push({ _tag: "HardState", hardState: { term: write.term, vote: write.vote } })
        break
      case "Reset":
        close()
        cache.clear()
        proposals.skipped(write.index)
        member.stages.skipped(write.index)
        writes.push(write)
    }
  }
  close()
  logWriter.orderUnsafe(writes, core.writeNumber)
}

/** The first entry of a group says what the group is for. */
const firstOf = (index: LogIndex, term: Term, command: Uint8Array, purpose: Purpose): Entry.Entry => {
  if (purpose === "Commands") return Entry.make(index, term, EntryKind.Command, command)
  if (purpose === "OpenSession") return Entry.make(index, term, EntryKind.SessionOpen, command)
  return Entry.make(index, term, EntryKind.SessionCommand, SessionCodec.encodeFirst(purpose, command))
}
