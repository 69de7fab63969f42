/**
 * The client half of HTTP/2 (RFC 9113), as much of it as unary gRPC calls of one fixed shape need, on a bare socket. Node's own client
 * costs tens of microseconds of a core per call, which on a small machine is taken from the server that is to be measured; this one costs about one.
 *
 * It never decodes a header block: an answer that brought a gRPC message before its trailers is a success, and one
 * that did not is a failure, whatever the trailers say.
 */

import { keyBytes } from "../Limits.ts"
import {
  defaultWindowBytes,
  Flag,
  frame,
  frameHeaderBytes,
  FrameType,
  headersFirst,
  headersNext,
  preface,
  receiveWindowBytes,
  settingsAck,
  uint32
} from "./Http2Frames.ts"

export interface ConnectionOptions {
  readonly path: string
  readonly authority: string
  /** The protobuf message that each call carries; the connection's owner patches the key into the copy. */
  readonly message: Uint8Array
  /** Where the key begins in `message`. */
  readonly keyOffset: number
  /** Answers with a shorter message than this are failures. */
  readonly answerBytesMin: number
  /** Hands over bytes to send. They do not change afterwards. */
  readonly write: (bytes: Uint8Array) => void
  /** The settings of the server have arrived: calls may begin. */
  readonly onReady: () => void
  /** The call that `slot` made was answered. */
  readonly onAnswer: (slot: number) => void
  /** The connection is of no use any more. */
  readonly onFailure: (message: string) => void
}

const slabBytes = 1024 * 1024

/** One connection. Owns its buffers and stream table; everything runs on the socket's callbacks. */
export class Connection {
  private readonly options: ConnectionOptions
  private readonly requestFirst: Buffer
  private readonly request: Buffer
  private slab = Buffer.allocUnsafe(slabBytes)
  private slabStart = 0
  private slabEnd = 0
  private nextStream = 1
  private sendWindow = defaultWindowBytes
  private streamsMax = Number.POSITIVE_INFINITY
  private unacknowledged = 0
  private readonly slots = new Map<number, number>()
  /** Bytes of gRPC message per stream that has had some. */
  private readonly received = new Map<number, number>()
  /** Calls that wait for the server's window or stream limit, oldest first from `waitingHead`. */
  private waiting: Array<{ readonly slot: number; readonly keys: Uint8Array; readonly offset: number }> = []
  private waitingHead = 0
  private rest: Buffer | undefined
  private ready = false
  private failed = false

  constructor(options: ConnectionOptions) {
    this.options = options
    const data = Buffer.alloc(5 + options.message.length)
    data.writeUInt32BE(options.message.length, 1)
    data.set(options.message, 5)
    const call = (headers: Uint8Array): Buffer =>
      Buffer.concat([
        frame(FrameType.Headers, Flag.EndHeaders, 0, headers),
        frame(FrameType.Data, Flag.EndStream, 0, data)
      ])
    this.requestFirst = call(headersFirst(options.path, options.authority))
    this.request = call(headersNext)
  }

  /** Sends what a client says first. */
  open(): void {
    this.options.write(preface)
  }

  /** Starts a call with the 16-byte key at `offset` of `keys`. Bytes go out with the next `flush`. */
  call(slot: number, keys: Uint8Array, offset: number): void {
    if (this.waitingHead < this.waiting.length || !this.canSend()) this.waiting.push({ slot, keys, offset })
    else this.send(slot, keys, offset)
  }

  private canSend(): boolean {
    return this.sendWindow >= this.options.message.length + 5 && this.slots.size < this.streamsMax
  }

  private send(slot: number, keys: Uint8Array, offset: number): void {
    const bytes = this.options.message.length + 5
    this.sendWindow -= bytes
    const stream = this.nextStream
    this.nextStream += 2
    this.slots.set(stream, slot)
    const request = stream === 1 ? this.requestFirst : this.request
    const dataAt = request.length - bytes - frameHeaderBytes
    const at = this.reserve(request.length)
    this.slab.set(request, at)
    this.slab.writeUInt32BE(stream, at + 5)
    this.slab.writeUInt32BE(stream, at + dataAt + 5)
    const keyAt = at + dataAt + frameHeaderBytes + 5 + this.options.keyOffset
    for (let index = 0; index < keyBytes; index++) this.slab[keyAt + index] = keys[offset + index]!
  }

  /** Hands everything that was queued to the socket as one write. */
  flush(): void {
    if (this.slabEnd === this.slabStart) return
    this.options.write(this.slab.subarray(this.slabStart, this.slabEnd))
    this.slabStart = this.slabEnd
  }

  /** Takes bytes from the socket. Answers are reported before it returns. */
  receive(chunk: Buffer): void {
    const bytes = this.rest === undefined ? chunk : Buffer.concat([this.rest, chunk])
    let at = 0
    while (!this.failed && bytes.length - at >= frameHeaderBytes) {
      const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
      const end = at + frameHeaderBytes + length
      if (end > bytes.length) break
      this.receiveFrame(bytes, at, length)
      at = end
    }
    this.rest = at === bytes.length ? undefined : bytes.subarray(at)
  }

  private receiveFrame(bytes: Buffer, at: number, length: number): void {
    const type = bytes[at + 3]!
    const flags = bytes[at + 4]!
    const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff
    const payload = at + frameHeaderBytes
    switch (type) {
      case FrameType.Data: {
        this.credit(length)
        this.received.set(stream, (this.received.get(stream) ?? 0) + length)
        if ((flags & Flag.EndStream) !== 0) this.end(stream)
        return
      }
      case FrameType.Headers: {
        if ((flags & Flag.EndHeaders) === 0) {
          return this.fail("the server split a header block, which this client does not join")
        }
        if ((flags & Flag.EndStream) !== 0) this.end(stream)
        return
      }
      case FrameType.Settings:
        return (flags & Flag.Ack) !== 0 ? undefined : this.settings(bytes, payload, length)
      case FrameType.Ping: {
        if ((flags & Flag.Ack) !== 0) return
        this.append(frame(FrameType.Ping, Flag.Ack, 0, bytes.subarray(payload, payload + length)))
        return
      }
      case FrameType.WindowUpdate: {
        if (stream !== 0) return
        this.sendWindow += bytes.readUInt32BE(payload)
        return this.resume()
      }
      case FrameType.RstStream:
        return this.fail(`the server reset a call (code ${bytes.readUInt32BE(payload)})`)
      case FrameType.GoAway:
        return this.fail(`the server closed the connection (code ${bytes.readUInt32BE(payload + 4)})`)
    }
  }

  private settings(bytes: Buffer, payload: number, length: number): void {
    for (let at = payload; at < payload + length; at += 6) {
      const id = bytes.readUInt16BE(at)
      const value = bytes.readUInt32BE(at + 2)
      if (id === 1 && value < 512) {
        return this.fail(`the server's header table of ${value} bytes is too small for this client`)
      }
      if (id === 3) this.streamsMax = value
      if (id === 4 && value < this.options.message.length + 5) {
        return this.fail(`the server's window of ${value} bytes is too small for a call`)
      }
    }
    this.append(settingsAck)
    if (this.ready) return this.resume()
    this.ready = true
    this.flush()
    this.options.onReady()
  }

  private end(stream: number): void {
    const slot = this.slots.get(stream)
    if (slot === undefined) return this.fail(`an answer to call ${stream}, which was not made`)
    this.slots.delete(stream)
    const received = this.received.get(stream) ?? 0
    this.received.delete(stream)
    if (received < 5 + this.options.answerBytesMin) {
      return this.fail("the server answered a call with an error, or with less than was asked for")
    }
    this.options.onAnswer(slot)
    this.resume()
  }

  private resume(): void {
    if (this.waitingHead === this.waiting.length) return
    while (this.waitingHead < this.waiting.length && this.canSend()) {
      const call = this.waiting[this.waitingHead++]!
      this.send(call.slot, call.keys, call.offset)
    }
    if (this.waitingHead === this.waiting.length) {
      this.waiting = []
      this.waitingHead = 0
    }
  }

  /** Gives the server back its window, seldom enough to cost nothing. */
  private credit(bytes: number): void {
    this.unacknowledged += bytes
    if (this.unacknowledged < receiveWindowBytes / 2) return
    this.append(frame(FrameType.WindowUpdate, 0, 0, uint32(this.unacknowledged)))
    this.unacknowledged = 0
  }

  private append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.slab.set(bytes, at)
  }

  private reserve(bytes: number): number {
    if (this.slabEnd + bytes > this.slab.length) {
      this.flush()
      this.slab = Buffer.allocUnsafe(Math.max(slabBytes, bytes))
      this.slabStart = 0
      this.slabEnd = 0
    }
    const at = this.slabEnd
    this.slabEnd += bytes
    return at
  }

  private fail(message: string): void {
    if (this.failed) return
    this.failed = true
    this.options.onFailure(message)
  }
}
