/**
 * Memory for rows on their way to the storage. Small byte arrays of their own cost more than all else that applying a put does, so
 * rows are cut from blocks. A block is never reused: it goes when the last row in it goes.
 */
import * as Limits from "./Limits.ts"

export class Arena {
  /** The block that rows are written into. */
  bytes: Uint8Array = new Uint8Array(0)
  /** First free byte of it. */
  offset = 0

  /** Makes sure that `size` bytes are free behind `offset`. */
  reserve(size: number): void {
    if (this.offset + size <= this.bytes.length) return
    this.bytes = Buffer.allocUnsafeSlow(Math.max(size, Limits.arenaBlockBytes))
    this.offset = 0
  }

  hasRoom(size: number): boolean {
    return this.offset + size <= this.bytes.length
  }

  /** Takes the next `size` bytes, which were reserved, as an array. */
  take(size: number): Uint8Array {
    this.offset += size
    return this.view(this.offset - size, this.offset)
  }

  /** What was written to `[start, end)` of the present block. */
  view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.bytes.buffer, start, end - start)
  }
}
