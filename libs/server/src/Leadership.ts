/** Whether this member leads: told to clients, which then bring their writes to the one that does. A server that replicates nothing leads. */
import { RaftNode } from "@dkv/raft"
import { Context, Effect, Layer, Option, Stream } from "effect"

/** At once, and again whenever another member becomes leader, even if that is not this one either, or this one is leader no more. */
export const Leadership = Context.Reference<Stream.Stream<boolean>>("@dkv/server/Leadership", {
  defaultValue: () => Stream.make(true)
})

/** As raft knows it. */
export const layer: Layer.Layer<never, never, RaftNode.RaftNode> = Layer.effect(
  Leadership,
  Effect.map(RaftNode.RaftNode, (node) =>
    node.leader.pipe(Stream.mapAccum(() => false, (led, leader) => {
      // the id is asked for each time: a member that was rebuilt has another one
      const leads = Option.contains(leader, node.id)
      return [leads, led || Option.isSome(leader) ? [leads] : []]
    })))
)
