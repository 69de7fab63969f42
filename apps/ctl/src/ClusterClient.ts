/** `Cluster` over the native client. */
import { Client } from "@dkv/client"
import type { ClientError } from "@dkv/client"
import { Effect, Layer, Option } from "effect"
import { Cluster, ClusterError } from "./Cluster.ts"
import type { Settings } from "./Settings.ts"

/** Reaches the cluster over TCP when the first call is made. */
export const layer = (settings: Settings): Layer.Layer<Cluster> =>
  Layer.effect(
    Cluster,
    Effect.map(Client.Client, (client) =>
      Cluster.of({
        put: (key, value) => Effect.mapError(client.put(key, value), fromClient),
        delete: (key) => Effect.mapError(client.delete(key), fromClient),
        range: ({ end, key, limit, reverse }, consistency) =>
          end.length > 0
            ? Effect.mapError(client.range({ from: key, to: end, limit, reverse, consistency }), fromClient)
            : client.get(key, { consistency }).pipe(
              Effect.map((found) => ({ _tag: "Range", revision: 0, kvs: Option.toArray(found), more: false }) as const),
              Effect.mapError(fromClient)
            ),
        members: Effect.mapError(client.members(), fromClient),
        join: ({ clientAddress, id, learnerOnly, name, peerAddress, witness }) =>
          Effect.mapError(
            client.joinMember({
              name,
              peerAddress,
              clientAddress,
              learnerOnly,
              witness,
              ...(Option.isSome(id) && { id: id.value })
            }),
            fromClient
          ),
        leave: (member, force) => Effect.mapError(client.leaveMember(member, { force }), fromClient),
        promote: (member, force) => Effect.mapError(client.promoteMember(member, { force }), fromClient),
        update: (member, changes) => Effect.mapError(client.updateMember(member, changes), fromClient),
        transfer: (to) => Effect.mapError(client.transferLeader(to), fromClient),
        settings: (changes) => Effect.mapError(client.clusterSettings(changes), fromClient),
        status: (endpoint) =>
          Effect.flatMap(Client.Client, (one) => one.status).pipe(
            Effect.provide(Client.layer(optionsOf(settings, [endpoint]))),
            Effect.mapError(fromClient)
          )
      }))
  ).pipe(
    Layer.provide(Layer.orDie(Client.layer(optionsOf(settings, settings.endpoints))))
  )

/** A single write needs no session: what becomes of it is told. */
const optionsOf = ({ timeoutMillis }: Settings, endpoints: ReadonlyArray<string>): Client.Options => ({
  endpoints,
  timeoutMillis,
  exactlyOnce: false
})

const fromClient = (error: ClientError): ClusterError =>
  new ClusterError({ reason: reasonOf(error), message: error.message, cause: error })

const reasonOf = ({ detail, reason }: ClientError): ClusterError["reason"] => {
  switch (reason) {
    case "Unknown":
      return "Unknown"
    case "Invalid":
      return "WrongUse"
    case "Refused":
      return detail === "NotFound" ? "NotFound" : "Failed"
    default:
      return "Failed"
  }
}
