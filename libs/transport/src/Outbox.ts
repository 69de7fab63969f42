/**
 * Frames on their way to one peer: what was handed over and has not been taken by the operating system yet. Bounded in
 * frames and bytes, both counted until the write has finished; a full outbox refuses, because Raft tolerates loss and
 * must never wait for a slow peer. Mutable; senders call `offer`, the one writer of a connection the rest.
 */
import type { Wakeup } from "@dkv/raft"
import * as Frame from "./Frame.ts"
import type { FrameType } from "./Frame.ts"
import { frameBytesMax, queueFramesMax } from "./Limits.ts"

export class Outbox {
  readonly #bytesMax: number
  readonly #work: Wakeup.Wakeup
  #frames: Array<Frame.Frame> = []
  #head = 0
  #bytes = 0
  #count = 0

  /** `bytesMax` bounds the messages in bytes; `work` wakes the writer. */
  constructor(bytesMax: number, work: Wakeup.Wakeup) {
    this.#bytesMax = bytesMax
    this.#work = work
  }

  /** Queued and not yet taken by the writer. */
  get isEmpty(): boolean {
    return this.#head === this.#frames.length
  }

  /** Bytes of messages queued or being written. */
  get bytes(): number {
    return this.#bytes
  }

  offer(type: FrameType, chunks: ReadonlyArray<Uint8Array>): boolean {
    const frame = Frame.make(type, chunks)
    if (frame.bytes > frameBytesMax || this.#count >= queueFramesMax || this.#bytes + frame.bytes > this.#bytesMax) {
      return false
    }
    this.#bytes += frame.bytes
    this.#count++
    this.#frames.push(frame)
    this.#work.ringUnsafe()
    return true
  }

  /** Takes frames of `bytesMax` bytes at most, but at least one if there is any. They count until `release`. */
  take(bytesMax: number): ReadonlyArray<Frame.Frame> {
    let end = this.#head
    let bytes = 0
    while (end < this.#frames.length) {
      bytes += this.#frames[end]!.bytes + Frame.headerBytes
      if (bytes > bytesMax && end > this.#head) break
      end++
    }
    if (this.#head === 0 && end === this.#frames.length) {
      const all = this.#frames
      this.#frames = []
      return all
    }
    const taken = this.#frames.slice(this.#head, end)
    if (end * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(end)
      this.#head = 0
    } else {
      this.#head = end
    }
    return taken
  }

  release(frames: ReadonlyArray<Frame.Frame>): void {
    this.#count -= frames.length
    for (let i = 0; i < frames.length; i++) this.#bytes -= frames[i]!.bytes
  }

  clear(): void {
    this.#frames = []
    this.#head = 0
    this.#bytes = 0
    this.#count = 0
  }
}
