/**
 * Layout of raft's own state, which the state machine keeps: the `head` of each applied batch, and a record per client session.
 *
 * Head: version u8, applied index u64, applied term u64, index of the configuration u64, configuration, number of sessions u32.
 * Session record: key = client id u64; value = version u8, index of last use u64, lowest unanswered sequence number u64, then per kept answer its
 * sequence number u64 and the answer.
 */
import type { Configuration } from "../core/Configuration.ts"
import type { LogIndex, Term } from "../core/Entry.ts"
import { Malformed, Reader, Writer } from "./Bytes.ts"
import * as ConfigurationCodec from "./ConfigurationCodec.ts"

const version = 1

export interface Head {
  readonly index: LogIndex
  readonly term: Term
  readonly configurationIndex: LogIndex
  readonly configuration: Configuration
  readonly sessions: number
}

export interface Session {
  /** Log index of the last command of this session; the least recently used one is evicted first. */
  readonly usedIndex: LogIndex
  /** The client has the answers to everything below this sequence number. */
  readonly lowestUnanswered: number
  readonly answers: ReadonlyArray<{ readonly sequence: number; readonly answer: Uint8Array }>
}

export const encodeHead = (head: Head): Uint8Array => {
  const writer = new Writer(256).uint8(version).uint64(head.index).uint64(head.term).uint64(head.configurationIndex)
  return ConfigurationCodec.write(writer, head.configuration).uint32(head.sessions).finish()
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
    sessions: reader.uint32()
  }
  reader.end()
  return head
}

export const encodeSession = (session: Session): Uint8Array => {
  const writer = new Writer(128).uint8(version).uint64(session.usedIndex).uint64(session.lowestUnanswered)
  writer.uint32(session.answers.length)
  for (const { answer, sequence } of session.answers) writer.uint64(sequence).blob(answer)
  return writer.finish()
}

/** Throws `Malformed`. */
export const decodeSession = (bytes: Uint8Array): Session => {
  const reader = new Reader(bytes)
  expectVersion(reader)
  const usedIndex = reader.uint64()
  const lowestUnanswered = reader.uint64()
  const answers: Array<{ sequence: number; answer: Uint8Array }> = []
  for (let left = reader.count(12); left > 0; left--) answers.push({ sequence: reader.uint64(), answer: reader.blob() })
  reader.end()
  return { usedIndex, lowestUnanswered, answers }
}

const expectVersion = (reader: Reader): void => {
  const found = reader.uint8()
  if (found !== version) throw new Malformed(`raft state of version ${found}; this program knows version ${version}`)
}
