/** What an operation must satisfy before it may reach the log or the state. */
import type { Invalid, RangeOp, WriteOp } from "./Kv.ts"
import * as Limits from "./Limits.ts"

const refuse = (reason: Invalid["reason"], message: string): Invalid => ({ _tag: "Invalid", reason, message })

const keyEmpty = refuse("KeyEmpty", "a key has at least one byte")

const keyTooLarge = (bytes: number): Invalid =>
  refuse("KeyTooLarge", `the key has ${bytes} bytes, at most ${Limits.keyBytesMax} are allowed`)

const keys = (key: Uint8Array, end: Uint8Array | undefined): Invalid | undefined => {
  if (key.length === 0) return keyEmpty
  if (key.length > Limits.keyBytesMax) return keyTooLarge(key.length)
  // The end of all keys with the longest key as prefix is no longer than that key.
  return end !== undefined && end.length > Limits.keyBytesMax + 1 ? keyTooLarge(end.length) : undefined
}

const value = (bytes: Uint8Array): Invalid | undefined =>
  bytes.length > Limits.valueBytesMax
    ? refuse("ValueTooLarge", `the value has ${bytes.length} bytes, at most ${Limits.valueBytesMax} are allowed`)
    : undefined

const expected = (revision: number): Invalid | undefined =>
  Number.isSafeInteger(revision) && revision >= 0
    ? undefined
    : refuse("RevisionInvalid", `${revision} is no revision: it must be an integer from 0`)

/** Undefined if the operation may be proposed. */
export const write = (op: WriteOp): Invalid | undefined => {
  switch (op._tag) {
    case "Put":
      return keys(op.key, undefined) ?? value(op.value)
    case "Delete":
      return keys(op.key, op.end)
    case "CompareAndSwap":
      return keys(op.key, undefined) ?? value(op.value) ?? expected(op.expected)
    case "CompareAndDelete":
      return keys(op.key, undefined) ?? expected(op.expected)
  }
}

/** Undefined if the range may be read. */
export const range = (op: RangeOp): Invalid | undefined =>
  keys(op.key, op.end) ?? (Number.isSafeInteger(op.limit) && op.limit >= 0
    ? undefined
    : refuse("LimitInvalid", `${op.limit} is no limit: it must be an integer from 0`))
