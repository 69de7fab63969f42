/**
 * Raft's `Transport` straight on a `MemoryNetwork`: frames are handed to the peer as they are, in one scheduled batch per turn,
 * without connections, framing or checksums. For clusters inside one program, and for simulations.
 *
 * A lane is up while both members serve and each has the other among its peers. Blocked links lose frames without taking the
 * lane down, `reset` takes it down and up again.
 */
import { Transport } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import { Effect, Layer, Scope } from "effect"
import type { Identity } from "./Incoming.ts"
import { frameBytesMax, queueBytesMax, queueFramesMax } from "./Limits.ts"
import { MemoryNetwork } from "./MemoryNetwork.ts"
import { MemoryPipe } from "./MemoryPipe.ts"

/** `address` is any string, unique in the network; serving fails with `TransportError` if it is taken. */
export const layer = (
  options: Identity & { readonly address: string }
): Layer.Layer<Transport.Transport, never, MemoryNetwork> =>
  Layer.effect(Transport.Transport, Effect.map(MemoryNetwork, (network) => make(network, options)))

interface Delivery {
  readonly lane: Transport.Lane
  readonly frame: Uint8Array
}

/** A member that serves, as the others in the network find it. */
class Endpoint {
  readonly identity: Identity
  readonly address: string
  readonly handlers: Transport.Handlers
  readonly scope: Scope.Scope
  peers: ReadonlyMap<MemberId, Transport.Peer>
  /** What this member sends, by receiver. */
  readonly lanes = new Map<MemberId, Lane>()

  constructor(
    options: Identity & { readonly address: string },
    serving: Pick<Endpoint, "handlers" | "scope" | "peers">
  ) {
    this.identity = options
    this.address = options.address
    this.handlers = serving.handlers
    this.scope = serving.scope
    this.peers = serving.peers
  }
}

interface Lane {
  readonly to: Endpoint
  readonly pipe: MemoryPipe<Delivery>
}

const make = (
  network: MemoryNetwork["Service"],
  options: Identity & { readonly address: string }
): Transport.Transport["Service"] => {
  let peers: ReadonlyMap<MemberId, Transport.Peer> = new Map()
  let self: Endpoint | undefined = undefined

  const others = (): ReadonlyArray<Endpoint> =>
    [...network.listeners.values()].filter((one): one is Endpoint => one instanceof Endpoint && one !== self)

  /** Brings the lanes of `self` with everyone into line with who serves and who knows whom. */
  const reconcile = Effect.suspend(() =>
    self === undefined
      ? Effect.void
      : Effect.forEach(others(), (other) => Effect.andThen(join(network, self!, other), join(network, other, self!)), {
        discard: true
      })
  )

  const serve: Transport.Transport["Service"]["serve"] = Effect.fnUntraced(function*(handlers) {
    if (network.listeners.has(options.address)) {
      return yield* new Transport.TransportError({ message: `Peer address ${options.address} is taken` })
    }
    const scope = yield* Scope.make()
    const endpoint = new Endpoint(options, { handlers, scope, peers })
    self = endpoint
    network.listeners.set(options.address, endpoint)
    yield* Effect.addFinalizer((exit) =>
      Effect.suspend(() => {
        self = undefined
        network.listeners.delete(options.address)
        for (const other of others()) part(other, endpoint)
        for (const lane of endpoint.lanes.values()) lane.pipe.break()
        endpoint.lanes.clear()
        return Scope.close(scope, exit)
      })
    )
    yield* reconcile
  })

  return Transport.Transport.of({
    serve,
    setPeers: (all) =>
      Effect.suspend(() => {
        peers = new Map(
          all.filter(({ id }) => id !== options.memberId).map((peer) => [peer.id, peer])
        )
        if (self !== undefined) self.peers = peers
        return reconcile
      }),
    sendUnsafe: (peer, lane, chunks) => {
      const found = self?.lanes.get(peer)
      return found === undefined ? false : send(found, lane, chunks)
    }
  })
}

const send = ({ pipe }: Lane, lane: Transport.Lane, chunks: ReadonlyArray<Uint8Array>): boolean => {
  const frame = chunks.length === 1 ? chunks[0]! : concat(chunks)
  const isFull = pipe.count >= queueFramesMax || pipe.bytes + frame.length > queueBytesMax[lane]
  if (frame.length > frameBytesMax || pipe.isClosed || isFull) return false
  if (!pipe.link.blocked && !pipe.link.drawDrop()) pipe.offer({ lane, frame }, frame.length)
  return true
}

const know = (one: Endpoint, other: Endpoint): boolean =>
  one.identity.clusterId === other.identity.clusterId &&
  one.peers.get(other.identity.memberId)?.address === other.address &&
  other.peers.has(one.identity.memberId)

/** Opens or closes the lane `from` → `to`, whichever is due. */
const join = (network: MemoryNetwork["Service"], from: Endpoint, to: Endpoint): Effect.Effect<void> =>
  Effect.suspend(() => {
    const id = to.identity.memberId
    const present = from.lanes.get(id)
    if (!know(from, to)) {
      if (present?.to === to) part(from, to)
      return Effect.void
    }
    if (present?.to === to) return Effect.void
    return Effect.flatMap(MemoryPipe.make<Delivery>(network.link(from.address, to.address)), (pipe) => {
      const lane: Lane = { to, pipe }
      from.lanes.set(id, lane)
      from.handlers.onUp(id)
      return Effect.forkIn(deliver(network, from, lane), to.scope)
    })
  })

const part = (from: Endpoint, to: Endpoint): void => {
  const id = to.identity.memberId
  const lane = from.lanes.get(id)
  if (lane?.to !== to) return
  from.lanes.delete(id)
  lane.pipe.break()
  from.handlers.onDown(id)
}

const deliver = Effect.fnUntraced(function*(network: MemoryNetwork["Service"], from: Endpoint, { pipe, to }: Lane) {
  const id = from.identity.memberId
  while (true) {
    const deliveries = yield* pipe.pull
    if (deliveries === undefined) break
    for (let i = 0; i < deliveries.length && to.peers.has(id); i++) {
      to.handlers.onFrame(id, deliveries[i]!.lane, deliveries[i]!.frame)
    }
  }
  if (from.lanes.get(to.identity.memberId)?.pipe !== pipe) return
  // The network broke it, not one of the two.
  part(from, to)
  if (network.listeners.get(from.address) === from) yield* join(network, from, to)
})

const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  let bytes = 0
  for (const chunk of chunks) bytes += chunk.length
  const out = new Uint8Array(bytes)
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}
