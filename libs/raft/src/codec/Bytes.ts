/** Reading and writing the fields of our binary layouts: big-endian, lengths before contents. */
import type { MemberId } from "../core/Entry.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

/** What V8 keeps in its own heap. */
const initialBytes = 64

/** The bytes are not what their layout says. */
export class Malformed extends Error {
  override readonly name = "Malformed"
}

/** Appends fields to a buffer that grows. Without a `DataView`, which costs more to set up than a short message to write. */
export class Writer {
  private bytes: Uint8Array
  private offset = 0

  /** `capacity` is what is going to be written, in bytes, where that is known. */
  constructor(capacity = initialBytes) {
    this.bytes = new Uint8Array(capacity)
  }

  uint8(value: number): this {
    this.reserve(1)
    this.bytes[this.offset++] = value
    return this
  }

  uint32(value: number): this {
    this.reserve(4)
    this.put(value)
    return this
  }

  int32(value: number): this {
    return this.uint32(value >>> 0)
  }

  uint64(value: number): this {
    this.reserve(8)
    this.put(Math.floor(value / 0x1_0000_0000))
    this.put(value >>> 0)
    return this
  }

  /** 8 bytes; the empty id is written as zeros. */
  memberId(id: MemberId): this {
    this.uint32(id === "" ? 0 : Number.parseInt(id.slice(0, 8), 16))
    return this.uint32(id === "" ? 0 : Number.parseInt(id.slice(8), 16))
  }

  /** Length and contents. */
  blob(value: Uint8Array): this {
    return this.uint32(value.length).raw(value)
  }

  /** Contents alone. */
  raw(value: Uint8Array): this {
    this.reserve(value.length)
    this.bytes.set(value, this.offset)
    this.offset += value.length
    return this
  }

  string(value: string): this {
    return this.blob(encoder.encode(value))
  }

  finish(): Uint8Array {
    const { bytes, offset } = this
    if (offset === bytes.length) return bytes
    // A view would move the content of a small array out of V8's heap, which costs more than to copy it.
    return bytes.length > initialBytes ? bytes.subarray(0, offset) : bytes.slice(0, offset)
  }

  private put(value: number): void {
    const { bytes, offset } = this
    bytes[offset] = value >>> 24
    bytes[offset + 1] = value >>> 16
    bytes[offset + 2] = value >>> 8
    bytes[offset + 3] = value
    this.offset = offset + 4
  }

  private reserve(count: number): void {
    const needed = this.offset + count
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes)
    this.bytes = grown
  }
}

/** Takes fields from a buffer; throws `Malformed` where it does not hold them. */
export class Reader {
  readonly bytes: Uint8Array
  offset: number

  constructor(bytes: Uint8Array, offset = 0) {
    this.bytes = bytes
    this.offset = offset
  }

  get remaining(): number {
    return this.bytes.length - this.offset
  }

  uint8(): number {
    return this.bytes[this.take(1)]!
  }

  boolean(): boolean {
    return this.uint8() !== 0
  }

  uint32(): number {
    return this.at(this.take(4))
  }

  int32(): number {
    return this.uint32() | 0
  }

  uint64(): number {
    const start = this.take(8)
    const high = this.at(start)
    const low = this.at(start + 4)
    const value = high === 0 ? low : high * 0x1_0000_0000 + low
    if (!Number.isSafeInteger(value)) throw new Malformed("a number exceeds 2^53 - 1")
    return value
  }

  memberId(): MemberId {
    const high = this.uint32()
    const low = this.uint32()
    return high === 0 && low === 0 ? "" : hex(high) + hex(low)
  }

  /** A view, not a copy. */
  blob(): Uint8Array {
    const length = this.uint32()
    const start = this.take(length)
    return this.bytes.subarray(start, start + length)
  }

  string(): string {
    try {
      return decoder.decode(this.blob())
    } catch {
      throw new Malformed("a string is not UTF-8")
    }
  }

  /** A count of things of which each takes at least `bytesMin` bytes. */
  count(bytesMin: number): number {
    const count = this.uint32()
    if (count * bytesMin > this.remaining) throw new Malformed(`${count} items do not fit into ${this.remaining} bytes`)
    return count
  }

  end(): void {
    if (this.remaining !== 0) throw new Malformed(`${this.remaining} bytes too many`)
  }

  private at(start: number): number {
    const { bytes } = this
    return ((bytes[start]! << 24) | (bytes[start + 1]! << 16) | (bytes[start + 2]! << 8) | bytes[start + 3]!) >>> 0
  }

  private take(count: number): number {
    const start = this.offset
    if (count > this.bytes.length - start) throw new Malformed("the bytes end too early")
    this.offset = start + count
    return start
  }
}

const hex = (value: number): string => value.toString(16).padStart(8, "0")
