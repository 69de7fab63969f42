/** Which failures are damage: data that was once synced and is not what it was. For anything else a member stops; from this it can be rebuilt. */
import { AcknowledgedEntriesLost, MemberStopped } from "@dkv/raft"

export interface Damage {
  /** What was found; names file and offset where they are known. */
  readonly message: string
  /** It is the log that is damaged, and perhaps only in places. */
  readonly isLog: boolean
  /** Log and state do not show it: the next start would not find it again. */
  readonly isHidden: boolean
}

const tags: ReadonlySet<unknown> = new Set(["LogStoreError", "StateMachineError", "StorageError"])

/** The damage that an error of the log, the state, or of raft about one of them, stands for. */
export const of = (error: unknown): Damage | undefined => {
  if (error instanceof MemberStopped) return of(error.cause)
  // The log is sound as far as it goes, so there is nothing to mend.
  if (error instanceof AcknowledgedEntriesLost) return { message: error.message, isLog: false, isHidden: true }
  if (typeof error !== "object" || error === null) return undefined
  const { _tag, file, message, reason } = error as Partial<Record<"_tag" | "reason" | "message" | "file", unknown>>
  if (!tags.has(_tag) || reason !== "Corrupt") return undefined
  return { message: String(message), isLog: _tag === "LogStoreError" && file !== undefined, isHidden: false }
}
