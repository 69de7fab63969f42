/**
 * What the protocol needs to know of a log entry: where it stands, which leader made it, and how
 * large it is. The bytes that a state machine or a decoder would read are none of the core's business.
 *
 * Source: Raft paper §5.3.
 */
import type { Configuration } from "./Configuration.ts"

/** Position of an entry in the log. The first entry has index 1; 0 means "before the log". */
export type LogIndex = number

/** Leadership period, increasing; 0 means "before the first election". */
export type Term = number

/** Identity of a member: 64 random bits as 16 lower-case hex digits, made once and never used again. */
export type MemberId = string

/** Anything else would be another id once it has been written down. */
export const isMemberId = (id: string): boolean => /^(?!0{16})[0-9a-f]{16}$/.test(id)

/** What an entry is for. The numbers are on disk and on the wire: never reuse one. */
export const EntryKind = {
  /** Made by a new leader so that it can commit something of its own term. */
  Noop: 0,
  /** A command of the state machine. */
  Command: 1,
  /** A `Configuration`. */
  Configuration: 2,
  /** Opens a client session, which has the index and term of this entry for its name. */
  SessionOpen: 3,
  /** The first command of a group that belongs to a client session; it says whose, and which of the entries behind it belong to the group. */
  SessionCommand: 4
} as const
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind]

/** An entry as the core sees it. `bytes` is the size of the payload; `configuration` is there if and only if `kind` is `Configuration`. */
export interface EntryHead {
  readonly index: LogIndex
  readonly term: Term
  readonly kind: EntryKind
  readonly bytes: number
  readonly configuration?: Configuration
}

/** Bytes that an entry takes besides its payload, in the log and on the wire (`Entry.ts` of the runtime has the layout). */
export const overheadBytes = 17
