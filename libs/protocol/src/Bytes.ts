/**
 * Reading and writing of big-endian numbers and byte strings, without bigint and without exceptions: a reader that runs off the end says so once,
 * at the end, so that a decoder is straight-line code and no input can make it throw.
 */
import * as Limits from "./Limits.ts"

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** No bytes. */
export const empty = new Uint8Array(0)

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

export const text = (bytes: Uint8Array): string => decoder.decode(bytes)

/** UTF-8 of `text`, cut to what an error or notice may hold. */
export const message = (text: string): Uint8Array => {
  const bytes = encoder.encode(text)
  return bytes.length <= Limits.messageBytesMax ? bytes : bytes.subarray(0, Limits.messageBytesMax)
}

/** The bytes that sort directly behind all keys with this prefix, or none when there is no such bound (an empty prefix, or one of 0xff only). */
export const prefixEnd = (prefix: Uint8Array): Uint8Array => {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return empty
  const end = prefix.slice(0, length)
  end[length - 1]! += 1
  return end
}

/** A bounded cursor over one frame. Past the end every read gives zero or nothing, and `failed` stays set. */
export class Reader {
  failed = false
  offset = 0
  readonly bytes: Uint8Array
  readonly view: DataView
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining(): number {
    return this.bytes.length - this.offset
  }

  private has(length: number): boolean {
    if (!this.failed && length <= this.bytes.length - this.offset) return true
    this.failed = true
    return false
  }

  uint8(): number {
    if (!this.has(1)) return 0
    return this.bytes[this.offset++]!
  }

  uint16(): number {
    if (!this.has(2)) return 0
    const value = this.view.getUint16(this.offset)
    this.offset += 2
    return value
  }

  uint32(): number {
    if (!this.has(4)) return 0
    const value = this.view.getUint32(this.offset)
    this.offset += 4
    return value
  }

  /** A value above the largest safe integer counts as a failure. */
  uint64(): number {
    if (!this.has(8)) return 0
    const high = this.view.getUint32(this.offset)
    const low = this.view.getUint32(this.offset + 4)
    this.offset += 8
    if (high > 0x1f_ffff) {
      this.failed = true
      return 0
    }
    return high * 0x1_0000_0000 + low
  }

  /** A view, not a copy. Always a plain `Uint8Array`, also over a Node buffer. */
  take(length: number): Uint8Array {
    if (length === 0 || !this.has(length)) return empty
    const taken = new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + this.offset, length)
    this.offset += length
    return taken
  }
}

/** A cursor over a buffer that was sized beforehand. */
export class Writer {
  offset = 0
  readonly bytes: Uint8Array
  readonly view: DataView
  constructor(length: number) {
    this.bytes = new Uint8Array(length)
    this.view = new DataView(this.bytes.buffer)
  }

  uint8(value: number): void {
    this.bytes[this.offset++] = value
  }

  uint16(value: number): void {
    this.view.setUint16(this.offset, value)
    this.offset += 2
  }

  uint32(value: number): void {
    this.view.setUint32(this.offset, value)
    this.offset += 4
  }

  uint64(value: number): void {
    this.view.setUint32(this.offset, Math.floor(value / 0x1_0000_0000))
    this.view.setUint32(this.offset + 4, value >>> 0)
    this.offset += 8
  }

  put(bytes: Uint8Array): void {
    const length = bytes.length
    const offset = this.offset
    // below this size a call into the runtime costs more than the loop
    if (length <= 24) {
      const target = this.bytes
      for (let i = 0; i < length; i++) target[offset + i] = bytes[i]!
    } else {
      this.bytes.set(bytes, offset)
    }
    this.offset = offset + length
  }
}
