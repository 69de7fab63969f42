/** What the other parts of a member read from its replicated state. Provided together with the state machine by `KvStateMachine.layer`. */
import type { StateMachine } from "@dkv/raft"
import { Context } from "effect"
import type { Effect } from "effect"
import type { RangeOp, RangeResult } from "./Kv.ts"

export class KvReader extends Context.Service<KvReader, {
  /**
   * Serves ranges from this member as it is now, all from the same revision, one result each; the caller has checked them (`Checks`).
   * `answerBytesMax` as in `Kv`. Fails when the member has to stop.
   */
  readonly read: (
    ops: ReadonlyArray<RangeOp>,
    answerBytesMax?: number
  ) => Effect.Effect<ReadonlyArray<RangeResult>, StateMachine.StateMachineError>

  /** Revision of the last applied change. */
  readonly revision: Effect.Effect<number>
}>()("@dkv/kv/KvReader") {}
