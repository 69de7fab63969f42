/**
 * One key of the store, for a search apart from all other keys. A register with its history numbers, and the last revision that is known to have been
 * reached: an answer tells its revision, so along the order of one key revisions never fall, and grow with each change of it. Revisions in between belong
 * to other keys.
 *
 * A write of unknown outcome takes one of the revisions that `KvRevisions` left to it. Of those above the last revision, only the least need be tried,
 * and those that somebody was told: nothing but being told distinguishes one revision from another, and the least leaves most room to what follows.
 */
import { Option } from "effect"
import { answers, change, facts, initialRevision, isRead, isWrite, same } from "./KvModel.ts"
import type { Input, KeyValue, Output, Write } from "./KvModel.ts"
import type { Model } from "./Model.ts"

export interface State {
  readonly revision: number
  readonly kv: KeyValue | undefined
}

/** All operations are on one key; a range has been narrowed to a get. */
export const model: Model<State, Input, Output> = {
  initial: { revision: initialRevision, kv: undefined },
  step: (state, input, output) => {
    if (Option.isNone(output)) return isWrite(input) ? guess(state, input) : []
    const revision = output.value.revision ?? state.revision
    if (revision < state.revision) return []
    if (!isWrite(input)) {
      const fits = output.value._tag === "Range" && same(state.kv, output.value.kvs[0])
      return fits ? [{ revision, kv: state.kv }] : []
    }
    if (!answers(input, state.kv, output.value)) return []
    const made = change(input, state.kv, revision)
    if (made === undefined) return [{ revision, kv: state.kv }]
    return revision > state.revision ? [{ revision, kv: made.after }] : []
  },
  keyOf: ({ kv, revision }) => JSON.stringify([revision, kv === undefined ? null : facts(kv)]),
  // those that tell a revision that is not reached here are not absorbed: what they raise is part of the state
  isRead
}

const guess = (state: State, write: Write): ReadonlyArray<State> => {
  const { revisions, told } = write.guess ?? { revisions: [], told: [] }
  const least = revisions.find((revision) => revision > state.revision)
  if (least === undefined) return []
  return [least, ...told.filter((revision) => revision > least)].flatMap((revision) => {
    const made = change(write, state.kv, revision)
    return made === undefined ? [] : [{ revision, kv: made.after }]
  })
}
