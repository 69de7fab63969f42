/**
 * Raft's `Transport` over a `PeerPort`: for each peer an outgoing connection per lane (`Outgoing`), and what the peers have
 * opened in turn (`Incoming`). One timer serves them all.
 */
import { Transport } from "@dkv/raft"
import type { MemberId } from "@dkv/raft"
import { Context, Effect, Fiber, Layer, Scope } from "effect"
import { Incoming } from "./Incoming.ts"
import { lingerMillisMax, pingMillis } from "./Limits.ts"
import * as LogLimit from "./LogLimit.ts"
import * as Outgoing from "./Outgoing.ts"
import { PeerPort } from "./PeerPort.ts"

import type { Identity } from "./Incoming.ts"

export type { Identity }

export interface LinkStatus {
  readonly peer: MemberId
  readonly lane: Transport.Lane
  readonly state: Outgoing.State
  /** Why the last attempt failed; undefined while the link is up. */
  readonly failure: string | undefined
  readonly queuedBytes: number
}

/** What an operator may want to know of the connections to the other members. */
export class Links extends Context.Service<Links, {
  readonly status: Effect.Effect<ReadonlyArray<LinkStatus>>
}>()("@dkv/transport/Links") {}

/** Raft's transport for one member, and the state of its links. */
export const layer = (identity: Identity): Layer.Layer<Transport.Transport | Links, never, PeerPort> =>
  Layer.effectContext(make(identity))

interface Serving {
  readonly handlers: Transport.Handlers
  readonly scope: Scope.Scope
}

interface Lanes {
  readonly peer: Transport.Peer
  readonly links: Readonly<Record<Transport.Lane, Outgoing.Outgoing>>
  readonly fibers: ReadonlyArray<Fiber.Fiber<void>>
  isUp: boolean
  /** No longer in the configuration: says nothing more about itself. */
  retired: boolean
}

const make = Effect.fnUntraced(function*(identity: Identity) {
  const port = yield* PeerPort
  const log = yield* LogLimit.make
  const incoming = new Incoming(identity, log)
  const lanes = new Map<MemberId, Lanes>()
  let peers: ReadonlyMap<MemberId, Transport.Peer> = new Map()
  let serving: Serving | undefined = undefined

  const start = Effect.fnUntraced(function*(peer: Transport.Peer, { handlers, scope }: Serving) {
    const launch = (link: Outgoing.Outgoing, up: (isUp: boolean) => void) =>
      Outgoing.run(
        link,
        port,
        { kind: link.lane, clusterId: identity.clusterId, from: identity.memberId, to: peer.id },
        {
          onUp: () => up(true),
          onDown: () => up(false),
          log
        }
      ).pipe(
        Effect.tapDefect((defect) => Effect.logError(`The ${link.lane} link to member ${peer.id} has failed`, defect)),
        Effect.forkIn(scope)
      )
    const links = { raft: yield* Outgoing.make(peer, "raft"), bulk: yield* Outgoing.make(peer, "bulk") }
    const fibers: Array<Fiber.Fiber<void>> = []
    const entry: Lanes = { peer, links, fibers, isUp: false, retired: false }
    lanes.set(peer.id, entry)
    fibers.push(
      yield* launch(links.raft, (isUp) => {
        entry.isUp = isUp
        if (entry.retired || serving === undefined) return
        if (isUp) handlers.onUp(peer.id)
        else handlers.onDown(peer.id)
      }),
      yield* launch(links.bulk, () => {})
    )
  })

  /** What is queued is still sent, for a while: a removed member should hear that it was. */
  const retire = Effect.fnUntraced(function*(entry: Lanes, { handlers, scope }: Serving) {
    lanes.delete(entry.peer.id)
    entry.retired = true
    entry.links.raft.close()
    entry.links.bulk.close()
    if (entry.isUp) handlers.onDown(entry.peer.id)
    yield* Fiber.awaitAll(entry.fibers).pipe(
      Effect.timeoutOption(lingerMillisMax),
      Effect.andThen(Fiber.interruptAll(entry.fibers)),
      Effect.forkIn(scope)
    )
  })

  const reconcile = Effect.fnUntraced(function*(to: Serving) {
    for (const entry of [...lanes.values()]) {
      if (peers.get(entry.peer.id)?.address !== entry.peer.address) yield* retire(entry, to)
    }
    for (const peer of peers.values()) if (!lanes.has(peer.id)) yield* start(peer, to)
  })

  const setPeers: Transport.Transport["Service"]["setPeers"] = Effect.fnUntraced(function*(all) {
    peers = new Map(all.filter(({ id }) => id !== identity.memberId).map((peer) => [peer.id, peer]))
    incoming.setPeers(new Set(peers.keys()))
    if (serving !== undefined) yield* reconcile(serving)
  }, Effect.uninterruptible)

  const serve: Transport.Transport["Service"]["serve"] = Effect.fnUntraced(function*(handlers) {
    if (serving !== undefined) {
      return yield* new Transport.TransportError({ message: "this member's transport is in use already" })
    }
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) =>
      Effect.suspend(() => {
        serving = undefined
        lanes.clear()
        incoming.closeAll()
        return Scope.close(scope, exit)
      })
    )
    serving = { handlers, scope }
    yield* Scope.provide(
      port.accept(["raft", "bulk"], {
        admit: (hello) => incoming.admit(hello),
        run: (hello, connection) =>
          Effect.suspend(() => {
            lanes.get(hello.from)?.links.raft.kick()
            return incoming.run(hello.kind === "bulk" ? "bulk" : "raft", hello, connection, handlers.onFrame)
          })
      }),
      scope
    )
    yield* reconcile(serving)
    yield* Effect.sync(() => {
      incoming.tick()
      for (const { links } of lanes.values()) {
        links.raft.tick()
        links.bulk.tick()
      }
    }).pipe(Effect.delay(pingMillis), Effect.forever, Effect.forkIn(scope))
  })

  const transport = Transport.Transport.of({
    serve,
    setPeers,
    sendUnsafe: (peer, lane, chunks) => lanes.get(peer)?.links[lane].send(chunks) ?? false
  })
  const status = Effect.sync(() =>
    [...lanes.values()].flatMap(({ links, peer }) =>
      [links.raft, links.bulk].map((link): LinkStatus => ({
        peer: peer.id,
        lane: link.lane,
        state: link.state,
        failure: link.failure,
        queuedBytes: link.outbox.bytes
      }))
    )
  )
  return Context.make(Transport.Transport, transport).pipe(Context.add(Links, Links.of({ status })))
})
