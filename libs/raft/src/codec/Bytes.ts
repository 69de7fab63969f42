/** Reading and writing the fields of our binary layouts: big-endian, lengths before contents. */
import type { MemberId } from "../core/Entry.ts"
import { readUint64, writeUint64 } from "../Entry.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true })

/** The bytes are not what their layout says. */
export class Malformed extends Error {
  override readonly name = "Malformed"
}

/** Appends fields to a buffer that grows. */
export class Writer {
  private bytes: Uint8Array
  private view: DataView
  private offset = 0

  constructor(capacity = 64) {
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  uint8(value: number): this {
    this.reserve(1)
    this.view.setUint8(this.offset, value)
    this.offset += 1
    return this
  }

  uint32(value: number): this {
    this.reserve(4)
    this.view.setUint32(this.offset, value)
    this.offset += 4
    return this
  }

  int32(value: number): this {
    return this.uint32(value >>> 0)
  }

  uint64(value: number): this {
    this.reserve(8)
    writeUint64(this.view, this.offset, value)
    this.offset += 8
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
    return this.bytes.subarray(0, this.offset)
  }

  private reserve(count: number): void {
    const needed = this.offset + count
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2))
    grown.set(this.bytes)
    this.bytes = grown
    this.view = new DataView(grown.buffer)
  }
}

/** Takes fields from a buffer; throws `Malformed` where it does not hold them. */
export class Reader {
  readonly bytes: Uint8Array
  readonly view: DataView
  offset: number

  constructor(bytes: Uint8Array, offset = 0) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.offset = offset
  }

  get remaining(): number {
    return this.bytes.length - this.offset
  }

  uint8(): number {
    return this.view.getUint8(this.take(1))
  }

  boolean(): boolean {
    return this.uint8() !== 0
  }

  uint32(): number {
    return this.view.getUint32(this.take(4))
  }

  int32(): number {
    return this.view.getInt32(this.take(4))
  }

  uint64(): number {
    const value = readUint64(this.view, this.take(8))
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

  private take(count: number): number {
    const start = this.offset
    if (count > this.bytes.length - start) throw new Malformed("the bytes end too early")
    this.offset = start + count
    return start
  }
}

const hex = (value: number): string => value.toString(16).padStart(8, "0")
