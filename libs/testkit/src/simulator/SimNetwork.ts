/**
 * The network between simulated members, as raft's `Transport` sees it: a connection per pair that comes up, breaks and comes up again, and frames on it that are
 * late, lost, out of order or doubled, as often as was drawn. Directions can be cut one by one, and clogged for a while.
 */
import { Transport } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import { Effect, Layer } from "effect"
import type { Prng } from "./Prng.ts"
import type { Machine, World } from "./World.ts"

export interface NetworkOptions {
  /** One-way delay. */
  readonly delayMinMillis: number
  readonly delayMeanMillis: number
  /** Probabilities, per frame. */
  readonly loss: number
  readonly duplicate: number
  readonly reorder: number
}

interface Port {
  readonly machine: Machine
  handlers: Transport.Handlers | undefined
  peers: ReadonlySet<MemberId>
}

/** Both directions between two members. */
interface Pair {
  readonly a: MemberId
  readonly b: MemberId
  isUp: boolean
  /** Counts connections: what was sent on an old one does not arrive on a new one. */
  epoch: number
  /** By direction and lane: when the last frame arrives. */
  readonly arrivals: Map<string, number>
}

/** A connection that has carried nothing for so long, because a direction is cut, breaks; one that may be made again is, after so long at most. */
const breakMillis = 3000
const connectMillis = 50

export class SimNetwork {
  framesSent = 0
  framesLost = 0
  framesDoubled = 0
  framesOvertaking = 0
  private readonly world: World
  private readonly prng: Prng
  private readonly options: NetworkOptions
  private readonly ports = new Map<MemberId, Port>()
  private readonly pairs = new Map<string, Pair>()
  private readonly cuts = new Set<string>()
  private readonly clogs = new Map<string, number>()
  private readonly lags = new Map<string, number>()
  private isCalm = false

  constructor(world: World, options: NetworkOptions) {
    this.world = world
    this.prng = world.prng.fork()
    this.options = options
  }

  /** The transport of a member for one boot of its machine. */
  layer(id: MemberId, machine: Machine): Layer.Layer<Transport.Transport> {
    const port: Port = { machine, handlers: undefined, peers: new Set() }
    return Layer.succeed(Transport.Transport, {
      serve: (handlers) =>
        Effect.sync(() => {
          port.handlers = handlers
          this.ports.set(id, port)
          this.connectAll(id)
        }),
      setPeers: (peers) =>
        Effect.sync(() => {
          port.peers = new Set(peers.map((peer) => peer.id))
          if (this.ports.get(id) === port) this.connectAll(id)
        }),
      sendUnsafe: (to, lane, chunks) => this.ports.get(id) === port && this.send(id, to, lane, chunks)
    })
  }

  /** The machine is gone, without a word; the others notice soon. */
  detach(id: MemberId): void {
    this.ports.delete(id)
    for (const pair of this.pairs.values()) if (pair.a === id || pair.b === id) this.breakUp(pair)
  }

  /** False if it was cut already. */
  cut(from: MemberId, to: MemberId): boolean {
    const key = directionOf(from, to)
    if (this.cuts.has(key)) return false
    this.cuts.add(key)
    this.world.after(this.prng.between(0, breakMillis), () => {
      if (this.cuts.has(key)) this.breakUp(this.pairOf(from, to))
    })
    return true
  }

  heal(from: MemberId, to: MemberId): void {
    if (this.cuts.delete(directionOf(from, to))) this.connectSoon(this.pairOf(from, to))
  }

  healAll(): void {
    this.cuts.clear()
    this.clogs.clear()
    this.lags.clear()
    for (const id of this.ports.keys()) this.connectAll(id)
  }

  /** Holds back everything sent in this direction for a while. */
  clog(from: MemberId, to: MemberId, millis: number): void {
    this.clogs.set(directionOf(from, to), this.world.now + millis)
  }

  /** Everything sent in this direction takes so much longer; 0 for no longer than usual. */
  lag(from: MemberId, to: MemberId, millis: number): void {
    this.lags.set(directionOf(from, to), millis)
  }

  /** From now on frames are delayed and nothing else. */
  calm(): void {
    this.isCalm = true
  }

  private send(from: MemberId, to: MemberId, lane: Transport.Lane, chunks: ReadonlyArray<Uint8Array>): boolean {
    const pair = this.pairOf(from, to)
    if (!pair.isUp) return false
    const frame = join(chunks)
    this.framesSent++
    this.world.mix(frame.length)
    this.world.mix(frame[0]!)
    const { prng } = this
    const lost = prng.chance(this.options.loss) && !this.isCalm
    const doubled = prng.chance(this.options.duplicate) && !this.isCalm
    if (lost) this.framesLost++
    else this.carry(pair, from, to, lane, frame)
    if (doubled) {
      this.framesDoubled++
      this.carry(pair, from, to, lane, frame)
    }
    return true
  }

  private carry(pair: Pair, from: MemberId, to: MemberId, lane: Transport.Lane, frame: Uint8Array): void {
    const { delayMeanMillis, delayMinMillis, reorder } = this.options
    const { epoch } = pair
    const { prng, world } = this
    const direction = directionOf(from, to)
    const key = `${direction}:${lane}`
    const clogged = Math.max(0, (this.clogs.get(direction) ?? 0) - world.now)
    const held = clogged + (this.lags.get(direction) ?? 0)
    let at = world.now + held + delayMinMillis + prng.exponential(delayMeanMillis - delayMinMillis)
    const overtakes = prng.chance(reorder) && !this.isCalm
    if (overtakes) this.framesOvertaking++
    else {
      at = Math.max(at, pair.arrivals.get(key) ?? 0)
      pair.arrivals.set(key, at)
    }
    world.after(at - world.now, () => {
      const port = this.ports.get(to)
      if (pair.epoch !== epoch || port === undefined || this.cuts.has(direction)) return
      world.schedule(() => port.handlers?.onFrame(from, lane, frame), port.machine)
    })
  }

  private connectAll(id: MemberId): void {
    for (const other of this.ports.keys()) if (other !== id) this.connectSoon(this.pairOf(id, other))
  }

  private connectSoon(pair: Pair): void {
    if (pair.isUp && this.mayConnect(pair)) return
    this.world.after(this.prng.between(0, connectMillis), () => {
      if (!pair.isUp && this.mayConnect(pair)) {
        pair.isUp = true
        pair.epoch++
        pair.arrivals.clear()
        this.tell(pair, (handlers, peer) => handlers.onUp(peer))
      } else if (pair.isUp && !this.areAcquainted(pair)) this.breakUp(pair)
    })
  }

  /**
   * One goes by a configuration with the other in it. The other may be new, or behind, and not know it: a whole member then asks around whom to hear
   * (`FirstContact` in `@dkv/member`), which is not simulated.
   */
  private areAcquainted({ a, b }: Pair): boolean {
    const one = this.ports.get(a)?.peers
    const other = this.ports.get(b)?.peers
    return one !== undefined && other !== undefined && (one.has(b) || other.has(a))
  }

  private mayConnect(pair: Pair): boolean {
    const { a, b } = pair
    return this.areAcquainted(pair) && !this.cuts.has(directionOf(a, b)) && !this.cuts.has(directionOf(b, a))
  }

  private breakUp(pair: Pair): void {
    if (!pair.isUp) return
    pair.isUp = false
    pair.epoch++
    this.tell(pair, (handlers, peer) => handlers.onDown(peer))
    this.connectSoon(pair)
  }

  private tell({ a, b }: Pair, say: (handlers: Transport.Handlers, peer: MemberId) => void): void {
    for (const [id, peer] of [[a, b], [b, a]] as const) {
      const port = this.ports.get(id)
      if (port === undefined) continue
      this.world.schedule(() => {
        if (port.handlers !== undefined) say(port.handlers, peer)
      }, port.machine)
    }
  }

  private pairOf(one: MemberId, other: MemberId): Pair {
    const [a, b] = one < other ? [one, other] : [other, one]
    const key = directionOf(a, b)
    let pair = this.pairs.get(key)
    if (pair === undefined) this.pairs.set(key, pair = { a, b, isUp: false, epoch: 0, arrivals: new Map() })
    return pair
  }
}

const directionOf = (from: MemberId, to: MemberId): string => `${from}>${to}`

/** The bytes of the chunks, one after another. */
export const join = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  if (chunks.length === 1) return chunks[0]!
  let length = 0
  for (const chunk of chunks) length += chunk.length
  const joined = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    joined.set(chunk, at)
    at += chunk.length
  }
  return joined
}
