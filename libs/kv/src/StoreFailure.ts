/** Failures of the storage as raft is told about them. */
import { StateMachine } from "@dkv/raft"
import type { Storage } from "@dkv/storage"
import { Effect } from "effect"

export const toStateMachineError = (error: Storage.StorageError): StateMachine.StateMachineError =>
  new StateMachine.StateMachineError({
    reason: error.reason === "Closed" ? "Io" : error.reason,
    message: error.message,
    cause: error
  })

export const fromStorage = <A, R>(
  effect: Effect.Effect<A, Storage.StorageError, R>
): Effect.Effect<A, StateMachine.StateMachineError, R> => Effect.mapError(effect, toStateMachineError)

/** The storage holds what this program did not write: rebuild the member from the others. */
export const corrupt = (what: string): StateMachine.StateMachineError =>
  new StateMachine.StateMachineError({
    reason: "Corrupt",
    message: `${what}: the storage is damaged, rebuild this member from the others`
  })

/** A newer version wrote this store. */
export const foreign = (found: number, known: number): StateMachine.StateMachineError =>
  new StateMachine.StateMachineError({
    reason: "Foreign",
    message: `the store has layout version ${found}, this program knows up to ${known}: start a newer version`
  })
