/** The gateway for rare calls: hello, then Effect RPC in schema binary, answered by `AdminService`. */
import { Admin, RpcWire } from "@dkv/protocol"
import type { RaftNode } from "@dkv/raft"
import { Deferred, Effect, Layer } from "effect"
import { NetAddress } from "effect/net"
import { RpcServer } from "effect/rpc"
import { Socket, SocketServer } from "effect/socket"
import { layer as layerHandlers } from "./AdminService.ts"
import { Gateways } from "./Gateways.ts"
import type { Connection } from "./Gateways.ts"
import * as Handshake from "./Handshake.ts"
import * as Limits from "./Limits.ts"
import type { MemberInfo } from "./MemberInfo.ts"

type Serve = (socket: Socket.Socket) => Effect.Effect<unknown, unknown>

/** Connections of the client port that want to make rare calls, as the server of Effect RPC takes them. */
const layerSocketServer: Layer.Layer<SocketServer.SocketServer, never, Gateways> = Layer.effect(
  SocketServer.SocketServer,
  Effect.gen(function*() {
    const gateways = yield* Gateways
    const serving = yield* Deferred.make<Serve>()
    const greet = Effect.fnUntraced(function*(connection: Connection) {
      const { pull, writer } = yield* Handshake.accept(connection, "rpc")
      const socket = Socket.make({
        reader: Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported }),
        writer: Effect.succeed(writer)
      })
      const serve = yield* Deferred.await(serving)
      yield* Effect.raceFirst(serve(socket), connection.closing)
    })
    yield* gateways.register(
      "rpc",
      (connection) =>
        Effect.catchCause(
          greet(connection),
          (cause) => Effect.logDebug(`rpc connection from ${connection.remote} ended`, cause)
        )
    )
    return SocketServer.SocketServer.of({
      address: NetAddress.unixPathAddress("the client port"),
      run: (handler) =>
        Effect.contextWith((context) =>
          Effect.andThen(
            Deferred.succeed(serving, (socket) => Effect.provideContext(handler(socket), context)),
            Effect.never
          )
        )
    })
  })
)

/** Serves `Admin.group` from raft. */
export const layer: Layer.Layer<never, never, Gateways | RaftNode.RaftNode | MemberInfo> = RpcServer.layer(
  Admin.group,
  { disableTracing: true, concurrency: Limits.rpcConcurrency }
).pipe(
  Layer.provide(layerHandlers),
  Layer.provide(RpcServer.layerProtocolSocketServer),
  Layer.provide([layerSocketServer, RpcWire.layerSerialization])
)
