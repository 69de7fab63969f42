import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, References, Scope } from "effect"
import * as Net from "node:net"
import { Address, Handshake, PeerPort } from "../src/index.ts"
import { PeerPortTcp } from "../src/node.ts"
import { connect } from "./RawPeer.ts"

const addressesOf = (host: string, port: number) =>
  Effect.map(
    Layer.build(PeerPortTcp.layer({ host, port })),
    (context) => Context.get(context, PeerPort.PeerPort).addresses
  )

/** Whether this machine has the IPv6 loopback address. */
const hasIpv6 = Effect.callback<boolean>((resume) => {
  const server = Net.createServer()
  server.once("error", () => resume(Effect.succeed(false)))
  server.listen(0, "::1", () => server.close(() => resume(Effect.succeed(true))))
})

describe("PeerPortTcp", () => {
  it.live("listens for localhost on both loopback addresses, at one port", () =>
    Effect.gen(function*() {
      const addresses = yield* addressesOf("localhost", 0)
      const parsed = addresses.map((address) => Address.parse(address)!)
      assert.deepStrictEqual(parsed.map(({ host }) => host), (yield* hasIpv6) ? ["127.0.0.1", "::1"] : ["127.0.0.1"])
      assert.strictEqual(new Set(parsed.map(({ port }) => port)).size, 1)
      for (const address of addresses) (yield* connect(address)).socket.destroy()
    }))

  it.live("listens for an empty host on every interface", () =>
    Effect.gen(function*() {
      const [address] = yield* addressesOf("", 0)
      const { port } = Address.parse(address!)!
      ;(yield* connect(`127.0.0.1:${port}`)).socket.destroy()
      ;(yield* connect(`127.0.0.2:${port}`)).socket.destroy()
    }))

  it.live("says which port is taken, and frees what it had when it cannot have all", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const [address] = yield* Scope.provide(addressesOf("127.0.0.1", 0), scope)
      const { port } = Address.parse(address!)!
      const error = yield* Effect.flip(addressesOf("localhost", port))
      assert.strictEqual(error._tag, "TransportError")
      assert.strictEqual(
        error.message,
        `Peer port ${address} is taken: stop the program that uses it, or choose another port`
      )
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* addressesOf("localhost", port))[0], address)
    }))

  it.live("says that an address is none of this machine's", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(addressesOf("192.0.2.1", 2380))
      assert.match(error.message, /192\.0\.2\.1:2380 is none of this machine's/)
    }))

  it.live("resolves names at each dial, and reports what cannot be an address", () =>
    Effect.provideService(
      Effect.gen(function*() {
        const context = yield* Layer.build(PeerPortTcp.layer({ host: "localhost", port: 0 }))
        const port = Context.get(context, PeerPort.PeerPort)
        yield* port.accept(["raft"], { admit: () => undefined, run: () => Effect.void })
        const hello = {
          kind: "raft",
          clusterId: Handshake.unknownId,
          from: Handshake.unknownId,
          to: Handshake.unknownId
        } as const
        const { port: number } = Address.parse(port.addresses[0]!)!
        yield* Effect.scoped(port.dial(`localhost:${number}`, hello))
        for (const wrong of ["nonsense", "host:", "host:0", "host:99999", "a:b:1", "[::1]"]) {
          const error = yield* Effect.flip(Effect.scoped(port.dial(wrong, hello)))
          assert.strictEqual(error.reason, "Unreachable")
          assert.match(error.message, /is no address: write host:port/)
        }
      }),
      References.MinimumLogLevel,
      "None"
    ))

  it("reads addresses as people write them", () => {
    assert.deepStrictEqual(Address.parse("db.example.org:2380"), { host: "db.example.org", port: 2380 })
    assert.deepStrictEqual(Address.parse("[::1]:2380"), { host: "::1", port: 2380 })
    assert.deepStrictEqual(Address.parse(":2380"), { host: "", port: 2380 })
    assert.strictEqual(Address.format({ host: "::1", port: 1 }), "[::1]:1")
  })
})
