import { Transport } from "@dkv/raft"
import { PeerPort, PeerTransport } from "@dkv/transport"
import { PeerPortTcp } from "@dkv/transport/node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, References } from "effect"
import { Buffer } from "node:buffer"
import * as CutProxy from "../src/CutProxy.ts"

const clusterId = "00000000000000c1"
const quiet = Effect.provideService(References.MinimumLogLevel, "None")

const eventually = Effect.fnUntraced(function*(condition: () => boolean) {
  for (let i = 0; i < 2_000; i++) {
    if (condition()) return
    yield* Effect.sleep("5 millis")
  }
  assert.fail("waited in vain")
})

/** Three members, each reached by the others through a proxy of its own. */
const cluster = Effect.fnUntraced(function*() {
  const members = yield* Effect.forEach([1, 2, 3], (n) =>
    Effect.gen(function*() {
      const id = n.toString().padStart(16, "0")
      const context = yield* Layer.build(
        PeerTransport.layer({ clusterId, memberId: id }).pipe(
          Layer.provideMerge(PeerPortTcp.layer({ host: "127.0.0.1", port: 0 }))
        )
      )
      const proxy = yield* CutProxy.make({ target: Context.get(context, PeerPort.PeerPort).addresses[0]! })
      const transport = Context.get(context, Transport.Transport)
      const frames: Array<string> = []
      const up = new Set<string>()
      yield* transport.serve({
        onFrame: (peer, _, frame) => frames.push(`${Number(peer)} ${Buffer.from(frame).toString()}`),
        onUp: (peer) => up.add(peer),
        onDown: (peer) => up.delete(peer)
      })
      return { id, address: proxy.address, proxy, transport, frames, up }
    }))
  for (const { transport } of members) yield* transport.setPeers(members)
  yield* eventually(() => members.every(({ up }) => up.size === 2))
  return members as unknown as readonly [typeof members[0], typeof members[0], typeof members[0]]
})

type Member = Effect.Success<ReturnType<typeof cluster>>[0]
const tell = (from: Member, to: Member, text: string) => from.transport.sendUnsafe(to.id, "raft", [Buffer.from(text)])

describe("CutProxy", () => {
  it.live("cuts one member's way to another and nobody else's, and lets it come back", () =>
    quiet(Effect.gen(function*() {
      const [one, two, three] = yield* cluster()
      yield* two.proxy.cut(one.id)
      yield* eventually(() => !one.up.has(two.id))
      assert.isTrue(two.up.has(one.id) && three.up.has(two.id))
      assert.isTrue(tell(three, two, "hello"))
      yield* eventually(() => two.frames.includes("3 hello"))
      yield* two.proxy.heal
      yield* eventually(() => one.up.has(two.id))
      assert.strictEqual(yield* two.proxy.connections, 2)
    })))

  it.live("holds back one direction until it is healed", () =>
    quiet(Effect.gen(function*() {
      const [one, two, three] = yield* cluster()
      yield* two.proxy.block("to", one.id)
      tell(one, two, "held")
      tell(two, one, "free")
      tell(three, two, "free")
      yield* eventually(() => one.frames.length === 1 && two.frames.length === 1)
      assert.deepStrictEqual([one.frames, two.frames], [["2 free"], ["3 free"]])
      yield* two.proxy.heal
      yield* eventually(() => two.frames.length === 2)
      assert.deepStrictEqual(two.frames, ["3 free", "1 held"])
    })))

  it.live("delays without reordering or losing", () =>
    quiet(Effect.gen(function*() {
      const [one, two] = yield* cluster()
      yield* two.proxy.delay(30)
      const sent = Array.from({ length: 100 }, (_, i) => `${i}`)
      for (const text of sent) tell(one, two, text)
      yield* eventually(() => two.frames.length === sent.length)
      assert.deepStrictEqual(two.frames, sent.map((text) => `1 ${text}`))
    })))
})
