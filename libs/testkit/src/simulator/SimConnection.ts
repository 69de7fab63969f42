/**
 * A connection between two simulated machines, as TCP makes it: bytes arrive once and in order, cut wherever the network likes, or the connection breaks. While a
 * direction is cut nothing is lost; it is sent again later. A process that has died is found out by what is sent to it, a machine that has vanished by nothing.
 *
 * The part that a kernel plays goes on while the process is paused: it takes bytes, up to a window. The process learns of them on its own machine.
 *
 * Source: RFC 9293; which ends of a connection are seen as a reset follows Linux.
 */
import { Signal } from "@dkv/protocol"
import { Effect, Latch } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import { Socket } from "effect/socket"
import type { Prng } from "./Prng.ts"
import type { Machine, World } from "./World.ts"

/** What all connections run over. */
export interface Links {
  readonly world: World
  readonly prng: Prng
  /** Longest piece that arrives at once. */
  readonly segmentBytesMax: number
  /** A writer with more bytes than this on their way, or unread, waits. */
  readonly windowBytes: number
  /** Time that something sent now takes. */
  readonly delayMillis: (from: string, to: string) => number
  /** Nothing gets through at the moment. */
  readonly isStalled: (from: string, to: string) => boolean
}

/** What was held up is sent again so long after the way is free, at most. */
const retransmitMillis = 1000

/** One direction: what happens at its far end, in order. */
class Wire {
  private readonly links: Links
  private readonly from: string
  private readonly to: string
  /** Sent, and not arrived; the first `due` of them have had their time. */
  private underWay: Array<() => void> = []
  private due = 0
  private lastAt = 0

  constructor(links: Links, from: string, to: string) {
    this.links = links
    this.from = from
    this.to = to
  }

  send(arrive: () => void): void {
    const { delayMillis, world } = this.links
    this.lastAt = Math.max(this.lastAt, world.now + delayMillis(this.from, this.to))
    this.underWay.push(arrive)
    const { underWay } = this
    world.after(this.lastAt - world.now, () => {
      if (underWay !== this.underWay) return
      this.due++
      // behind what is held up already, it waits with it
      if (this.due === 1) this.flush()
    })
  }

  /** The way may be free again. */
  resume(): void {
    if (this.due > 0) this.links.world.after(this.links.prng.between(0, retransmitMillis), () => this.flush())
  }

  /** Loses what is under way. */
  drop(): void {
    this.underWay = []
    this.due = 0
  }

  private flush(): void {
    while (this.due > 0 && !this.links.isStalled(this.from, this.to)) {
      this.due--
      this.underWay.shift()!()
    }
  }
}

/** Both ends and both directions. */
export class Connection {
  readonly near: End
  readonly far: End
  private readonly wires: readonly [Wire, Wire]

  /** From the machine that dials, at `from`. `machine` of the other end is known once it takes the call. */
  constructor(links: Links, from: string, to: string, machine: Machine) {
    this.wires = [new Wire(links, from, to), new Wire(links, to, from)]
    this.near = new End(links, from, this.wires[0])
    this.far = new End(links, to, this.wires[1])
    this.near.machine = machine
    this.near.peer = this.far
    this.far.peer = this.near
  }

  get isOver(): boolean {
    return this.near.isGone && this.far.isGone
  }

  /** Whether it goes between these two places. */
  joins(one: string, other: string): boolean {
    return this.touches(one) && this.touches(other)
  }

  touches(place: string): boolean {
    return this.near.place === place || this.far.place === place
  }

  /** `answer` runs at the place that is dialled, when the call arrives there. */
  dial(answer: () => void): void {
    this.wires[0].send(answer)
  }

  /** Something on the way breaks it: both ends learn of it, each in its time, and what was under way is lost. */
  break(): void {
    for (const wire of this.wires) wire.drop()
    this.near.answerReset()
    this.far.answerReset()
  }

  /** The way may be free again. */
  resume(): void {
    for (const wire of this.wires) wire.resume()
  }
}

type State = "connecting" | "open" | "refused" | "reset"

/** What one process has of a connection. Mutable; touched by the process, and by what arrives for it. */
export class End {
  readonly place: string
  machine: Machine | undefined
  peer!: End
  /** The process has closed it, or is no more. */
  isGone = false
  private state: State = "connecting"
  /** The other end sends no more. */
  private isFinished = false
  /** This end sends no more. */
  private hasFinished = false
  private received: Array<Uint8Array> = []
  private receivedBytes = 0
  /** Bytes that were written, and that the other process has not read as far as is known here. */
  private outstandingBytes = 0
  private readonly links: Links
  private readonly wire: Wire
  private readonly readable = new Signal()
  private readonly room = Latch.makeUnsafe(true)

  constructor(links: Links, place: string, wire: Wire) {
    this.links = links
    this.place = place
    this.wire = wire
  }

  /** Waits until the other end has taken the call. */
  readonly connected: Effect.Effect<void, Socket.SocketError> = Effect.suspend(() => {
    if (this.state === "open") return Effect.void
    if (this.state === "connecting") return Effect.andThen(this.readable.wait, this.connected)
    const cause = new Error("connection refused")
    return Effect.fail(new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) }))
  })

  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError> = Effect.suspend(() => {
    if (this.isGone) return Effect.fail(closed(1006))
    if (this.received.length > 0) return Effect.succeed(this.take())
    if (this.state === "reset") return Effect.fail(failed(Socket.SocketReadError))
    if (this.isFinished) return Effect.fail(closed(1000))
    return Effect.andThen(this.readable.wait, this.pull)
  })

  write(chunks: ReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (!this.isBroken) this.transmit(join(chunks))
      return this.untilRoom
    })
  }

  /** The process sends no more, and goes on reading. */
  finishWriting(): void {
    if (this.hasFinished) return
    this.hasFinished = true
    this.wire.send(() => this.peer.learn(() => this.peer.isFinished = true))
  }

  /** The process has done with it, or has died and left it to the kernel. */
  close(): void {
    if (this.isGone) return
    this.isGone = true
    if (this.receivedBytes > 0) this.answerReset()
    else this.finishWriting()
    this.wake()
  }

  /** The machine is no more: nobody is told. */
  vanish(): void {
    this.isGone = true
  }

  /** The call was taken by a process on `machine`. */
  accept(machine: Machine): void {
    this.machine = machine
    this.state = "open"
    this.wire.send(() => this.peer.learn(() => this.peer.state = "open"))
  }

  /** Nobody takes the call. */
  refuse(): void {
    this.isGone = true
    this.wire.send(() => this.peer.learn(() => this.peer.state = "refused"))
  }

  /** Tells the other end that this one knows of no such connection. */
  answerReset(): void {
    this.wire.send(() =>
      this.peer.learn(() => {
        this.peer.state = "reset"
        if (this.links.prng.chance(0.5)) this.peer.discard()
      })
    )
  }

  private get isBroken(): boolean {
    return this.isGone || this.hasFinished || this.state === "reset"
  }

  private readonly untilRoom: Effect.Effect<void, Socket.SocketError> = Effect.suspend(() => {
    if (this.isBroken) return Effect.fail(failed(Socket.SocketWriteError))
    if (this.outstandingBytes <= this.links.windowBytes) return Effect.void
    this.room.closeUnsafe()
    return Effect.andThen(this.room.await, this.untilRoom)
  })

  private take(): NonEmptyReadonlyArray<Uint8Array> {
    const { receivedBytes } = this
    const whole = this.links.prng.chance(0.5) ? [join(this.received)] : this.received
    this.discard()
    this.wire.send(() => this.peer.learn(() => this.peer.outstandingBytes -= receivedBytes))
    return whole as unknown as NonEmptyReadonlyArray<Uint8Array>
  }

  private discard(): void {
    this.received = []
    this.receivedBytes = 0
  }

  private transmit(bytes: Uint8Array): void {
    const { prng, segmentBytesMax, world } = this.links
    world.mix(bytes.length)
    this.outstandingBytes += bytes.length
    for (let from = 0; from < bytes.length;) {
      const to = Math.min(bytes.length, from + 1 + prng.below(segmentBytesMax))
      const segment = bytes.subarray(from, to)
      this.wire.send(() => this.peer.receive(segment))
      from = to
    }
  }

  private receive(segment: Uint8Array): void {
    if (this.isGone) return this.answerReset()
    this.learn(() => {
      this.received.push(segment)
      this.receivedBytes += segment.length
    })
  }

  private learn(news: () => void): void {
    if (this.isGone) return
    news()
    this.wake()
  }

  /** Whoever waits looks again, when its machine gets to it. */
  private wake(): void {
    this.links.world.schedule(() => {
      this.readable.raise()
      this.room.openUnsafe()
    }, this.machine)
  }
}

const closed = (code: number) => new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

const failed = (Reason: typeof Socket.SocketReadError | typeof Socket.SocketWriteError) =>
  new Socket.SocketError({ reason: new Reason({ cause: new Error("connection reset") }) })

const encoder = new TextEncoder()

/** A copy, as a kernel takes one. */
const join = (chunks: ReadonlyArray<Uint8Array | string>): Uint8Array => {
  const parts = chunks.map((chunk) => typeof chunk === "string" ? encoder.encode(chunk) : chunk)
  const joined = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
