/** Why a call failed, and whether it may have taken effect all the same. */
import { Schema } from "effect"

/**
 * - `Unavailable`: nothing took effect before the deadline; try again, or look at the cluster.
 * - `Unknown`: a write was sent and its outcome is not known by the deadline: read before you repeat it.
 * - `Invalid`: the request breaks a rule, which the message names; do not repeat it.
 * - `Busy`: too many calls wait; nothing was sent, try again later.
 * - `Refused`: the member, or the leader, said no to a change of membership or leadership; `detail` has its reason.
 * - `Incompatible`: the other end speaks another protocol, or another version of it.
 */
export class ClientError extends Schema.TaggedError<ClientError>()("ClientError", {
  reason: Schema.Literals(["Unavailable", "Unknown", "Invalid", "Busy", "Refused", "Incompatible"]),
  message: Schema.String,
  detail: Schema.optional(Schema.String)
}) {}
