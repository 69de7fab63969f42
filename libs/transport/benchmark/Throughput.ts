/**
 * Frames per second between two members in this process, over loopback TCP and over `TransportMemory`; sender and receiver
 * share one core, so a real pair does better. Run: node libs/transport/benchmark/Throughput.ts
 */
import { Transport } from "@dkv/raft"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Clock, Console, Context, Deferred, Effect, Exit, Layer } from "effect"
import { MemoryNetwork, PeerPort, PeerTransport, TransportMemory } from "../src/index.ts"
import { PeerPortTcp } from "../src/node.ts"

const clusterId = "00000000000000c1"
const ids = ["0000000000000001", "0000000000000002"] as const

const tcp = (memberId: string) =>
  Effect.map(
    Layer.build(
      PeerTransport.layer({ clusterId, memberId }).pipe(
        Layer.provideMerge(PeerPortTcp.layer({ host: "127.0.0.1", port: 0 }))
      )
    ),
    (context) => ({
      address: Context.get(context, PeerPort.PeerPort).addresses[0]!,
      transport: Context.get(context, Transport.Transport)
    })
  )

const memory = (memberId: string) =>
  Effect.map(
    Layer.build(TransportMemory.layer({ clusterId, memberId, address: memberId })),
    (context) => ({ address: memberId, transport: Context.get(context, Transport.Transport) })
  )

const measure = Effect.fnUntraced(function*<R>(
  name: string,
  member: (
    id: string
  ) => Effect.Effect<{ address: string; transport: Transport.Transport["Service"] }, Transport.TransportError, R>,
  bytes: number,
  count: number,
  inFlight: number
) {
  const a = yield* member(ids[0])
  const b = yield* member(ids[1])
  const peers = [{ id: ids[0], address: a.address }, { id: ids[1], address: b.address }]
  const clock = yield* Clock.Clock
  const head = new Uint8Array(32)
  const body = new Uint8Array(bytes - 32)
  const rates: Array<number> = []
  const done = yield* Deferred.make<void>()
  let sent = 0
  let received = 0
  let began = 0n
  const pump = () => {
    while (sent < count && sent - received < inFlight && a.transport.sendUnsafe(ids[1], "raft", [head, body])) sent++
  }
  const round = () => {
    sent = 0
    received = 0
    began = clock.monotonicTimeNanosUnsafe()
    pump()
  }
  const onFrame = () => {
    received++
    if (received === count) {
      rates.push(count / Number(clock.monotonicTimeNanosUnsafe() - began) * 1e9)
      if (rates.length < 6) round()
      else Deferred.doneUnsafe(done, Exit.void)
    } else if (sent - received <= inFlight / 2) pump()
  }
  const quiet = { onFrame: () => {}, onUp: () => {}, onDown: () => {} }
  for (const { transport } of [a, b]) yield* transport.setPeers(peers)
  yield* b.transport.serve({ ...quiet, onFrame })
  yield* a.transport.serve({ ...quiet, onUp: round })
  yield* Deferred.await(done)
  const [median] = rates.slice(1).sort((one, other) => one - other).slice(2)
  yield* Console.log(
    `${name.padEnd(18)} ${String(bytes).padStart(6)} B  ${String(inFlight).padStart(5)} in flight  ` +
      `${Math.round(median!).toLocaleString("en")} frames/s  ${(median! * bytes / 1e6).toFixed(0)} MB/s`
  )
}, Effect.scoped)

const main = Effect.gen(function*() {
  yield* measure("loopback TCP", tcp, 256, 200_000, 10_000)
  yield* measure("loopback TCP", tcp, 256, 20_000, 1)
  yield* measure("loopback TCP", tcp, 65_536, 10_000, 64)
  yield* measure("TransportMemory", memory, 256, 500_000, 10_000)
  yield* measure("TransportMemory", memory, 65_536, 20_000, 64)
}).pipe(Effect.provide(MemoryNetwork.MemoryNetwork.layer))

NodeRuntime.runMain(main)
