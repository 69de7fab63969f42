/**
 * The state machine of a witness: none. It keeps raft's own state (the applied index and the configuration there) in a `SnapshotStore`, so that the witness' log can be
 * shortened like any other, and takes no commands.
 *
 * Source: witness replicas of Pâris, "Voting with Witnesses" (1986); for Raft, dissertation §11.7.2.
 */
import { Effect, Layer, Stream } from "effect"
import type { SnapshotStore } from "./SnapshotStore.ts"
import type { StateMachine, StateMachineError } from "./StateMachine.ts"
import * as VolatileSnapshot from "./VolatileSnapshot.ts"
import * as VolatileStateMachine from "./VolatileStateMachine.ts"

const empty = Layer.succeed(VolatileStateMachine.VolatileStateMachine, {
  apply: ([first]) => Effect.die(new Error(`a witness was given command ${first?.index} to apply`)),
  capture: Effect.succeed(Stream.empty),
  restore: (chunks) =>
    Stream.runForEach(chunks, () => VolatileSnapshot.refused("it holds data, and this member is a witness"))
})

/** What a member started with `witness: true` needs in place of its program's own state machine. */
export const layer: Layer.Layer<StateMachine, StateMachineError, SnapshotStore> = Layer.provide(
  VolatileStateMachine.layer,
  empty
)
