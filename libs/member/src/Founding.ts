/** Tells the other founders of the cluster that it exists. */
import { Configuration } from "@dkv/raft"
import type { Control } from "@dkv/transport"
import { Effect, Option } from "effect"
import * as ControlMessage from "./ControlMessage.ts"
import * as Limits from "./Limits.ts"
import * as Peers from "./Peers.ts"
import * as Rounds from "./Rounds.ts"
import type { Self } from "./Self.ts"

/**
 * Tells each founder until it knows. Any founder does this after any start, because the one that founded may have died half way; a founder
 * that knows already just says so. Those who were replaced or removed meanwhile are left alone.
 */
export const tell = Effect.fnUntraced(function*(self: Self): Effect.fn.Return<void, never, Control.Control> {
  const { clusterId, founding, memberId } = self.record()
  if (Option.isNone(clusterId) || Option.isNone(founding)) return
  const request = { version: ControlMessage.version, clusterId: clusterId.value, configuration: founding.value }
  yield* Effect.forEach(
    founding.value.members.filter((member) => member.id !== memberId),
    (member) =>
      Rounds.until(Effect.gen(function*() {
        if (yield* hasGone(self, member.id)) return true
        const answer = yield* Effect.option(
          Peers.ask(member.peerAddress, { _tag: "Found", memberId: member.id, ...request }, Limits.probeTimeoutMillis)
        )
        if (Option.isNone(answer)) return false
        if (answer.value._tag === "Refused" && answer.value.reason !== "NotReady") {
          yield* Effect.logWarning(`${member.name} does not take part in the founding: ${answer.value.message}`)
          return true
        }
        return answer.value._tag === "Accepted"
      })),
    { concurrency: "unbounded", discard: true }
  )
})

const hasGone = Effect.fnUntraced(function*(self: Self, id: string) {
  const node = self.node()
  if (node === undefined) return false
  const { configuration } = yield* node.status
  return configuration.members.length > 0 && Configuration.find(configuration, id) === undefined
})
