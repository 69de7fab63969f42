/**
 * What applying a command gave, as bytes that raft carries back to the proposer.
 *
 * Layouts (integers big-endian):
 *
 * - 1 put: revision u64
 * - 2 deleted: revision u64, number of keys u32
 * - 3 compared and done: revision u64
 * - 4 compared, but no such key: revision u64
 * - 5 compared, but another one stood there: revision u64, mod, create revision and version u64 each, lease u64, key length u32, key, value rest
 * - 6 the same where the value is longer than `Limits.inlineValueBytesMax`: without it, so that many compares against one large value cost little
 * - 16 malformed command, 17 unsupported command, 18 range too large
 */
import { Option } from "effect"
import { fromText, getUint32, getUint64, putText, putUint32, putUint64 } from "./Bytes.ts"
import { type CurrentRow, putValue } from "./CurrentRow.ts"
import type { FoundKey, Invalid, KeyValue, WriteResult } from "./Kv.ts"
import * as Limits from "./Limits.ts"

const tag = {
  put: 1,
  deleted: 2,
  done: 3,
  missing: 4,
  differs: 5,
  differsLong: 6,
  malformed: 16,
  unsupported: 17,
  rangeTooLarge: 18
} as const

const withRevision = (first: number, revision: number, size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  bytes[0] = first
  putUint64(bytes, 1, revision)
  return bytes
}

export const put = (revision: number): Uint8Array => withRevision(tag.put, revision, 9)

export const deleted = (revision: number, keys: number): Uint8Array => {
  const bytes = withRevision(tag.deleted, revision, 13)
  putUint32(bytes, 9, keys)
  return bytes
}

export const done = (revision: number): Uint8Array => withRevision(tag.done, revision, 9)

export const missing = (revision: number): Uint8Array => withRevision(tag.missing, revision, 9)

/** `row` has its value in memory, if that is short enough to be shown. Whether it is goes by its length alone, which all members know. */
export const differs = (revision: number, key: string, row: CurrentRow): Uint8Array => {
  const isShown = row.valueBytes <= Limits.inlineValueBytesMax
  const size = 45 + key.length + (isShown ? row.valueBytes : 0)
  const bytes = withRevision(isShown ? tag.differs : tag.differsLong, revision, size)
  putUint64(bytes, 9, row.main)
  putUint64(bytes, 17, row.create)
  putUint64(bytes, 25, row.version)
  putUint64(bytes, 33, row.lease)
  putUint32(bytes, 41, key.length)
  putText(bytes, 45, key)
  if (isShown) putValue(bytes, 45 + key.length, row.value!)
  return bytes
}

export const malformed = Uint8Array.of(tag.malformed)
export const unsupported = Uint8Array.of(tag.unsupported)
export const rangeTooLarge = Uint8Array.of(tag.rangeTooLarge)

const invalid = (reason: Invalid["reason"], message: string): Invalid => ({ _tag: "Invalid", reason, message })

const resultRangeTooLarge = invalid(
  "RangeTooLarge",
  `the range has more than ${Limits.deleteKeysMax} keys: delete smaller ranges`
)

const resultUnsupported = invalid(
  "Unsupported",
  "a member that applied the command does not know it: bring all members to one version, then try again"
)

/** The result for the caller. Bytes of no known outcome are `Unsupported`: a newer member made them. */
export const decode = (bytes: Uint8Array): WriteResult => {
  switch (bytes[0]) {
    case tag.put:
      return { _tag: "Put", revision: getUint64(bytes, 1) }
    case tag.deleted:
      return { _tag: "Delete", revision: getUint64(bytes, 1), deleted: getUint32(bytes, 9) }
    case tag.done:
      return { _tag: "Compared", revision: getUint64(bytes, 1), succeeded: true, current: Option.none() }
    case tag.missing:
      return { _tag: "Compared", revision: getUint64(bytes, 1), succeeded: false, current: Option.none() }
    case tag.differs:
    case tag.differsLong:
      return {
        _tag: "Compared",
        revision: getUint64(bytes, 1),
        succeeded: false,
        current: Option.some(foundKey(bytes))
      }
    case tag.rangeTooLarge:
      return resultRangeTooLarge
    default:
      return resultUnsupported
  }
}

const foundKey = (bytes: Uint8Array): FoundKey => {
  const keyEnd = 45 + getUint32(bytes, 41)
  return {
    key: bytes.subarray(45, keyEnd),
    value: bytes[0] === tag.differs ? Option.some(bytes.subarray(keyEnd)) : Option.none(),
    createRevision: getUint64(bytes, 17),
    modRevision: getUint64(bytes, 9),
    version: getUint64(bytes, 25),
    lease: getUint64(bytes, 33)
  }
}

/** A row that has its value in memory, as callers see it. */
export const toKeyValue = (key: Uint8Array, row: CurrentRow): KeyValue => ({
  key,
  value: typeof row.value === "string" ? fromText(row.value) : row.value!,
  createRevision: row.create,
  modRevision: row.main,
  version: row.version,
  lease: row.lease
})
