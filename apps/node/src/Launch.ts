/** From settings to a running member. */
import { DkvNode } from "@dkv/member/node"
import { Dkv } from "@dkv/member"
import { Context, Effect, Layer, Schema } from "effect"
import type { Settings } from "./Settings.ts"
import { version } from "./Version.ts"

/** The member could not start, or had to stop; the message says why and what to do. Exit code 1. */
export class LaunchError extends Schema.TaggedError<LaunchError>()("LaunchError", {
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/** Runs the member until it has to stop, and fails with the reason. Interruption stops it in order. */
export const run: (settings: Settings) => Effect.Effect<never, LaunchError> = Effect.fnUntraced(
  function*(settings) {
    const { clientAddress, listenClientAddress, listenPeerAddress, name } = settings
    yield* Effect.logInfo(
      `dkv ${version}: member ${name} keeps its data in ${settings.dataDirectory}, peers on ${listenPeerAddress}, clients on ${listenClientAddress}`
    )
    yield* Effect.addFinalizer(() => Effect.logInfo(`${name} has stopped`))
    const context = yield* Layer.build(DkvNode.layer({
      name,
      version,
      peerAddress: settings.peerAddress,
      clientAddress,
      initialCluster: settings.initialCluster.map((each) => ({ name: each.name, peerAddress: each.address })),
      initialClusterState: settings.initialClusterState,
      forceNewCluster: settings.forceNewCluster,
      witness: settings.witness,
      electionTimeoutMillis: settings.electionTimeoutMillis,
      heartbeatMillis: settings.heartbeatMillis,
      logMaxBytes: settings.logMaxBytes,
      logRetainEntries: settings.logRetainEntries,
      dataDirectory: settings.dataDirectory,
      listenPeerAddress,
      listenClientAddress
    }))
    const dkv = Context.get(context, Dkv.Dkv)
    yield* Effect.logInfo(`serving clients on ${listenClientAddress}`)
    yield* Effect.addFinalizer(() => Effect.logInfo(`${name} stops`))
    return yield* dkv.stopped
  },
  Effect.scoped,
  Effect.mapError((error) => new LaunchError({ message: error.message, cause: error }))
)
