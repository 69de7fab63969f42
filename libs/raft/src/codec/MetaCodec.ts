/**
 * Layout of the `head` that raft hands to the state machine with each applied batch: version u8, applied index u64, applied term u64, index of the configuration
 * u64, configuration, whether a group of a client session goes on behind the applied index u8, and if so: session index and term, first index and term of
 * the group u64 each, and its runs as in a stamp. The records of sessions are in `SessionCodec`.
 */
import type { Configuration } from "../core/Configuration.ts"
import type { LogIndex, Term } from "../core/Entry.ts"
import type { OpenGroup } from "../Sessions.ts"
import { Malformed, Reader, Writer } from "./Bytes.ts"
import * as ConfigurationCodec from "./ConfigurationCodec.ts"
import * as SessionCodec from "./SessionCodec.ts"

const version = 1

export interface Head {
  readonly index: LogIndex
  readonly term: Term
  readonly configurationIndex: LogIndex
  readonly configuration: Configuration
  /** Entries behind the applied index that belong to a session's group, as an entry at or before it says. */
  readonly group: OpenGroup | undefined
}

export const encodeHead = (head: Head): Uint8Array => {
  const writer = new Writer(256).uint8(version).uint64(head.index).uint64(head.term).uint64(head.configurationIndex)
  ConfigurationCodec.write(writer, head.configuration).uint8(head.group === undefined ? 0 : 1)
  if (head.group !== undefined) {
    const { firstIndex, runs, session, term } = head.group
    writer.uint64(session.index).uint64(session.term).uint64(firstIndex).uint64(term)
    SessionCodec.writeRuns(writer, runs)
  }
  return writer.finish()
}

/** Throws `Malformed`. */
export const decodeHead = (bytes: Uint8Array): Head => {
  const reader = new Reader(bytes)
  expectVersion(reader)
  const head: Head = {
    index: reader.uint64(),
    term: reader.uint64(),
    configurationIndex: reader.uint64(),
    configuration: ConfigurationCodec.read(reader),
    group: reader.boolean() ? readGroup(reader) : undefined
  }
  reader.end()
  return head
}

const readGroup = (reader: Reader): OpenGroup => ({
  session: { index: reader.uint64(), term: reader.uint64() },
  firstIndex: reader.uint64(),
  term: reader.uint64(),
  runs: SessionCodec.readRuns(reader)
})

/** Whether this program knows the version that the bytes are of. */
export const isKnown = (bytes: Uint8Array): boolean => bytes[0] === version

const expectVersion = (reader: Reader): void => {
  const found = reader.uint8()
  if (found !== version) throw new Malformed(`raft state of version ${found}; this program knows version ${version}`)
}
