/** What the member has to do after a batch of inputs. One object, filled by `Core.settle` and reused: carry it out before the next step. */
import type { Configuration } from "./Configuration.ts"
import type { EntryHead, LogIndex, MemberId, Term } from "./Entry.ts"
import type { Message } from "./Message.ts"

/**
 * Changes of the log and the hard state, in order.
 *
 * - `Proposed`: the commands of a proposal group become entries from `firstIndex` on.
 * - `Own`: an entry that the leader makes itself; a configuration if there is one, else a no-op.
 * - `Received`: entries as they came, behind or in place of the present end of the log.
 */
export type Write =
  | { readonly _tag: "HardState"; readonly term: Term; readonly vote: MemberId }
  | {
    readonly _tag: "Proposed"
    readonly group: number
    readonly firstIndex: LogIndex
    readonly term: Term
    readonly count: number
  }
  | {
    readonly _tag: "Own"
    readonly index: LogIndex
    readonly term: Term
    readonly configuration: Configuration | undefined
  }
  | { readonly _tag: "Received"; readonly entries: ReadonlyArray<EntryHead> }
  | { readonly _tag: "Reset"; readonly index: LogIndex; readonly term: Term }

/** A message that may leave once write number `after` is durable. */
export interface Outgoing {
  readonly to: MemberId
  readonly message: Message
  readonly after: number
}

/** Leave to send entries behind `previousIndex`, at most up to `to` and about `bytesMax` bytes. */
export interface Permit {
  readonly peer: MemberId
  readonly permit: number
  readonly term: Term
  readonly previousIndex: LogIndex
  readonly previousTerm: Term
  readonly to: LogIndex
  readonly commit: LogIndex
  readonly bytesMax: number
}

export type Refusal = "NoLeader" | "Busy" | "Refused"

export type ChangeRefusal =
  | "Pending"
  | "NotReady"
  | "NoQuorum"
  | "LastVoter"
  | "NotFound"
  | "Conflict"
  | "Invalid"
  | "NotVoter"
  | "NoLeader"
  | "Unknown"
  | "Timeout"

/** How a change of membership or leadership ended. */
export interface Settled {
  readonly id: number
  readonly refusal: ChangeRefusal | undefined
  /** The member that leads now, after a transfer. */
  readonly leader: MemberId
}

export interface Outputs {
  readonly writes: Array<Write>
  readonly messages: Array<Outgoing>
  readonly permits: Array<Permit>
  /** Proposal groups that were not appended here. */
  readonly refusals: Array<{ readonly group: number; readonly reason: Refusal }>
  /** Proposal groups to hand to the leader. */
  readonly forwards: Array<number>
  /** Reads of this member that may go ahead once `index` is applied; -1: ask again later. */
  readonly reads: Array<{ readonly id: number; readonly index: LogIndex }>
  readonly settled: Array<Settled>
  /** Voters that a leader takes for dead from now on, and those of them that it has heard again. */
  readonly silent: Array<MemberId>
  readonly heardAgain: Array<MemberId>
  /** Peers that need a snapshot. */
  readonly snapshots: Array<MemberId>
  /** Snapshots that the leader offers and that are worth taking. */
  readonly offers: Array<
    { readonly from: MemberId; readonly snapshot: number; readonly index: LogIndex; readonly term: Term }
  >
  /** Entries from this index on were replaced by another leader's; 0 if none. */
  truncatedFrom: LogIndex
  configurationChanged: boolean
  /** A committed configuration no longer has this member in it. */
  removed: boolean
}

export const make = (): Outputs => ({
  writes: [],
  messages: [],
  permits: [],
  refusals: [],
  forwards: [],
  reads: [],
  settled: [],
  silent: [],
  heardAgain: [],
  snapshots: [],
  offers: [],
  truncatedFrom: 0,
  configurationChanged: false,
  removed: false
})

/** Most are empty, and to say so again is a call into the runtime. */
const empty = (values: Array<unknown>): void => {
  if (values.length > 0) values.length = 0
}

export const clear = (outputs: Outputs): void => {
  empty(outputs.writes)
  empty(outputs.messages)
  empty(outputs.permits)
  empty(outputs.refusals)
  empty(outputs.forwards)
  empty(outputs.reads)
  empty(outputs.settled)
  empty(outputs.silent)
  empty(outputs.heardAgain)
  empty(outputs.snapshots)
  empty(outputs.offers)
  outputs.truncatedFrom = 0
  outputs.configurationChanged = false
  outputs.removed = false
}
