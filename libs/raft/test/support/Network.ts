/** A network in memory: frames arrive in order after a delay, unless their link is cut. */
import { Effect, Queue } from "effect"
import type { Scope } from "effect"
import type { MemberId, Transport } from "../../src/index.ts"

interface Flight {
  readonly to: MemberId
  readonly from: MemberId
  readonly lane: Transport.Lane
  readonly frame: Uint8Array
}

export class Network {
  readonly handlers = new Map<MemberId, Transport.Handlers>()
  private readonly cuts = new Set<string>()
  private readonly flights: Queue.Queue<Flight>
  frames = 0
  /** A longer frame is not sent. */
  frameBytesMax = Infinity
  /** Drops a frame if it says so. */
  filter: (from: MemberId, to: MemberId, frame: Uint8Array) => boolean = () => true
  /** Delivers a frame twice if it says so. */
  repeat: (from: MemberId, to: MemberId, frame: Uint8Array) => boolean = () => false

  constructor(flights: Queue.Queue<Flight>) {
    this.flights = flights
  }

  /** Frames from `from` to `to` are lost from now on. */
  cut(from: MemberId, to: MemberId): void {
    this.cuts.add(`${from}>${to}`)
  }

  isolate(id: MemberId): void {
    for (const other of this.handlers.keys()) {
      if (other === id) continue
      this.cut(id, other)
      this.cut(other, id)
    }
  }

  heal(): void {
    this.cuts.clear()
  }

  /** The link between two members breaks, and both notice. */
  sever(one: MemberId, other: MemberId): void {
    this.cut(one, other)
    this.cut(other, one)
    this.handlers.get(one)?.onDown(other)
    this.handlers.get(other)?.onDown(one)
  }

  /** A severed link comes up again. */
  mend(one: MemberId, other: MemberId): void {
    this.cuts.delete(`${one}>${other}`)
    this.cuts.delete(`${other}>${one}`)
    this.handlers.get(one)?.onUp(other)
    this.handlers.get(other)?.onUp(one)
  }

  deliver({ frame, from, lane, to }: Flight): void {
    if (this.cuts.has(`${from}>${to}`) || !this.filter(from, to, frame)) return
    this.frames++
    this.handlers.get(to)?.onFrame(from, lane, frame)
    if (this.repeat(from, to, frame)) this.handlers.get(to)?.onFrame(from, lane, frame)
  }

  service(id: MemberId): Transport.Transport["Service"] {
    return {
      serve: (handlers) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            this.handlers.set(id, handlers)
            for (const [other, theirs] of this.handlers) {
              if (other === id) continue
              theirs.onUp(id)
              handlers.onUp(other)
            }
          }),
          () =>
            Effect.sync(() => {
              this.handlers.delete(id)
              for (const handlers of this.handlers.values()) handlers.onDown(id)
            })
        ),
      setPeers: () => Effect.void,
      sendUnsafe: (to, lane, chunks) => {
        if (!this.handlers.has(to) || this.cuts.has(`${id}>${to}`)) return false
        const frame = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
        if (frame.length > this.frameBytesMax) return false
        let offset = 0
        for (const chunk of chunks) {
          frame.set(chunk, offset)
          offset += chunk.length
        }
        return Queue.offerUnsafe(this.flights, { from: id, to, lane, frame })
      }
    }
  }
}

export const make: Effect.Effect<Network, never, Scope.Scope> = Effect.gen(function*() {
  const flights = yield* Queue.unbounded<Flight>()
  const network = new Network(flights)
  yield* Effect.forkScoped(Effect.forever(Effect.map(Queue.takeAll(flights), (batch) => {
    for (const flight of batch) network.deliver(flight)
  })))
  return network
})
