/** A peer that speaks through a bare socket, so that it can misbehave. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import * as Net from "node:net"
import { Address, Checksum, Frame, Handshake } from "../src/index.ts"

export interface RawPeer {
  readonly socket: Net.Socket
  readonly received: () => Buffer
  readonly write: (bytes: Uint8Array | string) => void
  /** Waits, in real time, until the other side has closed. */
  readonly closed: Effect.Effect<void>
  readonly isClosed: () => boolean
  /** The answer to the hello, once it is there. */
  readonly answer: Effect.Effect<Handshake.Answer>
}

export const connect = (address: string): Effect.Effect<RawPeer> =>
  Effect.callback((resume) => {
    const { host, port } = Address.parse(address)!
    const socket = Net.connect({ host, port, noDelay: true })
    socket.once("error", () => {})
    socket.once("connect", () => resume(Effect.succeed(fromSocket(socket))))
    return Effect.sync(() => socket.destroy())
  })

export const fromSocket = (socket: Net.Socket): RawPeer => {
  const chunks: Array<Buffer> = []
  let isClosed = false
  socket.on("error", () => {})
  socket.on("data", (chunk) => {
    chunks.push(chunk)
  })
  socket.on("close", () => {
    isClosed = true
  })
  const received = () => Buffer.concat(chunks)
  return {
    socket,
    received,
    write: (bytes) => {
      socket.write(bytes)
    },
    isClosed: () => isClosed,
    closed: eventually(() => isClosed),
    answer: Effect.map(
      eventually(() => received().length >= 16),
      () => Handshake.decodeAnswer(received().subarray(Frame.headerBytes))!
    )
  }
}

/** Waits in real time for something that another socket has to bring about. */
export const eventually = (condition: () => boolean): Effect.Effect<void> =>
  TestClock.withLive(Effect.gen(function*() {
    for (let i = 0; i < 2_000; i++) {
      if (condition()) return
      yield* Effect.sleep("2 millis")
    }
    assert.fail("waited in vain")
  }))

export const frame = (type: number, message: Uint8Array): Buffer =>
  Buffer.concat(Frame.encode([Frame.make(type as Frame.FrameType, [message])], Checksum.crc32c))
