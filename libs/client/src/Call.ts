/** One call that waits for an answer, from the caller's fiber to the batch that carries it. */
import { BatchRequest } from "@dkv/protocol"
import type { Operation } from "@dkv/protocol"
import type { Exit } from "effect"
import type { ClientError } from "./ClientError.ts"

/** Calls of one lane may travel in one batch. Kept apart, so that a read can be given up early without giving up a write. */
export const lanes = ["write", "linearizable", "bounded", "stale"] as const
export type Lane = (typeof lanes)[number]

/** `out`: in a batch that was sent and is not answered. `parked`: turned away, and to be tried again. */
type State = "queued" | "out" | "parked" | "done"

/** Turns the server's answer into the caller's; an answer of the wrong kind into an error. */
export type Read<A> = (result: Operation.Result) => Exit.Exit<A, ClientError>

/** Mutable; owned by `Calls`. */
export class Call {
  state: State = "queued"
  /** Its answer was too large together with others: it goes in a batch of its own. */
  isAlone = false
  retryAt = 0
  /** Of a write that was sent: its place in the client's session. */
  session: Operation.SessionId | undefined
  sequence = 0
  /** A write that was sent, and may have taken effect although there was no answer. */
  isDoubtful = false
  /** Members have turned it away so often. */
  refusals = 0
  /** What the last one said. */
  lastWord = ""
  readonly operation: Operation.Operation
  readonly lane: Lane
  /** Of a read that may be stale, but not older than this. */
  readonly maxStalenessMillis: number
  readonly bytes: number
  readonly timeoutMillis: number
  readonly deadline: number
  private readonly read: Read<unknown>
  private readonly resume: (exit: Exit.Exit<never, ClientError>) => void

  constructor(
    operation: Operation.Operation,
    lane: Lane,
    maxStalenessMillis: number,
    timeoutMillis: number,
    deadline: number,
    read: Read<unknown>,
    resume: (exit: Exit.Exit<never, ClientError>) => void
  ) {
    this.operation = operation
    this.lane = lane
    this.maxStalenessMillis = maxStalenessMillis
    this.bytes = BatchRequest.operationBytes(operation)
    this.timeoutMillis = timeoutMillis
    this.deadline = deadline
    this.read = read
    this.resume = resume
  }

  get isWrite(): boolean {
    return this.lane === "write"
  }

  get isScan(): boolean {
    return this.operation._tag === "Range" && this.operation.end.length > 0
  }

  /** Hands the answer to the caller, whose fiber goes on at once, on this stack. */
  succeed(result: Operation.Result): void {
    // the caller's own type is known where the call was made
    this.resume(this.read(result) as Exit.Exit<never, ClientError>)
  }

  fail(exit: Exit.Exit<never, ClientError>): void {
    this.resume(exit)
  }
}
