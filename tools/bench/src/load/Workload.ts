/**
 * What the callers ask for: puts of a fixed size over a fixed set of keys, and linearizable reads of the same keys. All bytes
 * are made once, so that a call only copies or passes them on.
 */
import { keyBytes, keys, valueBytes } from "../Limits.ts"

export type Operation = "put" | "get"

/** All keys one behind the other, `keyBytes` each. */
export const keyTable: Buffer = Buffer.alloc(keys * keyBytes)
for (let number = 0; number < keys; number++) {
  keyTable.write(String(number).padStart(keyBytes, "0"), number * keyBytes, "latin1")
}

/** The key of a call by its number. A view: do not change it. */
export const keyOf = (sequence: number): Uint8Array => {
  const offset = (sequence % keys) * keyBytes
  return keyTable.subarray(offset, offset + keyBytes)
}

/** Where the key of a call begins in `keyTable`. */
export const keyOffset = (sequence: number): number => (sequence % keys) * keyBytes

/** The value that every put stores: bytes that do not compress to nothing, the same in each run. */
export const value: Buffer = Buffer.alloc(valueBytes)
for (let index = 0, state = 0x2545_f491; index < valueBytes; index++) {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  value[index] = state >>> 24
}
