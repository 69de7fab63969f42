/**
 * How rare calls are written on an `rpc` connection, behind the hello: Effect RPC in schema binary. Bytes that are not a call end the connection instead of being
 * answered one by one, so that a peer that sends garbage is gone.
 */
import { Layer } from "effect"
import { RpcSerialization } from "effect/rpc"
import * as Limits from "./Limits.ts"

/** The serialization that both ends of an `rpc` connection use. */
export const layerSerialization: Layer.Layer<RpcSerialization.RpcSerialization> = Layer.effect(
  RpcSerialization.RpcSerialization,
  RpcSerialization.RpcSerialization.useSync((inner) =>
    RpcSerialization.RpcSerialization.of({
      ...inner,
      makeUnsafe: () => {
        const parser = inner.makeUnsafe()
        return {
          encode: parser.encode,
          decode: (data) => {
            try {
              return parser.decode(data)
            } catch {
              // the one failure on which a socket protocol closes the connection
              throw new RpcSerialization.MaxBufferSizeExceeded({ maxBufferSize: Limits.rpcFrameBytesMax })
            }
          }
        }
      }
    })
  )
).pipe(Layer.provide(RpcSerialization.layerSchemaBinary({ maxFrameSize: Limits.rpcFrameBytesMax })))
