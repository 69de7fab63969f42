/**
 * Layouts that belong to client sessions.
 *
 * - Stamp: index and term of the session u64 each, lowest unanswered sequence number u64, runs u32, per run its first sequence number u64 and its count u32. It
 *   stands before the command in an entry of kind `SessionCommand`, which is the first of its group.
 * - Record, part of raft's state: key = index and term of the session u64 each, slot u32; value = version u8, index of the last use u64, lowest unanswered u64, runs
 *   as above, then per command its answer as length u32 and bytes; a length of 2^32 - 1 says that the answer was too large to be kept.
 */
import * as Session from "../Session.ts"
import { Malformed, Reader, Writer } from "./Bytes.ts"

const version = 1
const stampHeadBytes = 28
/** What a run takes. */
export const runBytes = 12
const notKept = 0xffff_ffff

export const stampBytes = (stamp: Session.Stamp): number => stampHeadBytes + stamp.runs.length * runBytes

export const writeStamp = (writer: Writer, { lowestUnanswered, runs, session }: Session.Stamp): Writer =>
  writeRuns(writer.uint64(session.index).uint64(session.term).uint64(lowestUnanswered), runs)

/** Throws `Malformed`. */
export const readStamp = (reader: Reader): Session.Stamp => ({
  session: { index: reader.uint64(), term: reader.uint64() },
  lowestUnanswered: reader.uint64(),
  runs: readRuns(reader)
})

/** The payload of the first entry of a group: stamp, then command. */
export const encodeFirst = (stamp: Session.Stamp, command: Uint8Array): Uint8Array =>
  writeStamp(new Writer(stampBytes(stamp) + command.length), stamp).raw(command).finish()

/** Throws `Malformed`. The command is a view. */
export const decodeFirst = (bytes: Uint8Array): { readonly stamp: Session.Stamp; readonly command: Uint8Array } => {
  const reader = new Reader(bytes)
  const stamp = readStamp(reader)
  if (!Session.isSound(stamp)) throw new Malformed("the sequence numbers of a session go beyond 2^53 - 1")
  return { stamp, command: bytes.subarray(reader.offset) }
}

/** Where the command begins in the payload of the first entry of a group, without reading the stamp; at its end, if that does not fit in. */
export const commandStart = (bytes: Uint8Array): number => {
  let runs = 0
  for (let at = stampHeadBytes - 4; at < stampHeadBytes; at++) runs = runs * 256 + (bytes[at] ?? 0)
  return Math.min(stampHeadBytes + runs * runBytes, bytes.length)
}

/** Commands in the group of an entry that `decodeFirst` refuses, as far as its layout can be followed. */
export const countOfRefused = (bytes: Uint8Array): number => {
  if (bytes.length < stampHeadBytes) return 1
  const reader = new Reader(bytes, stampHeadBytes - 4)
  let count = 0
  for (let left = reader.uint32(); left > 0 && reader.remaining >= runBytes; left--) {
    reader.offset += runBytes - 4
    count += reader.uint32()
  }
  return Math.min(Math.max(count, 1), 0xffff_ffff)
}

export const encodeId = ({ index, term }: Session.SessionId): Uint8Array =>
  new Writer(16).uint64(index).uint64(term).finish()

/** Throws `Malformed`. */
export const decodeId = (bytes: Uint8Array): Session.SessionId => {
  const reader = new Reader(bytes)
  const id = { index: reader.uint64(), term: reader.uint64() }
  reader.end()
  return id
}

export const encodeRecordKey = ({ index, term }: Session.SessionId, slot: number): Uint8Array =>
  new Writer(20).uint64(index).uint64(term).uint32(slot).finish()

/** Throws `Malformed`. */
export const decodeRecordKey = (bytes: Uint8Array): { readonly session: Session.SessionId; readonly slot: number } => {
  const reader = new Reader(bytes)
  const session = { index: reader.uint64(), term: reader.uint64() }
  const slot = reader.uint32()
  reader.end()
  return { session, slot }
}

export interface Record {
  readonly usedIndex: number
  readonly lowestUnanswered: number
  readonly runs: ReadonlyArray<Session.Run>
}

/** What an answer takes in a record. */
export const answerBytes = (answer: Uint8Array | undefined): number => 4 + (answer?.length ?? 0)

/** Length of a record. */
export const recordBytes = (
  runs: ReadonlyArray<Session.Run>,
  answers: ReadonlyArray<Uint8Array | undefined>
): number => {
  let bytes = 17 + 4 + runs.length * runBytes
  for (let i = 0; i < answers.length; i++) bytes += answerBytes(answers[i])
  return bytes
}

/** `answers` are in the order of the runs; `undefined` for one that is not kept. */
export const encodeRecord = (record: Record, answers: ReadonlyArray<Uint8Array | undefined>): Uint8Array => {
  const writer = new Writer(recordBytes(record.runs, answers)).uint8(version).uint64(record.usedIndex).uint64(
    record.lowestUnanswered
  )
  writeRuns(writer, record.runs)
  for (let i = 0; i < answers.length; i++) {
    const answer = answers[i]
    if (answer === undefined) writer.uint32(notKept)
    else writer.blob(answer)
  }
  return writer.finish()
}

/** Whether this program knows the version that the record is of. */
export const isKnown = (bytes: Uint8Array): boolean => bytes[0] === version

/** What a record says but for its answers. Throws `Malformed`. */
export const decodeRecord = (bytes: Uint8Array): Record => readRecord(new Reader(bytes))

/** Where each answer of a record stands, in the order of the runs. Throws `Malformed`. */
export const answerOffsets = (bytes: Uint8Array): Uint32Array => {
  const reader = new Reader(bytes)
  const { runs } = readRecord(reader)
  const offsets = new Uint32Array(Session.countOf(runs))
  for (let position = 0; position < offsets.length; position++) {
    offsets[position] = reader.offset
    readAnswer(reader)
  }
  return offsets
}

/** The answer that stands at `offset`; `undefined` if it was not kept. Throws `Malformed`. */
export const answerAt = (bytes: Uint8Array, offset: number): Uint8Array | undefined => {
  const reader = new Reader(bytes)
  reader.offset = offset
  return readAnswer(reader)
}

const readRecord = (reader: Reader): Record => {
  const found = reader.uint8()
  if (found !== version) throw new Malformed(`a session of version ${found}; this program knows version ${version}`)
  return { usedIndex: reader.uint64(), lowestUnanswered: reader.uint64(), runs: readRuns(reader) }
}

const readAnswer = (reader: Reader): Uint8Array | undefined => {
  const length = reader.uint32()
  if (length === notKept) return undefined
  reader.offset -= 4
  return reader.blob()
}

export const writeRuns = (writer: Writer, runs: ReadonlyArray<Session.Run>): Writer => {
  writer.uint32(runs.length)
  for (const { count, sequence } of runs) writer.uint64(sequence).uint32(count)
  return writer
}

/** Throws `Malformed`. */
export const readRuns = (reader: Reader): ReadonlyArray<Session.Run> => {
  const runs: Array<Session.Run> = []
  for (let left = reader.count(runBytes); left > 0; left--) {
    runs.push({ sequence: reader.uint64(), count: reader.uint32() })
  }
  return runs
}
