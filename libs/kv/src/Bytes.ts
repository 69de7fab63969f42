/**
 * Bytes as the state machine handles them: 8-byte big-endian safe integers, and keys as strings with one character per byte.
 * Such strings hash and compare as the bytes do, so that they serve as keys of a `Map` and in ordered merges.
 */

interface Latin1 {
  readonly latin1Slice: (this: Uint8Array, start: number, end: number) => string
  readonly latin1Write: (this: Uint8Array, text: string, offset: number, length: number) => number
}

// Called on plain byte arrays: wrapping each in a Buffer first would cost as much as the call.
const { latin1Slice, latin1Write } = Buffer.prototype as unknown as Latin1

export const empty: Uint8Array = new Uint8Array(0)

/** The string with one character per byte of `bytes[start, end)`. */
export const toText = (bytes: Uint8Array, start: number, end: number): string =>
  start === end ? "" : latin1Slice.call(bytes, start, end)

/** The bytes of a string made by `toText`. */
export const fromText = (text: string): Uint8Array => {
  const bytes = Buffer.allocUnsafe(text.length)
  latin1Write.call(bytes, text, 0, text.length)
  return bytes
}

/** Writes the bytes of a string made by `toText` at `offset`. */
export const putText = (target: Uint8Array, offset: number, text: string): void => {
  if (text.length > 0) latin1Write.call(target, text, offset, text.length)
}

/** Copies `source[start, end)` to `offset`. */
export const copy = (target: Uint8Array, offset: number, source: Uint8Array, start: number, end: number): void => {
  const length = end - start
  if (length > 48) {
    target.set(start === 0 && end === source.length ? source : source.subarray(start, end), offset)
    return
  }
  for (let i = 0; i < length; i++) target[offset + i] = source[start + i]!
}

export const putUint32 = (target: Uint8Array, offset: number, value: number): void => {
  target[offset] = value >>> 24
  target[offset + 1] = value >>> 16
  target[offset + 2] = value >>> 8
  target[offset + 3] = value
}

export const getUint32 = (bytes: Uint8Array, offset: number): number =>
  ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0

/** Writes a safe non-negative integer as 8 bytes. */
export const putUint64 = (target: Uint8Array, offset: number, value: number): void => {
  putUint32(target, offset, Math.floor(value / 0x1_0000_0000))
  putUint32(target, offset + 4, value >>> 0)
}

/** Reads 8 bytes; a value beyond 2^53 - 1 comes back as an unsafe number for the caller to refuse. */
export const getUint64 = (bytes: Uint8Array, offset: number): number =>
  getUint32(bytes, offset) * 0x1_0000_0000 + getUint32(bytes, offset + 4)

export const equals = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Order of keys, as unsigned bytes. */
export const compare = (a: Uint8Array, b: Uint8Array): number => {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}
