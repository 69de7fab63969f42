/** Rare calls of the client, byte by byte. */
import { Client } from "@dkv/client"
import { Admin, Hello, Loopback, RpcWire } from "@dkv/protocol"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { NetAddress } from "effect/net"
import { RpcServer } from "effect/rpc"
import { Socket, SocketServer } from "effect/socket"
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

  it.effect("that changes nothing goes to the next member when one does not answer, well before its time is over", () =>
    Effect.gen(function*() {
      const loopback = Loopback.make()
      for (const name of ["silent", "mute"]) yield* loopback.serve(name, served(listing(Effect.never)))
      yield* loopback.serve("lively", served(listing(Effect.succeed(updated))))
      const ask = (endpoints: ReadonlyArray<string>) =>
        Effect.flatMap(Client.Client, (client) => client.members({ timeoutMillis: 5000 })).pipe(
          Effect.provide(Client.layerLoopback({ endpoints })),
          Effect.provideService(Loopback.Loopback, loopback)
        )
      assert.isTrue((yield* passing(ask(["silent", "mute", "lively"]))).isJoint)
      const error = yield* passing(Effect.flip(ask(["silent", "mute"])))
      assert.match(error.message, /silent: no answer within 2500 ms; mute: no answer within 2500 ms/)
    }))

  it.effect("that a member is too old to know goes to the next one, and fails in these words if there is none", () =>
    Effect.gen(function*() {
      const loopback = Loopback.make()
      yield* loopback.serve("old", served(old))
      yield* loopback.serve("new", served(fresh))
      const update = (endpoints: ReadonlyArray<string>) =>
        Effect.flatMap(Client.Client, (client) => client.updateMember("a", { priority: 1 })).pipe(
          Effect.provide(Client.layerLoopback({ endpoints, timeoutMillis: 1000 })),
          Effect.provideService(Loopback.Loopback, loopback)
        )
      assert.isTrue((yield* passing(update(["old", "new"]))).isJoint)
      const error = yield* passing(Effect.flip(update(["old"])))
      assert.deepInclude(error, { reason: "Incompatible" })
      assert.match(error.message, /old: this member is too old/)
    }))
})

const common = [
  "MemberList",
  "MemberJoin",
  "MemberLeave",
  "MemberPromote",
  "LeaderTransfer",
  "ClusterSettings"
] as const

/** A member from before there were updates of members, and one that can do nothing else. */
const oldGroup = Admin.group.omit("MemberUpdate", "SessionOpen", ...common)
const listGroup = Admin.group.omit(
  "ClusterSettings",
  "LeaderTransfer",
  "MemberJoin",
  "MemberLeave",
  "MemberPromote",
  "MemberUpdate",
  "SessionOpen",
  "Status"
)
const freshGroup = Admin.group.omit("Status", "SessionOpen", ...common)
const updated = new Admin.MemberListView({ members: [], leader: Option.none(), isJoint: true })
const old = RpcServer.layer(oldGroup).pipe(Layer.provide(oldGroup.toLayer({ Status: () => Effect.never })))
const fresh = RpcServer.layer(freshGroup).pipe(
  Layer.provide(freshGroup.toLayer({ MemberUpdate: () => Effect.succeed(updated) }))
)

const listing = (list: Effect.Effect<Admin.MemberListView>) =>
  RpcServer.layer(listGroup).pipe(Layer.provide(listGroup.toLayer({ MemberList: () => list })))

/** Serves the rare calls of one connection. */
const served = (server: Layer.Layer<never, never, RpcServer.Protocol>) => (socket: Socket.Socket) =>
  Effect.gen(function*() {
    const writer = yield* socket.writer
    const pull = yield* Socket.readerBytes(socket)
    yield* pull
    yield* writer.write(Hello.encodeServer("rpc", { _tag: "Accepted", version: 1 }))
    const rest = Socket.make({
      reader: Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported }),
      writer: Effect.succeed(writer)
    })
    const sockets = SocketServer.SocketServer.of({
      address: NetAddress.unixPathAddress("the client port"),
      run: (handler) => Effect.andThen(Effect.orDie(handler(rest)), Effect.never)
    })
    const protocol = RpcServer.layerProtocolSocketServer.pipe(
      Layer.provide([Layer.succeed(SocketServer.SocketServer, sockets), RpcWire.layerSerialization])
    )
    return yield* Layer.launch(Layer.provide(server, protocol))
  }).pipe(Effect.ignore)
