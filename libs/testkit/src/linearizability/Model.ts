/**
 * A sequential object: what a concurrent history is held against. The interface is that of porcupine's `NondeterministicModel` (model.go), but a
 * step branches inside the search instead of carrying a set of states along.
 */
import type { Option } from "effect"
import type { Operation } from "./History.ts"

/** Operations that can be checked apart from all others, because the object is a product of independent ones. */
export interface Part<Input, Output> {
  readonly name: string
  readonly operations: ReadonlyArray<Operation<Input, Output>>
}

export interface Model<State, Input, Output> {
  readonly initial: State
  /**
   * The states in which the object may be after `input` was carried out in `state` and answered `output`; none if that cannot be. States are
   * immutable.
   *
   * No output stands for an operation of unknown outcome: give the states that it may lead to if it takes effect. That it may never do so is the
   * checker's business, hence a read of unknown outcome gives no state.
   */
  readonly step: (state: State, input: Input, output: Option.Option<Output>) => ReadonlyArray<State>
  /** Equal for two states if and only if no later step tells them apart. */
  readonly keyOf: (state: State) => string
  /**
   * Whether an operation that was answered so changes no state at all, as reads do and comparisons that failed. Where such an operation fits, the checker need not
   * try to place it later. Without it, every operation may be a change.
   */
  readonly isRead?: (input: Input, output: Output) => boolean
  /**
   * Splits a history so that it is linearizable if and only if every part is (Herlihy and Wing's locality; P-compositionality in Horn and
   * Kroening, FORTE 2015). Without it, there is one part.
   */
  readonly partition?: (
    operations: ReadonlyArray<Operation<Input, Output>>
  ) => ReadonlyArray<Part<Input, Output>>
}
