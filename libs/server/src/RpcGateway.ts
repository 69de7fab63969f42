/** The gateway for rare calls: hello, then Effect RPC in schema binary, answered by `AdminService`, and watched over for progress. */
import { Admin, RpcWire } from "@dkv/protocol"
import type { RaftNode } from "@dkv/raft"
import { Effect, Layer, Queue } from "effect"
import { RpcSerialization, RpcServer } from "effect/rpc"
import { layer as layerHandlers } from "./AdminService.ts"
import { Gateways } from "./Gateways.ts"
import type { Connection } from "./Gateways.ts"
import * as Handshake from "./Handshake.ts"
import * as Limits from "./Limits.ts"
import type { MemberInfo } from "./MemberInfo.ts"
import { RpcConnection } from "./RpcConnection.ts"

/** Connections of the client port that want to make rare calls, as the server of Effect RPC takes them. */
const layerProtocol: Layer.Layer<RpcServer.Protocol, never, Gateways | RpcSerialization.RpcSerialization> = Layer
  .effect(
    RpcServer.Protocol,
    Effect.gen(function*() {
      const gateways = yield* Gateways
      const serialization = yield* RpcSerialization.RpcSerialization
      const disconnects = yield* Queue.unbounded<number>()
      const connections = new Map<number, RpcConnection>()
      let lastId = 0
      return yield* RpcServer.Protocol.make((take) => {
        const serve = Effect.fnUntraced(function*(connection: Connection) {
          const { pull, writer } = yield* Handshake.accept(connection, "rpc")
          const id = ++lastId
          const calls = new RpcConnection(serialization.makeUnsafe())
          connections.set(id, calls)
          yield* Effect.addFinalizer(() => {
            connections.delete(id)
            return Queue.offer(disconnects, id)
          })
          const stalled = Effect.sleep(Limits.stallCheckMillis).pipe(
            Effect.repeat({ until: () => calls.isStalled() })
          )
          yield* Effect.raceAllFirst([
            calls.run(pull, writer, (message) => take(id, message)),
            stalled,
            connection.closing
          ])
        })
        const register = gateways.register(
          "rpc",
          (connection) =>
            Effect.catchCause(
              serve(connection),
              (cause) => Effect.logDebug(`rpc connection from ${connection.remote} ended`, cause)
            )
        )
        return Effect.as(register, {
          disconnects,
          send: (id: number, message: Parameters<RpcConnection["send"]>[0]) =>
            Effect.sync(() => connections.get(id)?.send(message)),
          end: () => Effect.void,
          clientIds: Effect.sync(() => new Set(connections.keys())),
          initialMessage: Effect.succeedNone,
          supportsAck: true,
          supportsTransferables: false,
          supportsSpanPropagation: true,
          supportsNotifications: false,
          codecFor: serialization.codecFor
        })
      })
    })
  )

/** Serves `Admin.group` from raft. */
export const layer: Layer.Layer<never, never, Gateways | RaftNode.RaftNode | MemberInfo> = RpcServer.layer(
  Admin.group,
  { disableTracing: true, concurrency: Limits.rpcConcurrency }
).pipe(
  Layer.provide(layerHandlers),
  Layer.provide(layerProtocol),
  Layer.provide(RpcWire.layerSerialization)
)
