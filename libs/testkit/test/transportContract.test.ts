import { Transport } from "@dkv/raft"
import { Limits, MemoryNetwork, PeerPort, PeerPortMemory, PeerTransport, TransportMemory } from "@dkv/transport"
import { PeerPortTcp } from "@dkv/transport/node"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, References } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import { cases } from "../src/contract/TransportContract.ts"
import type { Subject } from "../src/contract/TransportContract.ts"

const { frameBytesMax } = Limits
const quiet = Effect.provideService(References.MinimumLogLevel, "None")
const virtualTick = TestClock.adjust("50 millis")

const memorySubject = (
  layerOf: (identity: PeerTransport.Identity, address: string) => Layer.Layer<
    Transport.Transport,
    Transport.TransportError,
    MemoryNetwork.MemoryNetwork
  >
): Effect.Effect<Subject, never, Scope.Scope> =>
  Effect.gen(function*() {
    const network = yield* Layer.build(MemoryNetwork.MemoryNetwork.layer)
    let made = 0
    return {
      frameBytesMax,
      tick: virtualTick,
      member: Effect.fnUntraced(function*({ at, clusterId, id }) {
        const address = at ?? `address-${++made}`
        const context = yield* Layer.build(layerOf({ clusterId, memberId: id }, address)).pipe(
          Effect.provideContext(network)
        )
        return { address, transport: Context.get(context, Transport.Transport) }
      })
    } satisfies Subject
  })

const tcpSubject: Subject = {
  frameBytesMax,
  tick: Effect.sleep("5 millis"),
  member: Effect.fnUntraced(function*({ at, clusterId, id }) {
    const port = at === undefined ? 0 : Number(at.split(":")[1])
    const context = yield* Layer.build(
      PeerTransport.layer({ clusterId, memberId: id }).pipe(
        Layer.provideMerge(PeerPortTcp.layer({ host: "127.0.0.1", port }))
      )
    )
    return {
      address: Context.get(context, PeerPort.PeerPort).addresses[0]!,
      transport: Context.get(context, Transport.Transport)
    }
  })
}

describe("TransportMemory", () => {
  const subject = memorySubject((identity, address) => TransportMemory.layer({ ...identity, address }))
  for (const { name, run } of cases) it.effect(name, () => quiet(Effect.flatMap(subject, run)))
})

describe("PeerTransport over PeerPortMemory", () => {
  const subject = memorySubject((identity, address) =>
    PeerTransport.layer(identity).pipe(Layer.provide(PeerPortMemory.layer({ address })))
  )
  for (const { name, run } of cases) it.effect(name, () => quiet(Effect.flatMap(subject, run)))
})

describe("PeerTransport over PeerPortTcp", () => {
  for (const { name, run } of cases) it.live(name, () => quiet(run(tcpSubject)))
})
