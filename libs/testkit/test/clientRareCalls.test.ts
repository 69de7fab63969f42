/** Rare calls of the client, byte by byte. */
import { Client } from "@dkv/client"
import { Hello, Loopback } from "@dkv/protocol"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Socket } from "effect/socket"
import { passing } from "./clientParts.ts"

describe("a rare call", () => {
  it.effect("is the same bytes whatever the process called before", () =>
    Effect.gen(function*() {
      const loopback = Loopback.make()
      const calls: Array<ReadonlyArray<number>> = []
      yield* loopback.serve("a", (socket) =>
        Effect.gen(function*() {
          const writer = yield* socket.writer
          const pull = yield* Socket.readerBytes(socket)
          yield* pull
          yield* writer.write(Hello.encodeServer("rpc", { _tag: "Accepted", version: 1 }))
          calls.push((yield* pull).flatMap((chunk) => [...chunk]))
        }).pipe(Effect.ignore))
      const layer = Client.layerLoopback({ endpoints: ["a"] }).pipe(
        Layer.provide(Layer.succeed(Loopback.Loopback, loopback))
      )
      const list = Effect.flatMap(Client.Client, (client) => Effect.exit(client.members({ timeoutMillis: 1000 })))
      yield* passing(Effect.provide(Effect.andThen(list, list), layer))
      assert.strictEqual(calls.length, 2)
      assert.deepStrictEqual(calls[1], calls[0])
    }))
})
