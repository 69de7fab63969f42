/**
 * What a server sends on a batch connection: the results of one batch, in the order of its operations, or a notice about the connection itself.
 * Batches are answered in any order.
 *
 * Layout, big-endian, behind the frame's length: batch id u32, result count u16, then per result a tag u8 and
 *
 * - 1 `Put`: revision u64
 * - 2 `Delete`: revision u64, deleted u32
 * - 3 `Compared`: revision u64, flags u8 (1 succeeded, 2 a key-value follows, 4 its value is not told and has no bytes here)
 * - 4 `Range`: revision u64, more u8, count u32, key-values
 * - 5 `Invalid`: reason u8, message length u16, message
 * - 6 `Failed`: reason u8, message length u16 (65535: as the one before), message
 *
 * A key-value is create revision, mod revision, version, lease (u64 each), key length u32, value length u32, key, value. A notice has batch id 0, code u8,
 * message length u16, message.
 */
import { Option } from "effect"
import * as Bytes from "./Bytes.ts"
import { lengthBytes } from "./Frame.ts"
import type { Violation } from "./Frame.ts"
import * as Limits from "./Limits.ts"
import { failureReasons, invalidReasons } from "./Operation.ts"
import type { Failed, FoundKey, KeyValue, Result } from "./Operation.ts"

export interface Reply {
  readonly _tag: "Reply"
  readonly id: number
  readonly results: ReadonlyArray<Result>
}

/**
 * - `Malformed`, `TooLarge`: the client broke the protocol; the server closes.
 * - `ShuttingDown`: what is outstanding will still be answered, nothing new is taken: go to another member.
 * - `Leading`, `NotLeading`: whether this member leads, told after the hello, whenever another member has become leader, and when it leads no more. One that does not lead passes writes on.
 * - `Stalled`: replies were not read, or a frame was not finished, for too long; the server closes.
 */
export const noticeCodes = ["Malformed", "TooLarge", "ShuttingDown", "Stalled", "Leading", "NotLeading"] as const

export interface Notice {
  readonly _tag: "Notice"
  readonly code: (typeof noticeCodes)[number]
  readonly message: string
}

const headBytes = 6
const keyValueHeadBytes = 40
const asBefore = 0xffff

/** Stands in for results that would push a reply over its limit. */
const answerTooLarge: Failed = {
  _tag: "Failed",
  reason: "AnswerTooLarge",
  message: "the answers of this batch are too large together: ask for this one in a smaller batch"
}

/** Results up to this size are never replaced: they carry no keys. */
const smallBytesMax = 14

/**
 * The whole frame, its length included. Results that carry keys and would take it beyond `bytesTarget` are replaced by `AnswerTooLarge`. That of a write that changed
 * something carries none, so such a write never looks as if it could be repeated.
 */
export const encode = (
  id: number,
  results: ReadonlyArray<Result>,
  bytesTarget: number = Limits.replyBytesTarget
): Uint8Array => {
  let length = lengthBytes + headBytes
  let cut: Array<Result> | undefined
  let before: Failed | undefined
  let beforeBytes: Uint8Array = Bytes.empty
  const messages: Array<Uint8Array> = []
  for (let i = 0; i < results.length; i++) {
    let result = results[i]!
    let size = resultBytes(result)
    if (size > smallBytesMax && length + size > bytesTarget) {
      cut ??= results.slice()
      cut[i] = result = answerTooLarge
      size = 0
    }
    if (size === 0) {
      // only messages are encoded in the sizing pass: they are rare, and their size is not known before
      if (result._tag === "Failed" && before !== undefined && sameFailure(before, result)) size = 4
      else {
        beforeBytes = Bytes.message((result as Failed).message)
        messages.push(beforeBytes)
        size = 4 + beforeBytes.length
      }
      before = result._tag === "Failed" ? result : undefined
    }
    length += size
  }
  const writer = new Bytes.Writer(length)
  writer.uint32(length - lengthBytes)
  writer.uint32(id)
  writer.uint16(results.length)
  encodeResults(writer, cut ?? results, messages)
  return writer.bytes
}

const sameFailure = (a: Failed, b: Failed): boolean => a === b || (a.reason === b.reason && a.message === b.message)

/** Size of a result, or 0 for one whose message has to be encoded first. */
const resultBytes = (result: Result): number => {
  switch (result._tag) {
    case "Put":
      return 9
    case "Delete":
      return 13
    case "Compared":
      return 10 + (Option.isSome(result.current) ? foundKeyBytes(result.current.value) : 0)
    case "Range": {
      let size = 14
      for (let i = 0; i < result.kvs.length; i++) size += keyValueBytes(result.kvs[i]!)
      return size
    }
    case "Invalid":
    case "Failed":
      return 0
  }
}

const keyValueBytes = (kv: KeyValue): number => keyValueHeadBytes + kv.key.length + kv.value.length

const foundKeyBytes = (found: FoundKey): number =>
  keyValueHeadBytes + found.key.length + (Option.isSome(found.value) ? found.value.value.length : 0)

const encodeResults = (
  writer: Bytes.Writer,
  results: ReadonlyArray<Result>,
  messages: ReadonlyArray<Uint8Array>
): void => {
  let next = 0
  let before: Failed | undefined
  for (let i = 0; i < results.length; i++) {
    const result = results[i]!
    switch (result._tag) {
      case "Put": {
        writer.uint8(1)
        writer.uint64(result.revision)
        break
      }
      case "Delete": {
        writer.uint8(2)
        writer.uint64(result.revision)
        writer.uint32(result.deleted)
        break
      }
      case "Compared": {
        writer.uint8(3)
        writer.uint64(result.revision)
        encodeFound(writer, result.succeeded ? 1 : 0, result.current)
        break
      }
      case "Range": {
        writer.uint8(4)
        writer.uint64(result.revision)
        writer.uint8(result.more ? 1 : 0)
        writer.uint32(result.kvs.length)
        for (let k = 0; k < result.kvs.length; k++) encodeKeyValue(writer, result.kvs[k]!, result.kvs[k]!.value)
        break
      }
      case "Invalid": {
        writer.uint8(5)
        writer.uint8(invalidReasons.indexOf(result.reason))
        encodeMessage(writer, messages[next++]!)
        before = undefined
        break
      }
      case "Failed": {
        writer.uint8(6)
        writer.uint8(failureReasons.indexOf(result.reason))
        if (before !== undefined && sameFailure(before, result)) writer.uint16(asBefore)
        else encodeMessage(writer, messages[next++]!)
        before = result
        break
      }
    }
  }
}

const encodeMessage = (writer: Bytes.Writer, message: Uint8Array): void => {
  writer.uint16(message.length)
  writer.put(message)
}

/** Flags, and what they say follows. */
const encodeFound = (writer: Bytes.Writer, flags: number, current: Option.Option<FoundKey>): void => {
  if (Option.isNone(current)) return writer.uint8(flags)
  const { value } = current.value
  writer.uint8(flags + (Option.isSome(value) ? 2 : 6))
  encodeKeyValue(writer, current.value, Option.isSome(value) ? value.value : Bytes.empty)
}

const encodeKeyValue = (writer: Bytes.Writer, kv: Omit<KeyValue, "value">, value: Uint8Array): void => {
  writer.uint64(kv.createRevision)
  writer.uint64(kv.modRevision)
  writer.uint64(kv.version)
  writer.uint64(kv.lease)
  writer.uint32(kv.key.length)
  writer.uint32(value.length)
  writer.put(kv.key)
  writer.put(value)
}

/** A notice as a whole frame. */
export const encodeNotice = (code: Notice["code"], message: string): Uint8Array => {
  const bytes = Bytes.message(message)
  const writer = new Bytes.Writer(lengthBytes + 7 + bytes.length)
  writer.uint32(7 + bytes.length)
  writer.uint32(0)
  writer.uint8(noticeCodes.indexOf(code))
  encodeMessage(writer, bytes)
  return writer.bytes
}

/** Reads one frame (without its length). Keys and values are views of it. Never throws. */
export const decode = (frame: Uint8Array): Reply | Notice | Violation => {
  const reader = new Bytes.Reader(frame)
  const id = reader.uint32()
  if (id === 0) {
    const code = noticeCodes[reader.uint8()]
    const message = Bytes.text(reader.take(reader.uint16()))
    if (reader.failed || code === undefined || reader.remaining > 0) return malformed("a notice that cannot be read")
    return { _tag: "Notice", code, message }
  }
  const count = reader.uint16()
  if (reader.failed || count * 4 > reader.remaining) {
    return malformed(`the reply to batch ${id} is shorter than it says`)
  }
  const results: Array<Result> = []
  let before: Failed | undefined
  for (let i = 0; i < count; i++) {
    const result = decodeResult(reader, before)
    if (result === undefined || reader.failed) {
      return malformed(`the reply to batch ${id} has a result ${i} that cannot be read`)
    }
    if (result._tag === "Failed") before = result
    else if (result._tag === "Invalid") before = undefined
    results.push(result)
  }
  if (reader.remaining > 0) return malformed(`the reply to batch ${id} has ${reader.remaining} bytes too many`)
  return { _tag: "Reply", id, results }
}

const decodeResult = (reader: Bytes.Reader, before: Failed | undefined): Result | undefined => {
  switch (reader.uint8()) {
    case 1:
      return { _tag: "Put", revision: reader.uint64() }
    case 2: {
      const revision = reader.uint64()
      return { _tag: "Delete", revision, deleted: reader.uint32() }
    }
    case 3: {
      const revision = reader.uint64()
      const flags = reader.uint8()
      const current = decodeFound(reader, flags & ~1)
      return current === undefined
        ? undefined
        : { _tag: "Compared", revision, succeeded: (flags & 1) === 1, current }
    }
    case 4: {
      const revision = reader.uint64()
      const more = reader.uint8() === 1
      const count = reader.uint32()
      if (count * keyValueHeadBytes > reader.remaining) return undefined
      const kvs: Array<KeyValue> = []
      for (let k = 0; k < count; k++) kvs.push(decodeKeyValue(reader))
      return { _tag: "Range", revision, kvs, more }
    }
    case 5: {
      const reason = invalidReasons[reader.uint8()]
      const message = Bytes.text(reader.take(reader.uint16()))
      return reason === undefined ? undefined : { _tag: "Invalid", reason, message }
    }
    case 6: {
      const reason = failureReasons[reader.uint8()]
      const length = reader.uint16()
      if (length === asBefore) return before?.reason === reason ? before : undefined
      const message = Bytes.text(reader.take(length))
      return reason === undefined ? undefined : { _tag: "Failed", reason, message }
    }
    default:
      return undefined
  }
}

/** Undefined for flags that say nothing that is known. */
const decodeFound = (reader: Bytes.Reader, flags: number): Option.Option<FoundKey> | undefined => {
  if (flags === 0) return Option.none()
  if (flags !== 2 && flags !== 6) return undefined
  const kv = decodeKeyValue(reader)
  if (flags === 2) return Option.some({ ...kv, value: Option.some(kv.value) })
  return kv.value.length === 0 ? Option.some({ ...kv, value: Option.none() }) : undefined
}

const decodeKeyValue = (reader: Bytes.Reader): KeyValue => {
  const createRevision = reader.uint64()
  const modRevision = reader.uint64()
  const version = reader.uint64()
  const lease = reader.uint64()
  const keyLength = reader.uint32()
  const valueLength = reader.uint32()
  const key = reader.take(keyLength)
  return { key, value: reader.take(valueLength), createRevision, modRevision, version, lease }
}

const malformed = (message: string): Violation => ({ code: "Malformed", message })
