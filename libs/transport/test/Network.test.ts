import { Transport } from "@dkv/raft"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Random, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Socket from "effect/socket/Socket"
import { Buffer } from "node:buffer"
import {
  Checksum,
  Limits,
  MemoryNetwork,
  PeerPort,
  PeerPortMemory,
  PeerTransport,
  TransportMemory
} from "../src/index.ts"
import * as MemorySocket from "../src/MemorySocket.ts"

const clusterId = "00000000000000c1"
const quiet = Effect.provideService(References.MinimumLogLevel, "None")

const cluster = Effect.fnUntraced(function*(
  layerOf: (identity: PeerTransport.Identity, address: string) => Layer.Layer<
    Transport.Transport,
    Transport.TransportError,
    MemoryNetwork.MemoryNetwork
  >
) {
  const network = yield* Layer.build(MemoryNetwork.MemoryNetwork.layer)
  const member = Effect.fnUntraced(function*(n: number) {
    const id = n.toString(16).padStart(16, "0")
    const address = `node-${n}`
    const scope = yield* Scope.fork(yield* Effect.scope)
    const context = yield* Layer.build(layerOf({ clusterId, memberId: id }, address)).pipe(
      Effect.provideContext(network),
      Scope.provide(scope)
    )
    const transport = Context.get(context, Transport.Transport)
    const frames: Array<string> = []
    const events: Array<string> = []
    const served = transport.serve({
      onFrame: (_, __, frame) => frames.push(Buffer.from(frame).toString()),
      onUp: () => events.push("up"),
      onDown: () => events.push("down")
    })
    yield* Scope.provide(served, scope)
    return { id, address, transport, frames, events, die: Scope.close(scope, Exit.void) }
  })
  const one = yield* member(1)
  const two = yield* member(2)
  yield* one.transport.setPeers([one, two])
  yield* two.transport.setPeers([one, two])
  yield* TestClock.adjust(Limits.redialMillis.max)
  assert.deepStrictEqual([one.events, two.events], [["up"], ["up"]])
  return { network: Context.get(network, MemoryNetwork.MemoryNetwork), one, two, member }
})

const framed = (identity: PeerTransport.Identity, address: string) =>
  PeerTransport.layer(identity).pipe(Layer.provide(PeerPortMemory.layer({ address })))

/** The same, through sockets that take `bytesPerMilli` and no more. */
const throttled = (identity: PeerTransport.Identity, address: string, bytesPerMilli: number) => {
  const pieceBytes = 16 * 1024
  const slow = (socket: Socket.Socket): Socket.Socket =>
    Socket.make({
      reader: socket.reader,
      writer: Effect.map(socket.writer, (writer) => {
        const write: Socket.Writer["write"] = (chunk) => {
          if (!(chunk instanceof Uint8Array)) return writer.write(chunk)
          const pieces = Array.from(
            { length: Math.ceil(chunk.length / pieceBytes) },
            (_, at) => chunk.subarray(at * pieceBytes, (at + 1) * pieceBytes)
          )
          return Effect.forEach(
            pieces,
            (piece) => Effect.delay(writer.write(piece), piece.length / bytesPerMilli),
            { discard: true }
          )
        }
        return { write, writeAll: (chunks) => Effect.forEach(chunks, write, { discard: true }) }
      })
    })
  const port = Layer.effect(
    PeerPort.PeerPort,
    Effect.gen(function*() {
      const network = yield* MemoryNetwork.MemoryNetwork
      const server = yield* MemorySocket.listen(network, address)
      return yield* PeerPort.make({
        addresses: [address],
        servers: [server!],
        dial: (to) => Effect.map(MemorySocket.dial(network, address, to), slow),
        checksum: Checksum.crc32c
      })
    })
  )
  return PeerTransport.layer(identity).pipe(Layer.provide(port))
}
const direct = (identity: PeerTransport.Identity, address: string) => TransportMemory.layer({ ...identity, address })

/** Lets everything happen that can, and then time pass. */
const pass = Effect.fnUntraced(function*(millis: number) {
  yield* Effect.repeat(Effect.yieldNow, { times: 50 })
  yield* TestClock.adjust(millis)
  yield* Effect.repeat(Effect.yieldNow, { times: 50 })
})

const tell = (
  from: { readonly transport: Transport.Transport["Service"] },
  to: { readonly id: string },
  text: string
) => from.transport.sendUnsafe(to.id, "raft", [Buffer.from(text)])

const silenceMillis = Limits.pingMillis * (Limits.silentPingsMax + 1)

describe("PeerTransport on a MemoryNetwork", () => {
  it.effect("takes a link down that is silent one way only, and up again when it is healed", () =>
    quiet(Effect.gen(function*() {
      const { network, one, two } = yield* cluster(framed)
      yield* network.change(one.address, two.address, { blocked: true })
      assert.isTrue(tell(one, two, "lost"))
      yield* pass(silenceMillis)
      assert.deepStrictEqual(one.events, ["up", "down"])
      assert.deepStrictEqual(two.events, ["up", "down"])
      assert.isFalse(tell(one, two, "refused"))
      yield* network.heal
      yield* pass(Limits.handshakeMillisMax + Limits.redialMillis.max)
      assert.deepStrictEqual([one.events, two.events], [["up", "down", "up"], ["up", "down", "up"]])
      tell(one, two, "found")
      yield* pass(1)
      assert.deepStrictEqual(two.frames, ["found"])
    })))

  it.effect("keeps a link that stalls for less than the silence it allows, and loses nothing on it", () =>
    quiet(Effect.gen(function*() {
      const { network, one, two } = yield* cluster(framed)
      yield* network.partition([one.address], [two.address])
      tell(one, two, "late")
      yield* pass(Limits.pingMillis * (Limits.silentPingsMax - 1))
      assert.deepStrictEqual(two.frames, [])
      yield* network.heal
      yield* pass(1)
      assert.deepStrictEqual(two.frames, ["late"])
      yield* pass(60_000)
      assert.deepStrictEqual(one.events, ["up"])
    })))

  it.effect("keeps a slow link with a long queue, on which pings wait behind the queue", () =>
    quiet(Effect.gen(function*() {
      const { network, one, two } = yield* cluster(framed)
      yield* network.change(one.address, two.address, { delayMillis: 2_500 })
      for (let i = 0; i < 12; i++) assert.isTrue(tell(one, two, "x".repeat(1_000_000)))
      yield* pass(60_000)
      assert.strictEqual(two.frames.length, 12)
      assert.deepStrictEqual([one.events, two.events], [["up"], ["up"]])
    })))

  for (const [mebibytes, megabits] of [[8, 10], [7, 2], [1.5, 2]] as const) {
    it.effect(`keeps a link of ${megabits} Mbit/s on which a frame of ${mebibytes} MiB is under way for long`, () =>
      quiet(Effect.gen(function*() {
        const { one, two } = yield* cluster((identity, address) => throttled(identity, address, megabits * 125))
        const large = "x".repeat(mebibytes * 1024 * 1024 - 16)
        assert.isTrue(tell(one, two, large))
        assert.isTrue(tell(one, two, "behind it"))
        yield* pass(60_000)
        assert.deepStrictEqual([one.events, two.events], [["up"], ["up"]])
        assert.deepStrictEqual(two.frames.map((frame) => frame.length), [large.length, 9])
      })))
  }

  it.effect("takes a link down that falls silent in the middle of a large frame", () =>
    quiet(Effect.gen(function*() {
      const { network, one, two } = yield* cluster((identity, address) => throttled(identity, address, 250))
      assert.isTrue(tell(one, two, "x".repeat(7 * 1024 * 1024)))
      yield* pass(10_000)
      assert.deepStrictEqual([one.events, two.events], [["up"], ["up"]])
      yield* network.change(one.address, two.address, { blocked: true })
      yield* pass(silenceMillis + 2 * Limits.pingMillis)
      assert.deepStrictEqual([one.events, two.events], [["up", "down"], ["up", "down"]])
    })))

  it.effect("forgets what was queued when a link breaks, and has room for as much again", () =>
    quiet(Effect.gen(function*() {
      const { network, one, two } = yield* cluster(framed)
      const fill = (text: string): number => {
        let taken = 0
        while (tell(one, two, text + "x".repeat(1_000_000))) taken++
        return taken
      }
      yield* network.partition([one.address], [two.address])
      const taken = fill("old")
      yield* pass(silenceMillis)
      assert.deepStrictEqual(one.events, ["up", "down"])
      yield* network.heal
      yield* pass(Limits.handshakeMillisMax + Limits.redialMillis.max)
      assert.deepStrictEqual(one.events, ["up", "down", "up"])
      assert.strictEqual(fill("new"), taken)
      yield* pass(1_000)
      assert.strictEqual(two.frames.filter((frame) => frame.startsWith("new")).length, taken)
      assert.strictEqual(two.frames.filter((frame) => frame.startsWith("old")).length, 0)
    })))

  it.effect("still sends to a removed peer what was queued before, and then closes the connection", () =>
    quiet(Effect.gen(function*() {
      const { one, two } = yield* cluster(framed)
      assert.isTrue(tell(one, two, "you are removed"))
      yield* one.transport.setPeers([])
      assert.isFalse(tell(one, two, "too late"))
      yield* pass(1)
      assert.deepStrictEqual(two.frames, ["you are removed"])
      assert.deepStrictEqual([one.events, two.events], [["up", "down"], ["up", "down"]])
    })))

  it.effect("dials at once, pausing or not, when the peer that was dead dials in", () =>
    quiet(Effect.gen(function*() {
      const { one, two, member } = yield* cluster(framed)
      yield* two.die
      yield* pass(60_000)
      assert.deepStrictEqual(one.events, ["up", "down"])
      const again = yield* member(2)
      yield* again.transport.setPeers([one])
      yield* pass(1)
      yield* pass(1)
      assert.deepStrictEqual(one.events, ["up", "down", "up"])
    })))

  it.effect("notices a broken connection at once and dials again soon", () =>
    quiet(Effect.gen(function*() {
      const { network, one, two } = yield* cluster(framed)
      yield* network.reset(one.address, two.address)
      yield* pass(1)
      assert.deepStrictEqual(one.events, ["up", "down"])
      yield* pass(Limits.redialMillis.first)
      assert.deepStrictEqual(one.events, ["up", "down", "up"])
    })))

  it.effect("closes an idle bulk lane, and opens it again for the next frame", () =>
    quiet(Effect.gen(function*() {
      const network = yield* Layer.build(MemoryNetwork.MemoryNetwork.layer)
      const build = (n: number) =>
        Effect.provideContext(
          Layer.build(framed({ clusterId, memberId: n.toString().padStart(16, "0") }, `node-${n}`)),
          network
        )
      const one = yield* build(1)
      const two = yield* build(2)
      const peers = [1, 2].map((n) => ({ id: n.toString().padStart(16, "0"), address: `node-${n}` }))
      let arrived = 0
      for (const context of [one, two]) {
        const transport = Context.get(context, Transport.Transport)
        yield* transport.setPeers(peers)
        yield* transport.serve({ onFrame: () => arrived++, onUp: () => {}, onDown: () => {} })
      }
      const send = () => Context.get(one, Transport.Transport).sendUnsafe(peers[1]!.id, "bulk", [Buffer.from("chunk")])
      const state = Effect.map(Context.get(one, PeerTransport.Links).status, (links) => links[1]!.state)
      yield* pass(1_000)
      assert.strictEqual(yield* state, "Idle")
      for (let round = 1; round <= 2; round++) {
        assert.isTrue(send())
        yield* pass(1_000)
        assert.strictEqual(arrived, round)
        assert.strictEqual(yield* state, "Up")
        yield* pass(Limits.pingMillis * (Limits.bulkIdlePings + 1))
        assert.strictEqual(yield* state, "Idle")
      }
    })))

  it.effect("costs a dead peer's friends one attempt per pause and nothing else", () =>
    quiet(Effect.gen(function*() {
      const { network, one, two } = yield* cluster(framed)
      yield* two.die
      let dials = 0
      const link = network.link(one.address, two.address)
      const draw = link.drawDelayMillis.bind(link)
      link.drawDelayMillis = () => {
        dials++
        return draw()
      }
      yield* pass(60_000)
      assert.isAtLeast(dials, 60)
      assert.isAtMost(dials, 125)
    })))
})

describe("TransportMemory", () => {
  it.effect("loses the frames of a blocked direction, and of no other", () =>
    Effect.gen(function*() {
      const { network, one, two } = yield* cluster(direct)
      yield* network.change(one.address, two.address, { blocked: true })
      tell(one, two, "lost")
      tell(two, one, "kept")
      yield* pass(1)
      yield* network.heal
      tell(one, two, "kept too")
      yield* pass(1)
      assert.deepStrictEqual([one.frames, two.frames], [["kept"], ["kept too"]])
    }))

  it.effect("delays frames, with jitter, and keeps their order", () =>
    Effect.gen(function*() {
      const { network, one, two } = yield* cluster(direct)
      yield* network.change(one.address, two.address, { delayMillis: 10, jitterMillis: 10 })
      const sent = Array.from({ length: 50 }, (_, i) => `${i}`)
      for (const text of sent) tell(one, two, text)
      yield* pass(9)
      assert.deepStrictEqual(two.frames, [])
      yield* pass(12)
      assert.deepStrictEqual(two.frames, sent)
    }))

  it.effect("loses its share of frames, the same ones for the same seed", () =>
    Effect.gen(function*() {
      const run = Effect.scoped(Effect.gen(function*() {
        const { network, one, two } = yield* cluster(direct)
        yield* network.change(one.address, two.address, { dropRate: 0.3 })
        for (let i = 0; i < 1_000; i++) tell(one, two, `${i}`)
        yield* pass(1)
        return two.frames
      }))
      const first = yield* Random.withSeed(run, "seed")
      const second = yield* Random.withSeed(run, "seed")
      assert.isAbove(first.length, 600)
      assert.isBelow(first.length, 800)
      assert.deepStrictEqual(first, second)
    }))

  it.effect("goes down and up again when the network breaks it", () =>
    Effect.gen(function*() {
      const { network, one, two } = yield* cluster(direct)
      yield* network.reset(one.address, two.address)
      yield* pass(1)
      assert.deepStrictEqual([one.events, two.events], [["up", "down", "up"], ["up", "down", "up"]])
    }))
})
