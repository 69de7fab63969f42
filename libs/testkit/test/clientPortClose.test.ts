/** How the client port closes: at once for those who have nothing outstanding, after their answer for the others. */
import { BatchRequest, Bytes, Hello } from "@dkv/protocol"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import { breathe, breathing, dial, open, said, until } from "./clientPortParts.ts"

const put = BatchRequest.encode({
  id: 7,
  consistency: "linearizable",
  timeoutMillis: 1000,
  operations: [{ _tag: "Put", key: Bytes.utf8("k"), value: Bytes.utf8("v") }]
})

/** Closes and says how much virtual time that took. */
const close = Effect.fnUntraced(function*(scope: Scope.Closeable) {
  const fiber = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  let millis = 0
  for (let turn = 0; turn < 20; turn++) yield* breathe
  for (; fiber.pollUnsafe() === undefined; millis += 50) {
    yield* TestClock.adjust(50)
    yield* breathe
    yield* breathe
  }
  yield* Fiber.join(fiber)
  return millis
})

const opened = Effect.fnUntraced(function*(parts: Parameters<typeof open>[0] = {}) {
  const scope = yield* Scope.make()
  return { scope, port: yield* Scope.provide(open(parts), scope) }
})

describe("a client port that closes", () => {
  for (
    const [what, bytes, answered] of [
      ["that has said nothing", Bytes.empty, ""],
      ["in the middle of its hello", Hello.encodeClient("batch").subarray(0, 6), ""],
      ["for HTTP without a request", Bytes.utf8("GET /version HTTP/1.1\r\nhost: me\r\n\r\n"), "etcdserver"],
      ["for rare calls without one", Hello.encodeClient("rpc"), "r\u0001"]
    ] as const
  ) {
    it.effect(`does not wait for a connection ${what}`, () =>
      Effect.gen(function*() {
        const { port, scope } = yield* opened()
        const peer = yield* dial(port)
        if (bytes.length > 0) peer.socket.write(bytes)
        yield* until(() => said(peer).includes(answered))
        yield* breathing
        assert.strictEqual(yield* close(scope), 0)
        yield* until(() => peer.isClosed)
      }).pipe(Effect.scoped))
  }

  it.effect("tells an idle batch connection, and leaves it a moment to go", () =>
    Effect.gen(function*() {
      const { port, scope } = yield* opened()
      const peer = yield* dial(port)
      peer.socket.write(Hello.encodeClient("batch"))
      yield* until(() => peer.received.length >= Hello.serverHelloHeadBytes)
      assert.isAtMost(yield* close(scope), 250)
      yield* until(() => peer.isClosed)
      assert.include(said(peer), "shutting down")
    }).pipe(Effect.scoped))

  it.effect("answers the batches that it has taken, and refuses those that come later", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const writes: Array<number> = []
      const { port, scope } = yield* opened({
        kv: {
          write: (ops) => {
            writes.push(ops.length)
            return Effect.as(Deferred.await(gate), ops.map(() => ({ _tag: "Put" as const, revision: 2 })))
          }
        }
      })
      const peer = yield* dial(port)
      peer.socket.write(Hello.encodeClient("batch"))
      peer.socket.write(put)
      yield* until(() => writes.length === 1)
      const closing = yield* Effect.forkChild(close(scope), { startImmediately: true })
      yield* until(() => said(peer).includes("shutting down"))
      const before = peer.received.length
      peer.socket.write(put)
      yield* until(() => peer.received.length > before && said(peer).includes("has not carried this out"))
      yield* Deferred.succeed(gate, undefined)
      assert.isBelow(yield* Fiber.join(closing), 3_000)
      yield* until(() => peer.isClosed)
      assert.isTrue(peer.received.includes(Buffer.of(0, 0, 0, 7, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2)))
      assert.deepStrictEqual(writes, [1])
    }).pipe(Effect.scoped))

  it.effect("answers the HTTP request that it has taken", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<number>()
      const asked = yield* Deferred.make<void>()
      const { port, scope } = yield* opened({
        node: { readBarrier: () => Effect.andThen(Deferred.succeed(asked, undefined), Deferred.await(gate)) }
      })
      const peer = yield* dial(port)
      peer.socket.write("GET /readyz HTTP/1.1\r\nhost: me\r\n\r\n")
      yield* Deferred.await(asked)
      const closing = yield* Effect.forkChild(close(scope), { startImmediately: true })
      yield* breathing
      yield* Deferred.succeed(gate, 1)
      assert.isBelow(yield* Fiber.join(closing), 3_000)
      yield* until(() => peer.isClosed)
      assert.match(said(peer), /^HTTP\/1.1 200 OK[^]*connection: close[^]*\r\n\r\nok\n$/i)
    }).pipe(Effect.scoped))
})
