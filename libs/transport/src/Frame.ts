/**
 * Framing: the unit in which members exchange bytes. Big-endian: length u32 (of the message alone), type u8, CRC-32C u32
 * over type and message, message.
 *
 * A frame is delivered whole and undamaged, or the connection ends: after a wrong length nothing behind it can be trusted.
 */
import { crc32c } from "./Checksum.ts"
import type { Checksum } from "./Checksum.ts"
import { copyBytesMax } from "./Limits.ts"

/** The numbers are on the wire: never reuse one. `Message` carries a frame of the raft or bulk lane. */
export const FrameType = {
  Hello: 0,
  Answer: 1,
  Message: 2,
  Ping: 3,
  Pong: 4,
  Request: 5,
  Response: 6
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export const headerBytes = 9

const empty = new Uint8Array(0)

/** The checksum begins with the type, a single byte. */
const typeChecksums = /* @__PURE__ */ Uint32Array.from({ length: 256 }, (_, type) => crc32c(0, Uint8Array.of(type)))

export interface Frame {
  readonly type: FrameType
  readonly chunks: ReadonlyArray<Uint8Array>
  /** Sum of the chunks. */
  readonly bytes: number
}

export const make = (type: FrameType, chunks: ReadonlyArray<Uint8Array>): Frame => {
  let bytes = 0
  for (let i = 0; i < chunks.length; i++) bytes += chunks[i]!.length
  return { type, chunks, bytes }
}

/** Lays `frames` out as the pieces of one write. Small chunks are copied together, because each piece costs more than copying it. */
export const encode = (frames: ReadonlyArray<Frame>, checksum: Checksum): Array<Uint8Array> => {
  let stagedBytes = frames.length * headerBytes
  for (let i = 0; i < frames.length; i++) {
    const frame = frames[i]!
    if (frame.bytes <= copyBytesMax) stagedBytes += frame.bytes
    else for (const chunk of frame.chunks) if (chunk.length <= copyBytesMax) stagedBytes += chunk.length
  }
  const staged = Buffer.allocUnsafe(stagedBytes)
  const pieces: Array<Uint8Array> = []
  let from = 0
  let at = 0
  for (let i = 0; i < frames.length; i++) {
    const { bytes, chunks, type } = frames[i]!
    const header = at
    at += headerBytes
    let crc = typeChecksums[type]!
    if (bytes <= copyBytesMax) {
      for (let j = 0; j < chunks.length; j++) {
        staged.set(chunks[j]!, at)
        at += chunks[j]!.length
      }
      crc = checksum(crc, staged.subarray(header + headerBytes, at))
    } else {
      for (let j = 0; j < chunks.length; j++) {
        const chunk = chunks[j]!
        crc = checksum(crc, chunk)
        if (chunk.length <= copyBytesMax) {
          staged.set(chunk, at)
          at += chunk.length
        } else {
          pieces.push(staged.subarray(from, at), chunk)
          from = at
        }
      }
    }
    writeUint32(staged, header, bytes)
    staged[header + 4] = type
    writeUint32(staged, header + 5, crc)
  }
  if (from < at) pieces.push(staged.subarray(from, at))
  return pieces
}

/**
 * Finds the frames in a stream of chunks. Mutable, owned by the one loop that reads the connection: `push` a chunk, then call
 * `next` until it answers false; `type` and `message` are the frame found. A frame inside one chunk is a view of it; a frame
 * that spans chunks is copied once.
 */
export class FrameReader {
  type: number = FrameType.Hello
  message: Uint8Array = empty
  /** Why the stream cannot be read on, if it cannot. */
  failure: string | undefined = undefined
  /** Longest message accepted from here on, in bytes. */
  bytesMax: number
  readonly #checksum: Checksum
  readonly #header = new Uint8Array(headerBytes)
  #headerFilled = 0
  #body: Uint8Array | undefined = undefined
  #bodyFilled = 0
  #crc = 0
  #chunk: Uint8Array = empty
  #offset = 0

  constructor(bytesMax: number, checksum: Checksum) {
    this.bytesMax = bytesMax
    this.#checksum = checksum
  }

  push(chunk: Uint8Array): void {
    this.#chunk = chunk
    this.#offset = 0
  }

  next(): boolean {
    if (this.failure !== undefined) return false
    const chunk = this.#chunk
    if (this.#body === undefined) {
      let header: Uint8Array = chunk
      let headerAt = this.#offset
      if (this.#headerFilled > 0 || chunk.length - this.#offset < headerBytes) {
        while (this.#headerFilled < headerBytes && this.#offset < chunk.length) {
          this.#header[this.#headerFilled++] = chunk[this.#offset++]!
        }
        if (this.#headerFilled < headerBytes) return false
        header = this.#header
        headerAt = 0
        this.#headerFilled = 0
      } else {
        this.#offset += headerBytes
      }
      const bytes = readUint32(header, headerAt)
      if (bytes > this.bytesMax) {
        this.failure = `announced a frame of ${bytes} bytes where ${this.bytesMax} are allowed`
        return false
      }
      this.type = header[headerAt + 4]!
      this.#crc = readUint32(header, headerAt + 5)
      if (chunk.length - this.#offset >= bytes) {
        const message = new Uint8Array(chunk.buffer, chunk.byteOffset + this.#offset, bytes)
        this.#offset += bytes
        return this.#deliver(message)
      }
      const body = Buffer.allocUnsafeSlow(bytes)
      this.#body = new Uint8Array(body.buffer, 0, bytes)
      this.#bodyFilled = 0
    }
    const body = this.#body
    const taken = Math.min(body.length - this.#bodyFilled, chunk.length - this.#offset)
    body.set(chunk.subarray(this.#offset, this.#offset + taken), this.#bodyFilled)
    this.#offset += taken
    this.#bodyFilled += taken
    if (this.#bodyFilled < body.length) return false
    this.#body = undefined
    return this.#deliver(body)
  }

  #deliver(message: Uint8Array): boolean {
    if (this.#checksum(typeChecksums[this.type]!, message) !== this.#crc) {
      this.failure = "sent a frame whose checksum does not match"
      return false
    }
    this.message = message
    return true
  }
}

const writeUint32 = (target: Uint8Array, at: number, value: number): void => {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

const readUint32 = (source: Uint8Array, at: number): number =>
  ((source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!) >>> 0
