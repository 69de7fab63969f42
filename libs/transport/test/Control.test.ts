import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Buffer } from "node:buffer"
import * as Net from "node:net"
import { Control, Limits, MemoryNetwork, PeerPort, PeerPortMemory } from "../src/index.ts"
import { PeerPortTcp } from "../src/node.ts"

const text = (value: string): Uint8Array => Buffer.from(value)
const quiet = Effect.provideService(References.MinimumLogLevel, "None")

const controlAt = (address: string) => Control.Control.layer.pipe(Layer.provide(PeerPortMemory.layer({ address })))

const twoMembers = Effect.fnUntraced(function*() {
  const network = yield* Layer.build(MemoryNetwork.MemoryNetwork.layer)
  const at = (address: string) =>
    Effect.map(
      Effect.provideContext(Layer.build(controlAt(address)), network),
      (context) => Context.get(context, Control.Control)
    )
  return {
    network: Context.get(network, MemoryNetwork.MemoryNetwork),
    asker: yield* at("asker"),
    answerer: yield* at("answerer")
  }
})

describe("Control", () => {
  it.effect("answers each request with what the handler makes of it", () =>
    Effect.gen(function*() {
      const { answerer, asker } = yield* twoMembers()
      yield* answerer.serve((request) => Effect.succeed(Buffer.concat([request, text("!")])))
      const answers = yield* Effect.all(
        ["a", "", "b".repeat(100_000)].map((request) => asker.call("answerer", text(request), 1_000)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(answers.map((answer) => Buffer.from(answer).toString()), [
        "a!",
        "!",
        `${"b".repeat(100_000)}!`
      ])
    }))

  it.effect("is Unreachable where nothing listens, nothing serves yet, or nothing serves any more", () =>
    Effect.gen(function*() {
      const { answerer, asker } = yield* twoMembers()
      const reason = (address: string) =>
        Effect.map(Effect.flip(asker.call(address, text("?"), 1_000)), (error) => error.reason)
      assert.strictEqual(yield* reason("nobody"), "Unreachable")
      assert.strictEqual(yield* reason("answerer"), "Unreachable")
      const scope = yield* Scope.make()
      yield* Scope.provide(answerer.serve(Effect.succeed), scope)
      assert.strictEqual((yield* asker.call("answerer", text("?"), 1_000)).length, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* reason("answerer"), "Unreachable")
    }))

  it.effect("has Failed when the answer does not come in time, or the answerer dies over it", () =>
    quiet(Effect.gen(function*() {
      const { answerer, asker } = yield* twoMembers()
      yield* answerer.serve((request) => request.length === 1 ? Effect.never : Effect.die("handler"))
      const late = yield* Effect.forkChild(Effect.flip(asker.call("answerer", text("?"), 1_000)), {
        startImmediately: true
      })
      yield* Effect.repeat(TestClock.adjust(100), { times: 12 })
      assert.strictEqual((yield* Fiber.join(late)).reason, "Failed")
      assert.strictEqual((yield* Effect.flip(asker.call("answerer", text("die"), 1_000))).reason, "Failed")
    })))

  it.effect("is Unreachable within the deadline over a link that swallows everything", () =>
    Effect.gen(function*() {
      const { answerer, asker, network } = yield* twoMembers()
      yield* answerer.serve(Effect.succeed)
      yield* network.partition(["asker"], ["answerer"])
      const call = yield* Effect.forkChild(Effect.flip(asker.call("answerer", text("?"), 500)), {
        startImmediately: true
      })
      yield* Effect.repeat(TestClock.adjust(100), { times: 6 })
      assert.strictEqual((yield* Fiber.join(call)).reason, "Unreachable")
    }))

  it.effect("does not send a request beyond the limit", () =>
    Effect.gen(function*() {
      const { answerer, asker } = yield* twoMembers()
      yield* answerer.serve(Effect.succeed)
      const largest = new Uint8Array(Limits.controlBytesMax)
      assert.strictEqual((yield* asker.call("answerer", largest, 1_000)).length, largest.length)
      const error = yield* Effect.flip(asker.call("answerer", new Uint8Array(Limits.controlBytesMax + 1), 1_000))
      assert.strictEqual(error.reason, "Unreachable")
    }))

  it.effect("answers so many at a time and refuses the rest", () =>
    quiet(Effect.gen(function*() {
      const { answerer, asker } = yield* twoMembers()
      yield* answerer.serve(() => Effect.delay(Effect.succeed(text("done")), 100))
      const call = Effect.result(asker.call("answerer", text("?"), 1_000))
      const fibers = yield* Effect.all(
        Array.from({ length: Limits.controlConnectionsMax + 10 }, () =>
          Effect.forkChild(call, { startImmediately: true }))
      )
      yield* Effect.repeat(TestClock.adjust(10), { times: 50 })
      const results = yield* Effect.all(fibers.map(Fiber.join))
      assert.strictEqual(
        results.filter((result) =>
          result._tag === "Success"
        ).length,
        Limits.controlConnectionsMax
      )
    })))

  it.live("is Refused by what speaks another protocol", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<Net.Server>((resume) => {
          const listening = Net.createServer((socket) => {
            socket.on("error", () => {})
            socket.end("220 mail.example.org ESMTP\r\n")
          })
          listening.listen(0, "127.0.0.1", () => resume(Effect.succeed(listening)))
        }),
        (listening) => Effect.sync(() => listening.close())
      )
      const port = yield* Layer.build(PeerPortTcp.layer({ host: "127.0.0.1", port: 0 }))
      const control = yield* Effect.provideContext(Layer.build(Control.Control.layer), port)
      const address = `127.0.0.1:${(server.address() as Net.AddressInfo).port}`
      const error = yield* Effect.flip(Context.get(control, Control.Control).call(address, text("?"), 1_000))
      assert.strictEqual(error.reason, "Refused")
      const own = Context.get(port, PeerPort.PeerPort).addresses[0]!
      const self = yield* Effect.flip(Context.get(control, Control.Control).call(own, text("?"), 1_000))
      assert.strictEqual(self.reason, "Unreachable")
    }))
})
