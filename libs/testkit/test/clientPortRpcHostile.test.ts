/** Connections for rare calls whose other end means harm or has died: none keeps another one from its calls, and each is cut off in bounded time. */
import { Hello, RpcWire } from "@dkv/protocol"
import { Limits } from "@dkv/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { RpcSerialization } from "effect/rpc"
import { breathing, call, dial, open, status, until, untilAlone } from "./clientPortParts.ts"
import type { Peer, Port } from "./clientPortParts.ts"

/** Calls for the status as they travel, behind a hello. */
const flood = Effect.fnUntraced(function*(count: number, options: { readonly discard?: true } = {}) {
  const { codecFor, makeUnsafe } = yield* RpcSerialization.RpcSerialization
  const parser = makeUnsafe()
  const payload = yield* Schema.encodeUnknownEffect(codecFor(Schema.Void))(undefined)
  const frames = Array.from(
    { length: count },
    (_, id) => parser.encode({ _tag: "Request", id, tag: "Status", payload, headers: [], ...options })
  )
  return Buffer.concat([Hello.encodeClient("rpc"), ...frames as Array<Uint8Array>])
}, Effect.provide(RpcWire.layerSerialization))

/** A port whose status is long, and how often it was asked for that. */
const opened = Effect.fnUntraced(function*(answer = Effect.succeed(status)) {
  let asked = 0
  const port = yield* open({
    node: {
      status: Effect.suspend(() => {
        asked++
        return answer
      })
    },
    info: { version: "v".repeat(60_000) }
  })
  return { port, asked: () => asked }
})

const settled = Effect.fnUntraced(function*(port: Port, peer: Peer) {
  yield* until(() => peer.received.length > 0)
  yield* breathing
  assert.strictEqual(yield* port.connections, 1)
})

describe("a connection for rare calls", () => {
  it.effect("that is full of calls and takes no answer holds up nobody else, and is cut off", () =>
    Effect.gen(function*() {
      const { asked, port } = yield* opened()
      const peer = yield* dial(port, { reads: false })
      peer.socket.write(yield* flood(1000))
      let before = 0
      do {
        before = asked()
        yield* breathing
      } while (asked() > before)
      assert.isBelow(before, 900)
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* call(port)
        assert.strictEqual((yield* client.Status()).version.length, 60_000)
      }))
      assert.isAtLeast(yield* untilAlone(port, 45_000), 25_000)
    }).pipe(Effect.scoped))

  it.effect("has few calls under way at once, and is not read on meanwhile", () =>
    Effect.gen(function*() {
      const { asked, port } = yield* opened(Effect.never)
      const peer = yield* dial(port)
      peer.socket.write(yield* flood(1000))
      yield* settled(port, peer)
      assert.strictEqual(asked(), Limits.rpcCallsMax)
    }).pipe(Effect.scoped))

  it.effect("has all its calls answered as long as it reads", () =>
    Effect.gen(function*() {
      const { asked, port } = yield* opened()
      const peer = yield* dial(port)
      peer.socket.write(yield* flood(100))
      yield* until(() => peer.received.length > 100 * 60_000)
      assert.strictEqual(asked(), 100)
    }).pipe(Effect.scoped))

  it.effect("that makes calls which want no answer is closed", () =>
    Effect.gen(function*() {
      const { asked, port } = yield* opened()
      const peer = yield* dial(port)
      peer.socket.write(yield* flood(1, { discard: true }))
      yield* until(() => peer.isClosed)
      assert.strictEqual(asked(), 0)
    }).pipe(Effect.scoped))

  for (const [what, bytes] of [["makes no call", 0], ["sends half of one", 10]] as const) {
    it.effect(`that ${what} is closed after a while`, () =>
      Effect.gen(function*() {
        const { asked, port } = yield* opened()
        const peer = yield* dial(port)
        const hello = Hello.encodeClient("rpc")
        peer.socket.write((yield* flood(1)).subarray(0, hello.length + bytes))
        yield* settled(port, peer)
        assert.isAtLeast(yield* untilAlone(port, 45_000), 25_000)
        assert.strictEqual(asked(), 0)
      }).pipe(Effect.scoped))
  }

  it.effect("is left alone while a call of its own is under way", () =>
    Effect.gen(function*() {
      const { port } = yield* opened(Effect.never)
      const peer = yield* dial(port)
      peer.socket.write(yield* flood(1))
      yield* settled(port, peer)
      const outcome = yield* Effect.exit(untilAlone(port, 60_000))
      assert.strictEqual(outcome._tag, "Failure")
    }).pipe(Effect.scoped))
})
