/** The least that a state machine can do: it counts commands, and keeps raft's bookkeeping. What a cluster on it measures is consensus. */
import { StateMachine } from "@dkv/raft"
import { Effect, Layer, Option } from "effect"

const nothing = new Uint8Array(0)

export const layer: Layer.Layer<StateMachine.StateMachine> = Layer.effect(
  StateMachine.StateMachine,
  Effect.sync(() => {
    let head: Option.Option<Uint8Array> = Option.none()
    let count = 0
    const noSnapshots = new StateMachine.StateMachineError({
      reason: "Snapshot",
      message: "a counting state machine has no snapshots"
    })
    return StateMachine.StateMachine.of({
      recover: Effect.sync(() => ({ head, records: [] })),
      apply: (commands, meta) =>
        Effect.sync(() => {
          count += commands.length
          head = Option.some(meta.head)
          return new Array<Uint8Array>(commands.length).fill(nothing)
        }),
      flush: Effect.void,
      snapshot: Effect.fail(noSnapshots),
      install: Effect.fail(noSnapshots)
    })
  })
)
