/**
 * Layout of the messages between members: a tag byte, then the fields, big-endian. Tags are never reused.
 *
 * An append ends with its entries, each as length u32 and the bytes of `Entry`; the entries are encoded apart from the fields before them, so that
 * one block serves all peers.
 */
import { Schema } from "effect"
import { EntryKind } from "../core/Entry.ts"
import type { Append } from "../core/Message.ts"
import * as Entry from "../Entry.ts"
import type { ChangeAnswer, ChangeRequest, PeerMessage } from "../PeerMessage.ts"
import type { Answer, Purpose } from "../Proposals.ts"
import { RaftError, Reason } from "../RaftError.ts"
import { countOf } from "../Session.ts"
import { Malformed, Reader, Writer } from "./Bytes.ts"
import * as ConfigurationCodec from "./ConfigurationCodec.ts"
import * as SessionCodec from "./SessionCodec.ts"

const Tag = {
  VoteRequest: 1,
  VoteReply: 2,
  Append: 3,
  AppendReply: 4,
  Heartbeat: 5,
  HeartbeatReply: 6,
  ReadIndex: 7,
  ReadIndexReply: 8,
  TimeoutNow: 9,
  SnapshotOffer: 10,
  Forward: 16,
  ForwardDone: 17,
  ForwardFailed: 18,
  ChangeRequest: 19,
  ChangeAnswer: 20,
  SnapshotChunk: 21,
  SnapshotProgress: 22
} as const

const appendHeadBytes = 37

const snapshotStates = ["receiving", "installed", "refused"] as const

/** Encodes any message but `Append`, for which see `encodeAppend`. */
export const encode = (message: Exclude<PeerMessage, Append>): Uint8Array => {
  const writer = new Writer().uint8(Tag[message._tag])
  switch (message._tag) {
    case "VoteRequest":
      writer.uint64(message.term).uint64(message.lastIndex).uint64(message.lastTerm)
      return writer.uint8(message.preVote ? 1 : 0).uint8(message.transfer ? 1 : 0).finish()
    case "VoteReply":
      return writer.uint64(message.term).uint8(message.preVote ? 1 : 0).uint8(message.granted ? 1 : 0).finish()
    case "AppendReply":
      writer.uint64(message.term).uint8(message.success ? 1 : 0).uint64(message.index)
      return writer.uint64(message.hintIndex).uint64(message.hintTerm).finish()
    case "Heartbeat":
      return writer.uint64(message.term).uint64(message.commit).uint64(message.round).finish()
    case "HeartbeatReply":
      return writer.uint64(message.term).uint64(message.round).finish()
    case "ReadIndex":
      return writer.uint64(message.term).uint64(message.id).finish()
    case "ReadIndexReply":
      return writer.uint64(message.term).uint64(message.id).uint64(message.index + 1).finish()
    case "TimeoutNow":
      return writer.uint64(message.term).finish()
    case "SnapshotOffer":
      return writer.uint64(message.term).uint64(message.snapshot).uint64(message.index).uint64(message.indexTerm)
        .finish()
    case "Forward":
      writer.uint64(message.id).uint32(message.timeoutMillis)
      return writeBlobs(writePurpose(writer, message.purpose), message.commands).finish()
    case "ForwardDone":
      return writeAnswers(writer.uint64(message.id), message.results).finish()
    case "ForwardFailed":
      return writer.uint64(message.id).string(message.reason).string(message.message).finish()
    case "ChangeRequest":
      writer.uint64(message.id).uint32(message.timeoutMillis)
      return writer.string(JSON.stringify(message.wish)).finish()
    case "ChangeAnswer":
      return writer.uint64(message.id).string(message.refusal ?? "").memberId(message.leader).finish()
    case "SnapshotChunk":
      writer.uint64(message.snapshot).uint32(message.sequence).uint8(message.last ? 1 : 0).uint32(message.checksum)
      return writer.blob(message.data).finish()
    case "SnapshotProgress":
      writer.uint64(message.snapshot).uint32(message.next)
      return writer.uint8(snapshotStates.indexOf(message.state)).finish()
  }
}

/** The fields of an append; the entries follow in a block of their own. */
export const encodeAppend = (append: Omit<Append, "_tag" | "entries"> & { readonly count: number }): Uint8Array =>
  new Writer(appendHeadBytes).uint8(Tag.Append).uint64(append.term).uint64(append.previousIndex)
    .uint64(append.previousTerm).uint64(append.commit).uint32(append.count).finish()

/** The entries of an append, as they follow its fields. */
export const encodeEntries = (entries: ReadonlyArray<Entry.Entry>): Uint8Array => {
  let size = 0
  for (const entry of entries) size += 4 + Entry.encodedBytes(entry)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  let offset = 0
  for (const entry of entries) {
    view.setUint32(offset, Entry.encodedBytes(entry))
    offset = Entry.encodeInto(bytes, view, offset + 4, entry)
  }
  return bytes
}

/** The same for a witness, which needs to know that there is an entry, and of its payload only who takes part. */
export const encodeBareEntries = (entries: ReadonlyArray<Entry.Entry>): Uint8Array => encodeEntries(entries.map(bare))

const bare = (entry: Entry.Entry): Entry.Entry =>
  entry.bytes === 0 || entry.kind === EntryKind.Configuration
    ? entry
    : Entry.make(entry.index, entry.term, entry.kind, noPayload)

const noPayload = new Uint8Array(0)

/** Throws `Malformed` for anything that is not a whole and sensible message. */
export const decode = (bytes: Uint8Array): PeerMessage => {
  const reader = new Reader(bytes)
  const message = decodeTagged(reader)
  reader.end()
  return message
}

const decodeTagged = (reader: Reader): PeerMessage => {
  const tag = reader.uint8()
  switch (tag) {
    case Tag.VoteRequest:
      return {
        _tag: "VoteRequest",
        term: reader.uint64(),
        lastIndex: reader.uint64(),
        lastTerm: reader.uint64(),
        preVote: reader.boolean(),
        transfer: reader.boolean()
      }
    case Tag.VoteReply:
      return { _tag: "VoteReply", term: reader.uint64(), preVote: reader.boolean(), granted: reader.boolean() }
    case Tag.Append:
      return decodeAppend(reader)
    case Tag.AppendReply:
      return {
        _tag: "AppendReply",
        term: reader.uint64(),
        success: reader.boolean(),
        index: reader.uint64(),
        hintIndex: reader.uint64(),
        hintTerm: reader.uint64()
      }
    case Tag.Heartbeat:
      return { _tag: "Heartbeat", term: reader.uint64(), commit: reader.uint64(), round: reader.uint64() }
    case Tag.HeartbeatReply:
      return { _tag: "HeartbeatReply", term: reader.uint64(), round: reader.uint64() }
    case Tag.ReadIndex:
      return { _tag: "ReadIndex", term: reader.uint64(), id: reader.uint64() }
    case Tag.ReadIndexReply:
      return { _tag: "ReadIndexReply", term: reader.uint64(), id: reader.uint64(), index: reader.uint64() - 1 }
    case Tag.TimeoutNow:
      return { _tag: "TimeoutNow", term: reader.uint64() }
    case Tag.SnapshotOffer:
      return {
        _tag: "SnapshotOffer",
        term: reader.uint64(),
        snapshot: reader.uint64(),
        index: reader.uint64(),
        indexTerm: reader.uint64()
      }
    case Tag.Forward:
      return readForward(reader)
    case Tag.ForwardDone:
      return { _tag: "ForwardDone", id: reader.uint64(), results: readAnswers(reader) }
    case Tag.ForwardFailed:
      return {
        _tag: "ForwardFailed",
        id: reader.uint64(),
        reason: checked(isReason, reader.string()),
        message: reader.string()
      }
    case Tag.ChangeRequest:
      return {
        _tag: "ChangeRequest",
        id: reader.uint64(),
        timeoutMillis: reader.uint32(),
        wish: parseWish(reader.string())
      }
    case Tag.ChangeAnswer: {
      const id = reader.uint64()
      const refusal = reader.string()
      return {
        _tag: "ChangeAnswer",
        id,
        refusal: refusal === "" ? undefined : checked(isRefusal, refusal),
        leader: reader.memberId()
      }
    }
    case Tag.SnapshotChunk:
      return {
        _tag: "SnapshotChunk",
        snapshot: reader.uint64(),
        sequence: reader.uint32(),
        last: reader.boolean(),
        checksum: reader.uint32(),
        data: reader.blob()
      }
    case Tag.SnapshotProgress: {
      const snapshot = reader.uint64()
      const next = reader.uint32()
      const state = snapshotStates[reader.uint8()]
      if (state === undefined) throw new Malformed("an unknown state of a snapshot transfer")
      return { _tag: "SnapshotProgress", snapshot, next, state }
    }
    default:
      throw new Malformed(`an unknown kind of message, ${tag}`)
  }
}

const readForward = (reader: Reader): PeerMessage => {
  const id = reader.uint64()
  const timeoutMillis = reader.uint32()
  const purpose = readPurpose(reader)
  const commands = readBlobs(reader)
  const expected = purpose === "OpenSession" ? 1 : typeof purpose === "string" ? commands.length : countOf(purpose.runs)
  if (commands.length === 0 || commands.length !== expected) throw new Malformed("a group of the wrong size")
  return { _tag: "Forward", id, timeoutMillis, purpose, commands }
}

const writePurpose = (writer: Writer, purpose: Purpose): Writer => {
  if (purpose === "Commands") return writer.uint8(0)
  if (purpose === "OpenSession") return writer.uint8(1)
  return SessionCodec.writeStamp(writer.uint8(2), purpose)
}

const readPurpose = (reader: Reader): Purpose => {
  const purpose = reader.uint8()
  if (purpose > 2) throw new Malformed(`a group for an unknown purpose, ${purpose}`)
  return purpose === 0 ? "Commands" : purpose === 1 ? "OpenSession" : SessionCodec.readStamp(reader)
}

const decodeAppend = (reader: Reader): Append => {
  const term = reader.uint64()
  const previousIndex = reader.uint64()
  const previousTerm = reader.uint64()
  const commit = reader.uint64()
  const count = reader.count(4 + Entry.overheadBytes)
  const entries = new Array<Entry.Entry>(count)
  const { bytes } = reader
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let lastTerm = previousTerm
  for (let position = 0; position < count; position++) {
    const length = reader.uint32()
    if (length < Entry.overheadBytes || length > reader.remaining) throw new Malformed("an entry does not fit")
    const entry = decodeEntry(bytes, view, reader.offset, reader.offset + length)
    if (entry.index !== previousIndex + 1 + position) throw new Malformed("the entries are not contiguous")
    if (entry.term < lastTerm || entry.term > term) throw new Malformed("the terms of the entries are out of order")
    lastTerm = entry.term
    entries[position] = entry
    reader.offset += length
  }
  return { _tag: "Append", term, previousIndex, previousTerm, commit, entries }
}

const decodeEntry = (bytes: Uint8Array, view: DataView, start: number, end: number): Entry.Entry => {
  const entry = Entry.decode(bytes, view, start, end)
  return entry.kind === EntryKind.Configuration ? withConfiguration(entry) : entry
}

/** An entry of kind `Configuration` with its payload read. Throws `Malformed`. */
export const withConfiguration = (entry: Entry.Entry): Entry.Entry => ({
  ...entry,
  configuration: ConfigurationCodec.decode(entry.data)
})

const writeBlobs = (writer: Writer, blobs: ReadonlyArray<Uint8Array>): Writer => {
  writer.uint32(blobs.length)
  for (const blob of blobs) writer.blob(blob)
  return writer
}

const readBlobs = (reader: Reader): ReadonlyArray<Uint8Array> => {
  const blobs: Array<Uint8Array> = []
  for (let left = reader.count(4); left > 0; left--) blobs.push(reader.blob())
  return blobs
}

/** In place of a length, that there is no result: reason and message follow. */
const refused = 0xffff_ffff

const writeAnswers = (writer: Writer, answers: ReadonlyArray<Answer>): Writer => {
  writer.uint32(answers.length)
  for (const answer of answers) {
    if (answer instanceof RaftError) writer.uint32(refused).string(answer.reason).string(answer.message)
    else writer.blob(answer)
  }
  return writer
}

/** Bytes that an answer takes in a `ForwardDone`. Reasons and messages of ours are ASCII. */
export const answerBytes = (answer: Answer): number =>
  answer instanceof RaftError ? 12 + answer.reason.length + answer.message.length : 4 + answer.length

const readAnswers = (reader: Reader): ReadonlyArray<Answer> => {
  const answers: Array<Answer> = []
  let last: RaftError | undefined
  for (let left = reader.count(4); left > 0; left--) {
    const length = reader.uint32()
    if (length === refused) {
      const reason = checked(isReason, reader.string())
      const message = reader.string()
      // a group may be refused command by command
      if (last?.reason !== reason || last.message !== message) last = new RaftError({ reason, message })
      answers.push(last)
    } else {
      reader.offset -= 4
      answers.push(reader.blob())
    }
  }
  return answers
}

const Refusal = Schema.Literals([
  "Pending",
  "NotReady",
  "NoQuorum",
  "LastVoter",
  "NotFound",
  "Conflict",
  "Invalid",
  "NotVoter",
  "NoLeader",
  "Unknown",
  "Timeout"
])
const MemberSchema = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  peerAddress: Schema.String,
  clientAddress: Schema.String,
  autoPromote: Schema.Boolean,
  witness: Schema.Boolean,
  priority: Schema.Number,
  replaces: Schema.optionalKey(Schema.String)
})
const Wish = Schema.Union([
  Schema.TaggedStruct("Join", { member: MemberSchema }),
  Schema.TaggedStruct("Promote", { id: Schema.String, force: Schema.Boolean }),
  Schema.TaggedStruct("Leave", { id: Schema.String, force: Schema.Boolean }),
  Schema.TaggedStruct("Update", {
    id: Schema.String,
    peerAddress: Schema.String,
    clientAddress: Schema.String,
    priority: Schema.optionalKey(Schema.Number)
  }),
  Schema.TaggedStruct("Configure", {
    settings: Schema.Struct({
      leaderLeases: Schema.optionalKey(Schema.Boolean),
      deadMembers: Schema.optionalKey(Schema.Literals(["off", "warn", "replace"])),
      deadMemberMillis: Schema.optionalKey(Schema.Number)
    })
  }),
  Schema.TaggedStruct("Transfer", { to: Schema.String })
])
const isReason = Schema.is(Reason)
const isRefusal: (value: unknown) => value is NonNullable<ChangeAnswer["refusal"]> = Schema.is(Refusal)
const isWish: (value: unknown) => value is ChangeRequest["wish"] = Schema.is(Wish)

const checked = <A>(is: (value: unknown) => value is A, value: unknown): A => {
  if (!is(value)) throw new Malformed("a value that is not one of the known ones")
  return value
}

const parseWish = (text: string): ChangeRequest["wish"] => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Malformed("a change that is not JSON")
  }
  return checked(isWish, value)
}
