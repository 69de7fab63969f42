/**
 * A write as it stands in the log. The first byte says which command it is, and with which layout: a new layout gets a new tag, and a member
 * that does not know a tag answers `Unsupported`, as all members of its version do.
 *
 * Layouts (integers big-endian; `rest` runs to the end):
 *
 * - 1 put: key length u32, key, value rest
 * - 2 delete: key length u32, key, end rest
 * - 3 compare and swap: expected u64, key length u32, key, value rest
 * - 4 compare and delete: expected u64, key rest
 */
import { copy, getUint32, getUint64, putUint32, putUint64 } from "./Bytes.ts"
import type { WriteOp } from "./Kv.ts"
import * as Limits from "./Limits.ts"

export const tag = { put: 1, delete: 2, compareAndSwap: 3, compareAndDelete: 4 } as const

/** A fault of the command itself, decided by its bytes alone. */
export type Fault = "Malformed" | "Unsupported"

export const encode = (op: WriteOp): Uint8Array => {
  const bytes = new Uint8Array(bytesOf(op))
  put(bytes, op)
  return bytes
}

/** The commands of one group: they share a buffer, as they share their way. */
export const encodeAll = (ops: ReadonlyArray<WriteOp>): ReadonlyArray<Uint8Array> => {
  let length = 0
  for (const op of ops) length += bytesOf(op)
  const bytes = new Uint8Array(length)
  let end = 0
  return ops.map((op) => {
    const start = end
    end += bytesOf(op)
    const command = bytes.subarray(start, end)
    put(command, op)
    return command
  })
}

const bytesOf = (op: WriteOp): number => {
  switch (op._tag) {
    case "Put":
      return 5 + op.key.length + op.value.length
    case "Delete":
      return 5 + op.key.length + op.end.length
    case "CompareAndSwap":
      return 13 + op.key.length + op.value.length
    case "CompareAndDelete":
      return 9 + op.key.length
  }
}

const put = (target: Uint8Array, op: WriteOp): void => {
  switch (op._tag) {
    case "Put":
      return putKeyAndRest(target, tag.put, 1, op.key, op.value)
    case "Delete":
      return putKeyAndRest(target, tag.delete, 1, op.key, op.end)
    case "CompareAndSwap":
      putUint64(target, 1, op.expected)
      return putKeyAndRest(target, tag.compareAndSwap, 9, op.key, op.value)
    case "CompareAndDelete":
      target[0] = tag.compareAndDelete
      putUint64(target, 1, op.expected)
      copy(target, 9, op.key, 0, op.key.length)
  }
}

const putKeyAndRest = (
  target: Uint8Array,
  first: number,
  offset: number,
  key: Uint8Array,
  rest: Uint8Array
): void => {
  target[0] = first
  putUint32(target, offset, key.length)
  copy(target, offset + 4, key, 0, key.length)
  copy(target, offset + 4 + key.length, rest, 0, rest.length)
}

/** Where key length, key and rest begin in a command with this tag. */
export const keyLengthOffset = (first: number): number => first === tag.compareAndSwap ? 9 : 1

/** Offset of the key in a command without fault. */
export const keyStart = (data: Uint8Array): number =>
  data[0] === tag.compareAndDelete ? 9 : keyLengthOffset(data[0]!) + 4

/** End of the key in a command without fault; value or end follow. */
export const keyEnd = (data: Uint8Array): number => {
  if (data[0] === tag.compareAndDelete) return data.length
  const offset = keyLengthOffset(data[0]!)
  return offset + 4 + getUint32(data, offset)
}

/** Whether the command in `data` from `start` on deletes a range of keys; of one with a fault it says this or that. */
export const deletesRange = (data: Uint8Array, start: number): boolean =>
  data[start] === tag.delete && start + 5 + getUint32(data, start + 1) < data.length

/** Whether a command without fault compares, and expects another mod revision than `main`, which is 0 where there is no such key. */
export const fails = (data: Uint8Array, main: number): boolean =>
  (data[0] === tag.compareAndSwap || data[0] === tag.compareAndDelete) && getUint64(data, 1) !== main

/** Checks a command; undefined if the functions above may be used on it. */
export const fault = (data: Uint8Array): Fault | undefined => {
  const first = data[0]
  switch (first) {
    case undefined:
      return "Malformed"
    case tag.put:
    case tag.delete:
    case tag.compareAndSwap: {
      const offset = keyLengthOffset(first)
      return data.length < offset + 5 ? "Malformed" : keyFault(data, offset + 4, getUint32(data, offset))
    }
    case tag.compareAndDelete:
      return data.length < 10 ? "Malformed" : keyFault(data, 9, data.length - 9)
    default:
      return "Unsupported"
  }
}

const keyFault = (data: Uint8Array, start: number, length: number): Fault | undefined =>
  length === 0 || length > Limits.commandKeyBytesMax || start + length > data.length ? "Malformed" : undefined
