/**
 * Cuts a byte stream into frames: a length (u32, not counting itself), then that many bytes. Chunks may split a frame anywhere and may hold many.
 * A frame that lies whole in a chunk is handed out as a view of it; only one that spans chunks is copied, into a buffer that grows with what
 * really arrives, so that announcing a large frame costs the receiver nothing.
 */
import * as Limits from "./Limits.ts"

/** Bytes of the length before each frame. */
export const lengthBytes = 4

/** Why the stream cannot go on; the connection has to be closed. */
export interface Violation {
  readonly code: "Malformed" | "TooLarge"
  readonly message: string
}

/** Owns the bytes of a frame that is only partly there. One per connection and direction. */
export class Decoder {
  private readonly frameBytesMax: number
  private readonly lengthBuffer = new Uint8Array(lengthBytes)
  private lengthHave = 0
  private partial: Uint8Array | undefined
  private partialHave = 0
  private partialNeed = 0

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax
  }

  /** Bytes of an unfinished frame are waiting for the rest. */
  get isMidFrame(): boolean {
    return this.lengthHave > 0 || this.partial !== undefined
  }

  /** Bytes of memory that an unfinished frame takes. */
  get heldBytes(): number {
    return this.partial === undefined ? 0 : this.partial.length
  }

  /** Feeds one chunk and hands out the frames that it completes, in order. After a violation the decoder must not be used again. */
  push(chunk: Uint8Array, onFrame: (frame: Uint8Array) => void): Violation | undefined {
    let offset = 0
    while (offset < chunk.length) {
      if (this.partial !== undefined) {
        offset += this.fill(chunk, offset)
        if (this.partialHave < this.partialNeed) return undefined
        const frame = this.partial.subarray(0, this.partialNeed)
        this.partial = undefined
        onFrame(frame)
        continue
      }
      let length: number
      if (this.lengthHave === 0 && chunk.length - offset >= lengthBytes) {
        length = readLength(chunk, offset)
        offset += lengthBytes
      } else {
        this.lengthBuffer[this.lengthHave++] = chunk[offset++]!
        if (this.lengthHave < lengthBytes) continue
        this.lengthHave = 0
        length = readLength(this.lengthBuffer, 0)
      }
      if (length > this.frameBytesMax) {
        return { code: "TooLarge", message: `a frame of ${length} bytes exceeds the limit of ${this.frameBytesMax}` }
      }
      if (length === 0) return { code: "Malformed", message: "an empty frame" }
      if (chunk.length - offset >= length) {
        onFrame(new Uint8Array(chunk.buffer, chunk.byteOffset + offset, length))
        offset += length
      } else {
        this.partialNeed = length
        this.partialHave = 0
        this.partial = new Uint8Array(Math.min(length, Limits.partialFrameBytes))
      }
    }
    return undefined
  }

  private fill(chunk: Uint8Array, offset: number): number {
    const count = Math.min(this.partialNeed - this.partialHave, chunk.length - offset)
    const have = this.partialHave + count
    if (have > this.partial!.length) {
      const grown = new Uint8Array(Math.min(this.partialNeed, Math.max(have, this.partial!.length * 2)))
      grown.set(this.partial!.subarray(0, this.partialHave))
      this.partial = grown
    }
    this.partial!.set(chunk.subarray(offset, offset + count), this.partialHave)
    this.partialHave = have
    return count
  }
}

const readLength = (bytes: Uint8Array, offset: number): number =>
  bytes[offset]! * 0x100_0000 + (bytes[offset + 1]! << 16) + (bytes[offset + 2]! << 8) + bytes[offset + 3]!
