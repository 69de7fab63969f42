/** Why raft did not do what was asked, and whether it may still happen. The same kinds survive forwarding between members. */
import { Schema } from "effect"

/**
 * A proposal or a read, or a single command of a proposal in a session, was not carried out. For a command, "nothing" below is said of that command alone.
 *
 * - `NoLeader`: no leader was known before the deadline; nothing was appended, try again.
 * - `Busy`: a limit of queue or log was reached, or a read has to see what this member has not applied yet; nothing was appended, try again later.
 * - `Refused`: the leader does not take proposals now (it hands leadership over); nothing was appended, try again.
 * - `Lost`: another leader's entry was applied in its place; it never takes effect, try again.
 * - `TooLarge`: a command exceeds the limit; nothing was appended, do not try again.
 * - `Unknown`: the deadline passed, or the link to the leader broke, with the entry possibly in the log. It may or may not take effect: read before repeating.
 * - `Stopped`: this member is stopping; nothing was appended here, try another.
 * - `Expired`: the session is not open any more. This attempt has no effect; whether an earlier one had is not known: open another session, and read before repeating.
 * - `Witness`: this member holds no data, so nothing can be read here; ask another.
 */
export const Reason = Schema.Literals([
  "NoLeader",
  "Busy",
  "Refused",
  "Lost",
  "TooLarge",
  "Unknown",
  "Stopped",
  "Expired",
  "Witness"
])
export type Reason = typeof Reason.Type

export class RaftError extends Schema.TaggedError<RaftError>()("RaftError", {
  reason: Reason,
  message: Schema.String
}) {}

/**
 * A change of membership or leadership was refused; nothing changed unless `Unknown`.
 *
 * - `Pending`: another change is under way; wait for it.
 * - `NotReady`: the leader has not committed an entry of its term yet, or the learner has not caught up; try again soon.
 * - `NoQuorum`: the members that would form the new quorum do not answer now; bring them up, or force.
 * - `LastVoter`: the last voter that holds data cannot leave.
 * - `NotFound`: no such member. `Conflict`: id, name or address is taken by another member, or by one that is a witness where this is none.
 * - `Invalid`: a value is out of its bounds; do not try again.
 * - `NotVoter`: leadership goes only to voters that hold data.
 * - `NoLeader`, `Busy`, `Stopped`, `Unknown`: as in `RaftError`. `Timeout`: leadership did not move in one election timeout, and stays.
 */
export class MembershipError extends Schema.TaggedError<MembershipError>()("MembershipError", {
  reason: Schema.Literals([
    "Pending",
    "NotReady",
    "NoQuorum",
    "LastVoter",
    "NotFound",
    "Conflict",
    "Invalid",
    "NotVoter",
    "NoLeader",
    "Busy",
    "Stopped",
    "Unknown",
    "Timeout"
  ]),
  message: Schema.String
}) {}

/** The member cannot go on; the message says what to do. It answers nothing from here on. */
export class MemberStopped extends Schema.TaggedError<MemberStopped>()("MemberStopped", {
  message: Schema.String,
  cause: Schema.optional(Schema.Defect())
}) {}
